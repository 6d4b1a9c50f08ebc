"""Generated programs over generated data: our compiler and the jq library must give the same answer.

Both must have the same results in the same order, or both must fail. `SEGUE_EXPRESSION_PROGRAMS` sets how many
programs are tried (default 4,000; each runs on three values).

Differences that are intended, and therefore kept out of the grammar or normalised below:

| what | here | jq library |
| --- | --- | --- |
| text of errors (`catch .`) | our own sentences | jq's |
| integers beyond 2^53 | pass through exactly | lose digits on output |
| text of number literals (`1.0 | tostring`) | of the value: "1" | of the literal: "1.0" |
| negative zero | 0 | -0 |
| `env`, `input`, `debug`, `halt`, `localtime` and their kin | refused at compile | read, print, stop |
| `repeat(f)` | `., (f | repeat(f))`, as the manual has it | this build repeats `f` on the same input |
| `ascii`, `toarray`, `leaf_paths`, `isvalid`, `@base32`, `@base32d`, `date`, `dateadd` | supported | absent here |
| `from_entries` with keys null, false or numbers; `k`, `v` | converted to text; understood | error in this build |
| `.a?//1` | `.a? // 1` | syntax error |
| Bessel functions (`j0`, `j1`, `y0`, `y1`, `jn`, `yn`) | not available | supported |
| `reverse` of a string | the string reversed | error in this build |
| `"[nan]" | fromjson` | error; NaN alone is understood | NaN inside arrays too |
| character classes inside one another, `&&`, `\\X` in patterns | refused | supported |
| `%Z` of `strftime` | UTC | GMT |
| `strptime` without a date | the first of January 1900 | a day 0 |
| `@base64d` of bytes that end within a character | one mark for each wrong byte | one mark for the rest |
| a literal that cannot be a key (`{([1]): 2}`) | fails when it runs | refused at compile |
| `bsearch` in an array that is not sorted | some negative number | some other number |
| empty matches beside characters beyond ASCII | one at each place | one at each byte |
| order among several NaN | as they stand | the last of them first |
| several initial values of `reduce` and `foreach` | each sees the data | the second sees null |
| `last(f)` as a path | allowed | refused |
| errors and `break` behind `?//` | pass through | the next pattern is tried |
| what has no path, inside `?` | fails where the path is used | is dropped |
| `?//` in `reduce` and `foreach` | the first pattern that fits | the body's errors try the next one too |
"""

from __future__ import annotations

import json
import math
import os
import re
from functools import lru_cache
from typing import Any

import jq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segue.dsl.expressions import BudgetExceeded, ExpressionError, compile_expression

# An expression that recurses deeply raises the limit for good, on purpose; Hypothesis would like it back.
pytestmark = pytest.mark.filterwarnings("ignore:The recursion limit will not be reset")

PROGRAMS = int(os.environ.get("SEGUE_EXPRESSION_PROGRAMS", "4000"))
MATHS_TOLERANCE = 1e-12

# Data

keys = st.sampled_from(["a", "b", "c", "k"])
numbers = st.one_of(st.integers(-5, 12), st.sampled_from([0.5, -1.5, 2.25, 100, 3.7]))
texts = st.sampled_from(["", "a", "b", "abc", "a,b", "x y", "é😀", "12", "-1.5", "aXbX", "null", "[1]", "A b\n"])
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=8,
)


# Programs
#
# A shape is a program with holes: `#e` any program, `#l` a leaf, `#t` mostly a place, `#b` a program that also
# sees the variable `#n`, `#w` one that sees `#n` and `$w`, `#s` a small number, `#o` an operator, `#q` an
# assignment, `#p` a regular expression, `#f` its flags, `#k` a constant, `#h` a path.

