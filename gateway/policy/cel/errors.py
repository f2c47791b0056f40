"""What can go wrong with an expression.

::

    ExpressionError
    ├── ExpressionInvalid      the text cannot be loaded: a finding with a position
    └── EvaluationError        this evaluation has no value: names the failing sub-expression
        └── BudgetExceeded     it was stopped because it would take too long

Whoever decides on a message must treat an EvaluationError as "the restrictive rule matches".
"""

from typing import Final

__all__ = ["SYNTAX", "BudgetExceeded", "EvaluationError", "ExpressionError", "ExpressionInvalid"]

SYNTAX: Final = "P019"
"""The code of every text that is not an expression of the language at all."""


class ExpressionError(Exception):
    """Root of this tree."""


class ExpressionInvalid(ExpressionError):  # noqa: N818  the house word for a text that was refused
    """The text is not an expression of the language. Offsets count code points of the text given to `parse`."""

    def __init__(self, message: str, *, offset: int, length: int, code: str = SYNTAX, suggestion: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.length = length
        self.code = code
        self.suggestion = suggestion
        """What to write instead, or empty."""


class EvaluationError(ExpressionError):
    """The expression has no value for this message. `text` is the failing sub-expression, source[start:end]."""

    def __init__(self, reason: str, *, start: int = 0, end: int = 0, text: str = "") -> None:
        super().__init__(f"{reason}: {text}" if text else reason)
        self.reason = reason
        self.start = start
        self.end = end
        self.text = text


class BudgetExceeded(EvaluationError):  # noqa: N818  what happened
    """The evaluation was stopped: it would have taken more steps than its budget."""
