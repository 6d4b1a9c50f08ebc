"""Values: their kinds, order, equality and arithmetic.

Values are what JSON has: None, bool, int, float, str, list, dict. Python counts True as 1; here the two are
apart everywhere. A `SecretText` may travel as a value too, and `joined` is the one operation that takes it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final, NoReturn

from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.numbers import (
    DOUBLE_MAX,
    EXACT_MAX,
    from_int,
    not_a_number,
    tidy,
    to_double,
)
from segue.dsl.expressions.text import describe
from segue.types import SecretText

_KINDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
SECRET_RULE: Final = "a secret may only be passed on or joined to text"  # noqa: S105 - a message


def kind_of(value: Any) -> str:
    """The name of the value's kind, as `type` says it.

    Raises:
        EvaluationError: It is a secret, or nothing JSON knows.
    """
    kind = _KINDS.get(type(value))
    if kind is None:
        refuse_foreign(value)
    return kind


def refuse_foreign(value: Any) -> NoReturn:
    """Say why a value that is not JSON cannot be used."""
    if isinstance(value, SecretText):
        raise EvaluationError(SECRET_RULE)
    raise EvaluationError(f"a value of type {type(value).__name__} is not JSON")


def is_true(value: Any) -> bool:
    """Everything counts as true except null and false."""
    return value is not None and value is not False


# Order: null, false, true, numbers, strings, arrays, objects.


class _NotANumber:
    """Where NaN stands in a sort: a new one each time, so that none are equal, and all keep their order."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return False


def sort_key(value: Any) -> tuple[Any, ...]:
    """A key whose Python order and equality are the language's."""
    kind = type(value)
    if kind is str:
        return (4, value)
    if kind is int:
        return (3, value)
    if kind is float:
        return (3, value) if value == value else (2.5, _NotANumber())
    if value is None:
        return (0,)
    if kind is bool:
        return (2,) if value else (1,)
    if kind is list:
        return (5, [sort_key(item) for item in value])
    if kind is dict:
        keys = sorted(value)
        return (6, keys, [sort_key(value[key]) for key in keys])
    refuse_foreign(value)


def equal(left: Any, right: Any) -> bool:
    """The language's `==`."""
    kind, other = type(left), type(right)
    if kind is str or other is str or left is None or right is None:
        if kind is SecretText or other is SecretText:
            raise EvaluationError(SECRET_RULE)
        return bool(left == right)
    if kind is bool or other is bool:
        return left is right
    if kind is SecretText or other is SecretText:
        raise EvaluationError(SECRET_RULE)
    if kind is list or kind is dict:
        # Python's comparison is right wherever it says no; a yes may have taken true for 1.
        return bool(left == right) and _same_kinds(left, right)
    return bool(left == right)


def _same_kinds(left: Any, right: Any) -> bool:
    if type(left) is list:
        return all(map(equal, left, right))
    return all(equal(item, right[key]) for key, item in left.items())


def less(left: Any, right: Any) -> bool:
    """The language's `<`."""
    kind, other = type(left), type(right)
    if (kind is int or kind is float) and (other is int or other is float):
        return bool(left < right) or left != left
    if kind is str and other is str:
        return bool(left < right)
    return sort_key(left) < sort_key(right)


def less_or_equal(left: Any, right: Any) -> bool:
    """The language's `<=`; written out because NaN is less than itself."""
    kind, other = type(left), type(right)
    if (kind is int or kind is float) and (other is int or other is float):
        return bool(left <= right) or left != left
    return sort_key(left) <= sort_key(right)


# Arithmetic


def _numbers(left: Any, right: Any) -> bool:
    kind, other = type(left), type(right)
    return (kind is int or kind is float) and (other is int or other is float)


def _cannot(left: Any, right: Any, verb: str) -> NoReturn:
    if type(left) is SecretText or type(right) is SecretText:
        raise EvaluationError(SECRET_RULE)
    raise EvaluationError(f"{describe(left)} and {describe(right)} cannot be {verb}")


def add(left: Any, right: Any) -> Any:
    """`+`: sum, concatenation, union of objects (the right one wins); null adds nothing."""
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return from_int(left + right) if _exact(left, right) else tidy(to_double(left) + to_double(right))
    if kind is str and other is str:
        return left + right
    if (kind is int or kind is float) and (other is int or other is float):
        return tidy(to_double(left) + to_double(right))
    if left is None:
        return right
    if right is None:
        return left
    if kind is list and other is list:
        return left + right
    if kind is dict and other is dict:
        return {**left, **right}
    return joined(left, right)


def joined(left: Any, right: Any) -> SecretText:
    """Text and secrets joined: the only thing that can be done with a secret."""
    if type(left) is SecretText and (type(right) is str or type(right) is SecretText):
        return left.joined_to(right)
    if type(right) is SecretText and type(left) is str:
        return right.joined_after(left)
    _cannot(left, right, "added")


