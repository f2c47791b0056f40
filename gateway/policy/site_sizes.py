"""What a site says about the sizes of messages, in the place of what follows from their schemas. Pure.

sizes:
DataTransfer: {bytes: 4096}
"@local_list": {bytes: 65536, items: 500}
GetConfiguration: {answer_bytes: 16384}
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.ocpp.actions import actions
from gateway.ocpp.size_limits import NO_LIMIT, SizeLimit
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.classes import CLASSES
from gateway.policy.fields import Table

__all__ = ["SizeRule", "default_limit", "read_sizes", "with_rules"]

_KNOWN: Final = frozenset({action.name for version in OCPPVersion for action in actions(version)}) | CLASSES.keys()
_BILLING: Final = CLASSES["@transaction"]


class SizeRule(msgspec.Struct, frozen=True, kw_only=True):
    """Of one action, or of a class of them. None: as it is without this."""

    bytes: int | None = None
    """Of the frame of a call or SEND."""
    items: int | None = None
    """Entries of its longest list."""
    answer_bytes: int | None = None
    answer_items: int | None = None


def read_sizes(table: Table | None) -> dict[str, SizeRule]:
    """`sizes` of a group. What is wrong is noted there: P003, P005, P010."""
    if table is None:
        return {}
    found = {}
    for name in table.values:
        inner = table.table(name)
        if name not in _KNOWN:
            table.findings.unknown("P010", (*table.path, name), "action or action class", name, _KNOWN)
        if inner is not None:
            found[name] = SizeRule(**{each: _number(inner, each) for each in SizeRule.__struct_fields__})
            inner.done()
    return found


def _number(table: Table, name: str) -> int | None:
    number = table.get(name, int, 1)
    if number < 1:
        table.findings.error("P005", (*table.path, name), "must be at least 1")
    return number if name in table else None


def default_limit(action: str, by_schema: SizeLimit) -> SizeLimit:
    """What holds where a site says nothing: messages with billing data have no limit of their own, or they would be lost."""
    return NO_LIMIT if action in _BILLING else by_schema


def with_rules(rules: Mapping[str, SizeRule], action: str, limit: SizeLimit, *, answer: bool) -> SizeLimit:
    """A limit as a site has it: what it says of the action comes first, then the strictest it says of a class."""
    spoken = [rules[name] for name, members in CLASSES.items() if name in rules and action in members]
    sizes = [(rule.answer_bytes, rule.answer_items) if answer else (rule.bytes, rule.items) for rule in spoken]
    own = rules.get(action, SizeRule())
    own_bytes, own_items = (own.answer_bytes, own.answer_items) if answer else (own.bytes, own.items)
    of_class_bytes = min((size for size, _ in sizes if size is not None), default=limit.max_bytes)
    of_class_items = min((items for _, items in sizes if items is not None), default=limit.max_items)
    return SizeLimit(
        of_class_bytes if own_bytes is None else own_bytes, of_class_items if own_items is None else own_items
    )