CHOICES: dict[str, list[str]] = {
    "k": [
        "null",
        "true",
        "false",
        "0",
        "1",
        "2",
        "-1",
        "3",
        "1.5",
        '"a"',
        '"b"',
        '"abc"',
        '""',
        '"a,b"',
        "[]",
        "{}",
        "[1,2,3]",
        '{"a":1,"b":[2]}',
        '["a","b"]',
        "[[1,2],[3]]",
        "[1,[2]]",
        "[null,false]",
        "nan",
        "infinite",
    ],
    "h": [
        ".",
        ".a",
        ".b",
        ".a.b",
        ".a[0]",
        ".[0]",
        ".[-1]",
        ".[]",
        ".[]?",
        ".a?",
        ".a[]?",
        "..",
        ".[1:]",
        ".[:2]",
        ".[-2:]",
        '.["a"]',
        '."b"',
        ".a[1:]?",
        ".[0]?",
        ".c",
        ".[2]?",
        ".a.b?",
        "(..|.a?)",
        "first",
        "last",
        ".[1.7]?",
    ],
    "0": [
        "length",
        "not",
        "type",
        "keys",
        "keys_unsorted",
        "add",
        "any",
        "all",
        "sort",
        "unique",
        "min",
        "max",
        "flatten",
        "tojson",
        "tostring",
        "tonumber?",
        "fromjson?",
        "ascii_downcase?",
        "ascii_upcase?",
        "explode?",
        "implode?",
        "to_entries",
        "values",
        "nulls",
        "booleans",
        "numbers",
        "strings",
        "arrays",
        "objects",
        "iterables",
        "scalars",
        "empty",
        "error?",
        "transpose?",
        "paths",
        "tostream",
        "floor",
        "sqrt",
        "round",
        "ceil",
        "abs?",
        "trim?",
        "ltrim?",
        "rtrim?",
        "utf8bytelength?",
        "isnan",
        "isinfinite",
        "isnormal",
        "recurse",
        "[paths]",
        "combinations?",
        "toboolean?",
        ".*2",
        "@json",
        "@text",
        "@html",
        "@csv?",
        "@tsv?",
        "@sh?",
        "@uri",
        "@base64",
        "fabs",
        "trunc",
        "significand",
        "logb",
        "exp2",
        "pow(2;3)",
        "tojson|fromjson",
        'getpath(["a","b"])?',
        'has("a")?',
        "has(0)?",
        "isempty(.[]?)",
        'splits(",")?',
        "min_by(.a)?",
        "modf",
        "frexp",
        '(if(type=="string")then(.)else(reverse)end)?',
    ],
    "p": [
        '"a"',
        '"[a-z]"',
        '"b*"',
        '"(?<x>[a-z])(?<y>X)?"',
        '"^a"',
        '"$"',
        '"\\\\d+"',
        '""',
        '"A"',
        '","',
        '"(a|ab)(c)?"',
    ],
    "f": ["null", '"g"', '"i"', '"gi"', '"x"', '"n"', '"gn"'],
    "o": ["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or", "//", ","],
    "q": ["=", "|=", "+=", "-=", "*=", "/=", "%=", "//="],
    "s": ["0", "1", "2", "3", "(1,2)", ".a"],
}

