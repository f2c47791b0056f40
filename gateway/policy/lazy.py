"""A property that is computed once.

`functools.cached_property` of Python 3.11 takes a lock each time, which costs more than most facts.
"""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

from gateway.policy.items import TooManyItems

__all__ = ["lazy"]

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801  used like property
    """Computes at first access and leaves the value in the instance's dict, where the next access finds it.

    That there are too many items for one is kept as well.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self._refusal = f"{self._name} refused"
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> T | Self:
        """The value, or the property itself on the class."""
        if instance is None:
            return self
        known = instance.__dict__
        refusal = known.get(self._refusal)
        if refusal is not None:
            raise TooManyItems(refusal)
        try:
            value = known[self._name] = self._compute(instance)
        except TooManyItems as error:
            known[self._refusal] = str(error)  # what was too much once is not counted again
            raise
        return value