def subtract(left: Any, right: Any) -> Any:
    """`-`: difference; from an array, all elements that the other array has."""
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return from_int(left - right) if _exact(left, right) else tidy(to_double(left) - to_double(right))
    if (kind is int or kind is float) and (other is int or other is float):
        return tidy(to_double(left) - to_double(right))
    if kind is list and other is list:
        return without(left, right)
    _cannot(left, right, "subtracted")


def _exact(left: int, right: int) -> bool:
    return -EXACT_MAX <= left <= EXACT_MAX and -EXACT_MAX <= right <= EXACT_MAX


def without(left: list[Any], right: list[Any]) -> list[Any]:
    """The elements of `left` that `right` does not have."""
    if len(right) <= 4:
        return [item for item in left if not any(equal(item, other) for other in right)]
    unwanted = {frozen(sort_key(item)) for item in right if item == item}
    return [item for item in left if frozen(sort_key(item)) not in unwanted]


def frozen(key: Any) -> Any:
    """A sort key with its lists turned into tuples, so that it can be hashed."""
    if type(key) is tuple or type(key) is list:
        return tuple(frozen(part) for part in key)
    return key


def multiply(left: Any, right: Any) -> Any:
    """`*`: product; a string and a number repeat the string; objects merge to their depth."""
    kind, other = type(left), type(right)
    if kind is int and other is int:
        if _exact(left, right):
            return from_int(left * right)
        return tidy(to_double(left) * to_double(right))
    if (kind is int or kind is float) and (other is int or other is float):
        return tidy(to_double(left) * to_double(right))
    if kind is str and (other is int or other is float):
        return repeat(left, right)
    if other is str and (kind is int or kind is float):
        return repeat(right, left)
    if kind is dict and other is dict:
        return merge(left, right)
    _cannot(left, right, "multiplied")


def repeat_count(times: int | float) -> int | None:
    """How often a string is repeated; None where the answer is null."""
    if times != times or times < 0:
        return None
    return int(min(times, DOUBLE_MAX))


def repeat(text: str, times: int | float) -> str | None:
    """`text` that often; callers have paid for the result."""
    count = repeat_count(times)
    return None if count is None else text * count if text else ""


def merge(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """The union of two objects in which objects under the same key are merged too."""
    result = dict(left)
    for key, value in right.items():
        old = result.get(key)
        result[key] = merge(old, value) if type(old) is dict and type(value) is dict else value
    return result


def divide(left: Any, right: Any) -> Any:
    """`/`: quotient; two strings split the left one."""
    if _numbers(left, right):
        if right == 0:
            _cannot(left, right, "divided because the divisor is zero")
        return tidy(to_double(left) / to_double(right))
    if type(left) is str and type(right) is str:
        return split(left, right)
    _cannot(left, right, "divided")


def split(text: str, separator: str) -> list[str]:
    """The parts of `text` between separators; an empty text has none, an empty separator splits letters."""
    if not text:
        return []
    return text.split(separator) if separator else list(text)


_INT64_MAX: Final = 2**63 - 1


def _truncated(number: int | float) -> int:
    """The whole part, within the range of a 64-bit integer."""
    double = to_double(number)
    if math.isinf(double):
        return _INT64_MAX if number > 0 else -_INT64_MAX - 1
    return max(-_INT64_MAX - 1, min(_INT64_MAX, int(double)))


def modulo(left: Any, right: Any) -> Any:
    """`%`: remainder of the whole parts, with the sign of the left one."""
    if not _numbers(left, right):
        _cannot(left, right, "divided (remainder)")
    if left != left or right != right:
        return not_a_number()
    divisor = abs(_truncated(right))
    if divisor == 0:
        _cannot(left, right, "divided (remainder) because the divisor is zero")
    dividend = _truncated(left)
    rest = abs(dividend) % divisor
    return from_int(-rest if dividend < 0 else rest)


def negate(value: Any) -> Any:
    """Unary minus."""
    kind = type(value)
    if kind is int:
        return -value
    if kind is float:
        return tidy(-value)
    raise EvaluationError(f"{describe(value)} cannot be negated")


OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": less,
    "<=": less_or_equal,
    ">": lambda left, right: not less_or_equal(left, right),
    ">=": lambda left, right: not less(left, right),
}

PLAIN_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""What the comparisons are between two finite numbers, or between two strings."""


# Containment


def contains(value: Any, part: Any) -> bool:
    """Whether `value` has `part` in it: substring, element of elements, key by key.

    Raises:
        EvaluationError: The two are of different kinds; further inside, different kinds just do not match.
    """
    if kind_of(value) != kind_of(part) or (type(value) is bool and value is not part):
        raise EvaluationError(f"{describe(value)} and {describe(part)} cannot have their containment checked")
    return _has_inside(value, part)


def _has_inside(value: Any, part: Any) -> bool:
    if type(value) is dict and type(part) is dict:
        return all(key in value and _has_inside(value[key], item) for key, item in part.items())
    if type(value) is list and type(part) is list:
        return all(any(_has_inside(item, wanted) for item in value) for wanted in part)
    if type(value) is str and type(part) is str:
        return part in value
    return equal(value, part)
