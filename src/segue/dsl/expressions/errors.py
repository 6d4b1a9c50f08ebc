"""What goes wrong with an expression, and who can act on it.

Compile-time faults (`ExpressionSyntaxError`, `ExpressionRefused`) belong to the author of the document and are
reported before anything runs. `EvaluationError` is the run-time kind: the data did not fit. `BudgetExceeded` is
one of those that the expression's own `try` cannot catch.
"""

from __future__ import annotations

from typing import Any


class ExpressionError(Exception):
    """Anything wrong with an expression.

    Attributes:
        message: What is wrong, in one sentence.
        column: Where, counted from 1 in `text`; None where no single place is to blame.
        text: The expression.
        hint: Another way to say it, or an empty string.
    """

    def __init__(self, message: str, *, column: int | None = None, text: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        self.text = text
        self.hint = hint

    def located(self, column: int) -> None:
        """Note the place, unless a place nearer to the fault is known already."""
        if self.column is None:
            self.column = column

    def __str__(self) -> str:
        place = "" if self.column is None else f" at column {self.column}"
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.message}{place}{hint}"


class ExpressionSyntaxError(ExpressionError):
    """The text is not an expression."""


class ExpressionRefused(ExpressionError):
    """The text is an expression that may not run here: a forbidden function or an unknown name."""


class EvaluationError(ExpressionError):
    """The expression failed on this data. `value` is what `catch` sees as `.`."""

    def __init__(
        self, message: str, *, value: Any = None, column: int | None = None, text: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, column=column, text=text, hint=hint)
        self.value = message if value is None else value


class RaisedError(EvaluationError):
    """The expression itself said `error(...)`; the value may be anything, null included."""

    def __init__(self, value: Any, message: str) -> None:
        super().__init__(message)
        self.value = value


class BudgetExceeded(EvaluationError):
    """The evaluation needs more steps, memory or depth than it may have. No `try` catches it."""
