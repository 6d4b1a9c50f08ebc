"""Expressions: the language of workflow documents, jq's syntax and meaning by our own compiler.

A text becomes tokens (`tokens.py`), a tree (`parser.py`), and Python closures (`compiler.py`, `nodes_*.py`,
`functions/`). Evaluation is pure: no clock, no environment, no I/O, nothing changed in place, and a budget that
always ends it. Documents, tasks and the data flow between them do not belong here.
Open `expression.py` first, then `codes.py`; `docs/expressions.md` is the reference for authors.
"""

from segue.dsl.expressions.errors import (
    BudgetExceeded,
    EvaluationError,
    ExpressionError,
    ExpressionRefused,
    ExpressionSyntaxError,
    RaisedError,
)
from segue.dsl.expressions.expression import (
    Expression,
    compile_expression,
    is_wrapped,
    truthy,
    unwrap,
)
from segue.dsl.expressions.meter import DEFAULT_BUDGET, Budget, require_within_budget
from segue.dsl.expressions.shape import GROWTH_UNMEASURED_MAX, growth_of

__all__ = [
    "DEFAULT_BUDGET",
    "GROWTH_UNMEASURED_MAX",
    "Budget",
    "BudgetExceeded",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "ExpressionRefused",
    "ExpressionSyntaxError",
    "RaisedError",
    "compile_expression",
    "growth_of",
    "is_wrapped",
    "require_within_budget",
    "truthy",
    "unwrap",
]
