"""A property that is computed once.

`functools.cached_property` of Python 3.11 takes a lock each time, which costs more than most facts.
"""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["lazy"]

T = TypeVar("T")


class lazy(Generic[T]):  # noqa: N801  used like property
    """Computes at first access and leaves the value in the instance's dict, where the next access finds it."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self._name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> T | Self:
        """The value, or the property itself on the class."""
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._compute(instance)
        return value
