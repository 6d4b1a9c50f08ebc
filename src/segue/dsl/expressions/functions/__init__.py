"""The functions of the language.

`plain.py`, `strings.py`, `arrays.py`, `maths.py` and `times.py` hold those that compute one value from their
input and the values of their arguments. `special.py` holds those that take expressions as arguments, and
`refused.py` those that exist in jq and may not run here. Open `registry.py` first.
"""

from segue.dsl.expressions.functions import arrays, collections, loops, maths, plain, special, streams, strings, times
from segue.dsl.expressions.functions.refused import REFUSED
from segue.dsl.expressions.functions.registry import Plain, Special, find_plain, find_special, known_functions

__all__ = [
    "REFUSED",
    "Plain",
    "Special",
    "arrays",
    "collections",
    "find_plain",
    "find_special",
    "known_functions",
    "loops",
    "maths",
    "plain",
    "special",
    "streams",
    "strings",
    "times",
]