SHAPES = r"""
#e | #e
(#e) #o (#e)
#l #o #l
#l #o #l #o #l
-(#e)
[#e]
{a: (#e), b: (#e)}
{"k": #l, (#e | tostring): 1}
(#e)?
try (#e) catch "caught"
try (#e) catch type
try error(#k) catch .
if #e then #e else #e end
if #l then #l elif #l then #e end
(#e) as $#n | #b
#e as [$#n, $w] | #w
#e as {a: $#n, $w} | #w
#e as {"b": [$#n], ("a", "c"): $w} | #w
[. as [$#n] ?// {a: $#n} ?// $#n | #b]
reduce (#e) as $#n ([#l][0]; #b)
reduce .[]? as [$#n, $w] ([#l][0]; #w)
foreach (#e) as $#n ([#l][0]; #b)
[foreach (#e) as $#n ([#l][0]; #b; #b)]
label $out | (#e, break $out, #e)
label $out | foreach (#e) as $#n (0; . + 1; if . > 2 then ., break $out else $#n end)
def f: #e; #e | f
def f(g): #e | g; f(#e)
def f($#n; $w): #w; f(#e; #l)
def f($#n): $#n, #n, #b; f(#e)
def f: if type == "array" then map(f) else #l end; f
def f(g): if type == "number" and . < 5 then g | f(g) else . end; f(. + 1, #l) | first
select(#e)
map(#e)
map(select(#e))?
map_values(#e)
[limit(#s; #e)]
first(#e)
[skip(#s; #e)]
last(#e)
nth(#s; #e)
isempty(#e)
[limit(9; range(#s))]
[limit(9; range(#s; #s))]
[limit(9; range(0; #s; (1, 2)))]
[limit(9; range(3; #s; -1))]
[limit(7; .[]? | recurse(if type == "number" and . < 4 then . + 1 else #h end))]
[limit(7; recurse(#h; . != null))]
[limit(7; 0 | while(. < 5; . + 1) | #e)]
0 | until(. > 4; . + 1)
any(#e)
all(#e; #e)
sort_by(#e)?
group_by(#e)?
unique_by(#e)?
(min_by(#e), max_by(#e))?
(objects | with_entries(.value |= tojson))?
(map({key: (#e | tostring), value: #l}) | from_entries)?
(objects | with_entries(select(.value)))?
(objects | with_entries(.key += "x"))?
add(#e)
contains(#e)?
inside(#e)?
index(#e)
indices(#e)
rindex(#l)?
in(#e)?
join(#l)?
split(#l)?
startswith(#l)?
ltrimstr(#l)?, rtrimstr(#l)?
trimstr(#l)?
flatten(#s)?
walk(#e)
getpath([#l])?
sort? | bsearch(#k)
pow(#s; #s)?
IN(#e)
IN(#e; #e)
INDEX(#l)?
[1 | truncate_stream(#e)]?
fromstream(tostream)
fromstream(tostream | select(length == 2))
.[#e]?
.[#l]
.[(#l):(#l)]?
(#e)[]?
(#e).a?
(#e)[(#s)]?
"x\(#e)y\(#l)"
@base64 "x\(#l)"
@json "<\(#e)>"
test(#p; #f)?
[match(#p; #f)]?
capture(#p; #f)?
[scan(#p)]?
split(#p; #f)?
(sub(#p; "<\(.x)>"), gsub(#p; "-"; #f))?
gsub(#p; "1", "2")?
gsub(#p; "\(.x)\(.y)")?
[splits(#p)]?
path(#t)
[paths(#e)]
del(#t)
delpaths([path(#t)])
pick(#t)?
#t #q #e
#t |= empty
#t |= (#e)
setpath([#l]; #l)?
to_entries? | #e
limit(3; #e), 1
getpath(["a", 0, "b"]) |= #l
""".strip().splitlines()

PLACES = """
#h
#t | #t
#t, #t
if #e then #t else #t end
#t // #t
#t | select(#e)
first(#t)
limit(2; #t)
getpath(["a"])
getpath([0], ["a", "b"])
recurse
.[]? | #t
(#t)?
#e as $p | #t
def f: #t; f
def f(g): g | #t; f(#t)
label $l | #t, break $l
.. | numbers
nth(0)
empty
1
.a + 1
null
""".strip().splitlines()

HOLE = re.compile("#([a-z])")


@st.composite
def programs(draw: st.DrawFn, depth: int) -> str:
    """Programs with trees about that deep."""
    return _program(draw, depth, ())


def _program(draw: st.DrawFn, depth: int, names: tuple[str, ...]) -> str:
    if depth <= 0 or draw(st.integers(0, 9)) == 0:
        return _leaf(draw, names)
    return _filled(draw, draw(st.sampled_from(SHAPES)), depth - 1, names)


