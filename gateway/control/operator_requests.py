"""What an operator's command may ask of a running node, over the socket that only the gateway's user can open."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

__all__ = ["OperatorRequest", "RequestRefused"]


class RequestRefused(Exception):  # noqa: N818  names what was done to the request
    """It is not done, and why, in words for the operator.

    `is_gone`: what it was about is not there.
    """

    def __init__(self, why: str, *, is_gone: bool = False) -> None:
        super().__init__(why)
        self.is_gone = is_gone


@dataclass(frozen=True, slots=True)
class OperatorRequest:
    """One path of the private socket: POST of a JSON object that fits `question`, answered with a JSON object.

    `answer` gets the decoded question and gives what msgspec can turn into an object. It may raise RequestRefused, for
    which the command gets `{"refused": why}`, and StoreError.
    """

    path: str
    question: type[msgspec.Struct]
    answer: Callable[[Any], Awaitable[Any]]
    changes: bool | Callable[[Any], bool] = True
    """False only for what shows what is there, or records itself: everything else is on record, with who asked, before it is
    answered. A function says it of the question."""
    stops: bool | Callable[[Any], bool] = False
    """It ends something, or goes back to what was: that is never refused because it cannot be recorded. A function says it
    of the question."""

    def is_change(self, question: Any) -> bool:
        """True if this question, of the type `question`, has to be on record."""
        return self.changes(question) if callable(self.changes) else self.changes

    def is_stop(self, question: Any) -> bool:
        """True if this question, of the type `question`, is answered also where it cannot be recorded."""
        return self.stops(question) if callable(self.stops) else self.stops
