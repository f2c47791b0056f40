"""Comprehensions inside each other: linear in the message, bounded, or refused (P040).

A comprehension over part of what an enclosing one runs through (`values.all(v, v.samples.all(s, ...))`) sees each
element of the message once, so both form one group. Groups multiply. Lists of parameters do not count: whoever writes
them knows how long they are, and no message changes that.
"""

import math
from typing import Final

from gateway.policy.cel.nodes import Comprehension
from gateway.policy.cel.place import Loop, Place, loops_in, use_of
from gateway.policy.cel.types import List, Type

__all__ = ["loop_of", "multiplication"]

_MAX_PRODUCT: Final = 2000


def loop_of(node: Comprehension, range_type: Type, place: Place) -> Loop:
    """The loop of a comprehension at that place."""
    bound = range_type.max_items if isinstance(range_type, List) else None
    around = [loop for loop in place.loops if loop in loops_in(node.range, place)]
    use = use_of(node.range, place)
    return Loop(node, bound, around[-1] if around else None, use is not None and use[0] in place.fixed)


def multiplication(loop: Loop, place: Place) -> str | None:
    """Why the loop and those around it may take too many steps; None if they do not."""
    sizes: dict[Loop, list[int | None]] = {}
    for each in (*place.loops, loop):
        if each.is_fixed:
            continue
        sizes.setdefault(_root(each), []).append(each.bound)
    unbounded = [bounds for bounds in sizes.values() if None in bounds]
    if len(unbounded) > 1:
        return "a comprehension over an unbounded list inside another one"
    product = math.prod(bound for bounds in sizes.values() for bound in bounds if bound is not None)
    if not unbounded and len(sizes) > 1 and product > _MAX_PRODUCT:
        return f"comprehensions inside each other take up to {product} steps"
    return None


def _root(loop: Loop) -> Loop:
    while loop.group is not None:
        loop = loop.group
    return loop