def _leaf(draw: st.DrawFn, names: tuple[str, ...]) -> str:
    kind = draw(st.sampled_from("hk0v" if names else "hk0"))
    if kind == "v":
        return "$" + draw(st.sampled_from(names))
    return draw(st.sampled_from(CHOICES[kind]))


def _filled(draw: st.DrawFn, shape: str, depth: int, names: tuple[str, ...]) -> str:
    new = f"v{len(names)}"

    def fill(hole: re.Match[str]) -> str:
        kind = hole[1]
        match kind:
            case "e":
                return _program(draw, depth, names)
            case "l":
                return _leaf(draw, names)
            case "t":
                shape = "#h" if depth <= 0 else draw(st.sampled_from(PLACES))
                return f"({_filled(draw, shape, depth - 1, names)})"
            case "b":
                return _program(draw, depth, (*names, new))
            case "w":
                return _program(draw, depth, (*names, new, "w"))
            case "n":
                return new
        return draw(st.sampled_from(CHOICES[kind]))

    return HOLE.sub(fill, shape)


# Comparing

NEGATIVE_ZERO = re.compile(r"-0(?![.\d])")


def alike(ours: Any, theirs: Any) -> bool:
    """Equal as JSON; numbers up to the last digits that C libraries differ in."""
    if isinstance(ours, bool) or isinstance(theirs, bool) or ours is None or theirs is None:
        return ours is theirs
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return ours == theirs or math.isclose(ours, theirs, rel_tol=MATHS_TOLERANCE)
    if isinstance(ours, str) and isinstance(theirs, str):
        return NEGATIVE_ZERO.sub("0", ours) == NEGATIVE_ZERO.sub("0", theirs)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(ours, dict) and isinstance(theirs, dict):
        theirs = {NEGATIVE_ZERO.sub("0", key): value for key, value in theirs.items()}
        return ours.keys() == theirs.keys() and all(alike(ours[key], theirs[key]) for key in ours)
    return False


class _Failed:
    def __init__(self, why: object) -> None:
        self.why = why

    def __repr__(self) -> str:
        return f"<failed: {self.why}>"


def by_jq(program: str, value: Any) -> Any:
    """All results of the jq library, or the failure."""
    try:
        return _compiled_by_jq(program).input_value(value).all()
    except ValueError as error:
        return _Failed(error)


@lru_cache(maxsize=4)
def _compiled_by_jq(program: str) -> Any:
    return jq.compile(program)


def by_us(program: str, value: Any) -> Any:
    """All our results, or the failure."""
    try:
        return list(compile_expression(program, variables=()).results(value))
    except ExpressionError as error:
        return _Failed(error)


EMPTY_MATCHES = re.compile(r'"b\*"|""|"\$"')


def judge(program: str, value: Any) -> None:
    """Fail where the two disagree."""
    if EMPTY_MATCHES.search(program) and not json.dumps([value], ensure_ascii=False).isascii():
        return  # The library finds an empty match at every byte of a character.
    ours = by_us(program, value)
    if isinstance(ours, _Failed) and isinstance(ours.why, BudgetExceeded):
        return
    theirs = by_jq(program, value)
    if isinstance(ours, _Failed) and "was computed" in str(ours.why) and "?" in program:
        return
    if isinstance(ours, _Failed) and isinstance(theirs, _Failed):
        return
    same = not isinstance(ours, _Failed) and not isinstance(theirs, _Failed) and alike(ours, theirs)
    assert same, f"{program}\non {value!r}\nwe say {ours!r}\njq says {theirs!r}"


@settings(max_examples=PROGRAMS, deadline=None, suppress_health_check=list(HealthCheck), derandomize=PROGRAMS == 4000)
@given(program=programs(3), first=values, second=values)
def test_generated_programs_answer_as_the_jq_library_does(program: str, first: Any, second: Any) -> None:
    """Authors bring their knowledge of jq, and its documentation is ours: the meaning must be the same."""
    for value in (first, second, None):
        judge(program, value)
