"""Mathematical functions, on doubles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from segue.dsl.expressions.errors import EvaluationError
from segue.dsl.expressions.functions.registry import plain
from segue.dsl.expressions.numbers import infinity, not_a_number, strange, tidy, to_double
from segue.dsl.expressions.text import describe
from segue.dsl.expressions.values import kind_of


def _double(value: Any) -> float:
    if type(value) is int or type(value) is float:
        return to_double(value)
    kind_of(value)
    raise EvaluationError(f"{describe(value)} is not a number")


def _settled(compute: Callable[..., float], *numbers: float) -> Any:
    """The result as C has it: NaN outside a function's domain, infinite where it overflows."""
    try:
        return tidy(compute(*numbers))
    except ValueError:
        return not_a_number()
    except OverflowError:
        return infinity()


def _round_half_away(number: float) -> float:
    if number - number != 0.0:
        return number
    return math.copysign(float(math.floor(abs(number) + 0.5)), number)


def _nearest_even(number: float) -> float:
    return number if number - number != 0.0 else float(round(number))


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda number: number if number - number != 0.0 else float(function(number))


def _log(function: Callable[[float], float]) -> Callable[[float], float]:
    def log(number: float) -> float:
        return -math.inf if number == 0.0 else function(number)

    return log


def _log1p(number: float) -> float:
    return -math.inf if number == -1.0 else math.log1p(number)


def _tgamma(number: float) -> float:
    return math.copysign(math.inf, number) if number == 0.0 else math.gamma(number)


def _lgamma(number: float) -> float:
    if number <= 0.0 and number == math.floor(number):
        return math.inf
    return math.lgamma(number)


def _logb(number: float) -> float:
    if number == 0.0:
        return -math.inf
    if number - number != 0.0:
        return abs(number)
    return float(math.frexp(number)[1] - 1)


def _significand(number: float) -> float:
    if number == 0.0 or number - number != 0.0:
        return number
    return math.frexp(number)[0] * 2


def _atanh(number: float) -> float:
    return math.copysign(math.inf, number) if abs(number) == 1.0 else math.atanh(number)


def _exp10(number: float) -> float:
    return math.pow(10.0, number)


_ONE: Final[dict[str, Callable[[float], float]]] = {
    "floor": _whole(math.floor),
    "ceil": _whole(math.ceil),
    "trunc": _whole(math.trunc),
    "round": _round_half_away,
    "rint": _nearest_even,
    "nearbyint": _nearest_even,
    "sqrt": math.sqrt,
    "cbrt": math.cbrt,
    "fabs": abs,
    "exp": math.exp,
    "exp2": lambda number: math.pow(2.0, number),
    "exp10": _exp10,
    "expm1": math.expm1,
    "log": _log(math.log),
    "log2": _log(math.log2),
    "log10": _log(math.log10),
    "log1p": _log1p,
    "logb": _logb,
    "significand": _significand,
    "gamma": _lgamma,
    "lgamma": _lgamma,
    "tgamma": _tgamma,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "asinh": math.asinh,
    "acosh": math.acosh,
    "atanh": _atanh,
    "erf": math.erf,
    "erfc": math.erfc,
}

for _name, _function in _ONE.items():
    plain(_name)(lambda value, function=_function: _settled(function, _double(value)))


def _pow(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except ValueError:
        if base == 0.0:
            odd = exponent == math.floor(exponent) and exponent % 2 == 1
            return math.copysign(math.inf, base) if odd else math.inf
        raise
    except OverflowError:
        odd = exponent == math.floor(exponent) and exponent % 2 == 1
        return -math.inf if base < 0 and odd else math.inf


def _remainder(dividend: float, divisor: float) -> float:
    return math.remainder(dividend, divisor)


def _fdim(left: float, right: float) -> float:
    if left != left or right != right:
        return math.nan
    return left - right if left > right else 0.0


def _fmin(left: float, right: float) -> float:
    return right if left != left else left if right != right else min(left, right)


def _fmax(left: float, right: float) -> float:
    return right if left != left else left if right != right else max(left, right)


def _ldexp(number: float, exponent: float) -> float:
    if exponent != exponent:
        return math.nan
    try:
        return math.ldexp(number, int(max(-5000.0, min(5000.0, exponent))))
    except OverflowError:
        return math.copysign(math.inf, number)


_TWO: Final[dict[str, Callable[[float, float], float]]] = {
    "pow": _pow,
    "atan2": math.atan2,
    "fmod": math.fmod,
    "hypot": math.hypot,
    "copysign": math.copysign,
    "drem": _remainder,
    "remainder": _remainder,
    "nextafter": math.nextafter,
    "nexttoward": math.nextafter,
    "fdim": _fdim,
    "fmin": _fmin,
    "fmax": _fmax,
    "ldexp": _ldexp,
    "scalb": _ldexp,
    "scalbln": _ldexp,
}

for _name, _pair in _TWO.items():
    plain(_name, arity=2, outermost_last=True)(
        lambda value, left, right, function=_pair: _settled(function, _double(left), _double(right))
    )


@plain("fma", arity=3, outermost_last=True)
def _fma(value: Any, left: Any, right: Any, addend: Any) -> Any:
    return _settled(lambda x, y, z: x * y + z, _double(left), _double(right), _double(addend))


@plain("frexp")
def _frexp(value: Any) -> list[Any]:
    number = _double(value)
    if number - number != 0.0:
        strange.count += 1
        return [number, 0]
    mantissa, exponent = math.frexp(number)
    return [tidy(mantissa), exponent]


@plain("modf")
def _modf(value: Any) -> list[Any]:
    number = _double(value)
    fraction, whole = math.modf(number)
    return [tidy(fraction), tidy(whole)]


@plain("lgamma_r")
def _lgamma_r(value: Any) -> list[Any]:
    number = _double(value)
    negative = number < 0 and number != math.floor(number) and math.floor(number) % 2 == 1
    return [_settled(_lgamma, number), -1 if negative else 1]


@plain("infinite")
def _infinite(value: Any) -> float:
    return infinity()


@plain("nan")
def _nan(value: Any) -> float:
    return not_a_number()


@plain("isnan")
def _isnan(value: Any) -> bool:
    return type(value) is float and value != value


@plain("isinfinite")
def _isinfinite(value: Any) -> bool:
    return (type(value) is int or type(value) is float) and math.isinf(to_double(value))


@plain("isfinite")
def _isfinite(value: Any) -> bool:
    return (type(value) is int or type(value) is float) and not math.isinf(to_double(value))


@plain("isnormal")
def _isnormal(value: Any) -> bool:
    if type(value) is not int and type(value) is not float:
        return False
    number = to_double(value)
    return number - number == 0.0 and abs(number) >= 2.2250738585072014e-308
