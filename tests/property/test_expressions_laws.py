"""Laws of expressions: they never change data, never crash, always end, and always answer alike."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.property.test_expressions_differential import programs, values

from segue.dsl.expressions import Budget, ExpressionError, compile_expression, regexes, unwrap
from segue.dsl.expressions.meter import DEFAULT_BUDGET, Run
from segue.dsl.expressions.numbers import format_number, scrub
from segue.dsl.expressions.values import OPERATORS, equal, less, less_or_equal, sort_key
from segue.types import SecretText

# An expression that recurses deeply raises the limit for good, on purpose; Hypothesis would like it back.
pytestmark = pytest.mark.filterwarnings("ignore:The recursion limit will not be reset")

WORDS = st.sampled_from(
    [
        ".",
        ".a",
        "..",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        "|",
        ",",
        ":",
        ";",
        '"',
        "\\(",
        ")",
        "$x",
        "$__loc__",
        "as",
        "reduce",
        "foreach",
        "if",
        "then",
        "else",
        "end",
        "def",
        "f:",
        "try",
        "catch",
        "?",
        "//",
        "?//",
        "=",
        "|=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "and",
        "or",
        "not",
        "1",
        "0.5",
        "1e9",
        '"a"',
        "@base64",
        "@",
        "#",
        "\x00",
        "label",
        "break",
        "import",
        "and",
        "empty",
        "range(",
        "limit(1;",
        "é",
        "😀",
        "${",
        "}",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(WORDS, max_size=25).map(" ".join),
    st.lists(WORDS, max_size=25).map("".join),
    st.lists(WORDS, max_size=25).map("\n".join),
)
SMALL = Budget(steps=5_000, bytes=200_000)


@given(
    st.one_of(
        st.text(max_size=40), st.lists(WORDS, max_size=25).map(" ".join), st.lists(WORDS, max_size=25).map("".join)
    )
)
@settings(max_examples=1_500)
@example("\\")
@example("${")
@example(".[")
@example("\ud800")
def test_any_text_compiles_or_is_refused(text: str) -> None:
    """The checker reads whatever people type; anything but one of our errors would be a crash."""
    refusal: ExpressionError | None = None
    try:
        compile_expression(text, variables=["x"]).evaluate({"a": 1}, {"x": [1]}, budget=SMALL)
    except ExpressionError as error:
        refusal = error
    if refusal is not None:
        assert refusal.text == text
        assert refusal.column is None or 1 <= refusal.column <= len(text) + 1


@given(programs(3), values)
@settings(max_examples=600, deadline=None)
def test_an_evaluation_never_changes_its_input(program: str, data: Any) -> None:
    """The core keeps the data it gave; a change in place would rewrite history."""
    before = copy.deepcopy(data)
    try:
        compile_expression(program, variables=()).evaluate(data, budget=SMALL)
    except ExpressionError:
        pass
    assert json.dumps(data) == json.dumps(before)


@given(programs(3), values)
@settings(max_examples=600, deadline=None)
def test_the_same_evaluation_gives_the_same_answer(program: str, data: Any) -> None:
    """Replay rests on it: nothing of one evaluation may be left for the next."""

    def answer() -> str:
        try:
            return json.dumps(compile_expression(program, variables=()).evaluate(data, budget=SMALL))
        except ExpressionError as error:
            return f"{type(error).__name__}: {error}"

    assert answer() == answer()


SUMS = st.lists(
    st.sampled_from([".", "$x", "1", "0.5", "9007199254740993", "1e308", '"a"', "null", "infinite", "nan"]),
    min_size=2,
    max_size=4,
).flatmap(
    lambda operands: st.lists(
        st.sampled_from([" + ", " - ", " * ", " < "]), min_size=len(operands) - 1, max_size=len(operands) - 1
    ).map(lambda signs: "".join(a + b for a, b in zip(operands, [*signs, ""], strict=True)))
)
# JSON has no NaN and no infinity, so no data holds one; what overflows on the way is still drawn.
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(values, st.integers(), FINITE, st.sampled_from([10**400, 2**53 + 1, -0.0, 1e308, -1e308]))


@given(st.one_of(programs(3), SUMS), NUMBERS, NUMBERS)
@settings(max_examples=1_500, deadline=None)
@example(". * $x", 10**400, 0.5)
@example(". + $x", 1e308, 1e308)
def test_the_quick_way_answers_as_the_long_one(program: str, data: Any, x: Any) -> None:
    """Runs go the quick way; what it skips is only the handling of what is out of the ordinary."""

    def fully(data: Any, variables: Any, now_ms: int) -> Any:
        return compiled.evaluate(data, variables, now_ms=now_ms)

    def answer(way: Any) -> str:
        try:
            return json.dumps(way(data, {"x": x}, 7))
        except ExpressionError as error:
            return f"{type(error).__name__}: {error}"

    try:
        compiled = compile_expression(program, variables=["x"])
    except ExpressionError:
        return
    assert answer(compiled.quick(otherwise=fully)) == answer(fully)


PATHS = st.lists(st.sampled_from("ab"), max_size=3).flatmap(
    lambda keys: st.sampled_from([".", "$x."]).map(lambda start: (start + ".".join(keys)).rstrip(".") or ".")
)
COMPARISONS = st.tuples(
    PATHS,
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    st.sampled_from(["1", "0.5", '"a"', "null", "true", "1e400"]),
).map(" ".join)
OBJECTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", '"a"', '"c d"', "(.b)"]), st.one_of(PATHS, st.sampled_from(["1", '"a"', "null"]))
    )
).map(lambda entries: "{" + ", ".join(f"{key}: {value}" for key, value in entries) + "}")
NESTED = st.recursive(
    st.one_of(NUMBERS, st.just("a"), st.just(SecretText.of("crm"))),
    lambda inner: st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=6,
)


@given(st.one_of(PATHS, COMPARISONS, OBJECTS), NESTED, NESTED)
@settings(max_examples=800, deadline=None)
@example(".a == 1", {"a": True}, None)
@example(".a", [1], None)
@example("{a: .a, a: 1}", {}, None)
@example("{a: 1, b: 2, a: .b}", {"b": 3}, None)
def test_a_shortcut_answers_as_the_long_way(program: str, data: Any, x: Any) -> None:
    """The commonest shapes are one function each; whatever is out of the ordinary must come to the same answer."""

    def fully(data: Any, variables: Any, now_ms: int) -> Any:
        return compiled.evaluate(data, variables, now_ms=now_ms)

    def answer(way: Any) -> str:
        try:
            return repr(way(data, {"x": x}, 7))
        except ExpressionError as error:
            return f"{type(error).__name__}: {error}"

    compiled = compile_expression(program, variables=["x"])
    assert answer(compiled.quick(otherwise=fully)) == answer(fully)


@given(NUMBERS, NUMBERS, st.sampled_from("+-*"))
@settings(max_examples=1_500, deadline=None)
@example(10**400, 0.5, "*")
@example(0.5, 2**53 + 1, "+")
@example(0.5, True, "+")
def test_doubles_are_calculated_as_the_operators_say(left: Any, right: Any, sign: str) -> None:
    """Where a double is involved the operator itself is spared; the answer and its form must not show it."""
    # The bare operator repeats a text as often as it is told; only an expression pays for it before.
    assume(sign != "*" or not (isinstance(left, str) or isinstance(right, str)))
    try:
        expected = json.dumps(scrub(OPERATORS[sign](left, right)))
    except ExpressionError:
        return
    found = compile_expression(f"$a {sign} $b", variables=["a", "b"]).evaluate(None, {"a": left, "b": right})
    assert json.dumps(found) == expected


@given(programs(3), values)
@settings(max_examples=600, deadline=None)
def test_a_result_is_json(program: str, data: Any) -> None:
    """No NaN, no infinity, no sentinel of ours may leave an evaluation."""
    try:
        value = compile_expression(program, variables=()).evaluate(data, budget=SMALL)
    except ExpressionError:
        return
    json.dumps(value, allow_nan=False)


@given(programs(2), values)
@settings(max_examples=400, deadline=None)
def test_evaluate_says_what_the_results_are(program: str, data: Any) -> None:
    """None, one or several results become null, a value or an array (ruling R15)."""
    try:
        expression = compile_expression(program, variables=())
        results = list(expression.results(data, budget=SMALL))
        value = expression.evaluate(data, budget=SMALL)
    except ExpressionError:
        return
    expected = results[0] if len(results) == 1 else results or None
    assert json.dumps(value) == json.dumps(expected)


@given(programs(3), values, st.integers(0, 400), st.integers(0, 4_000))
@settings(max_examples=400, deadline=None)
def test_every_budget_ends_an_evaluation(program: str, data: Any, steps: int, size: int) -> None:
    """Whatever the limits, the outcome is a value or an error of ours."""
    try:
        compile_expression(program, variables=()).evaluate(data, budget=Budget(steps=steps, bytes=size))
    except ExpressionError:
        pass


@given(st.lists(values, min_size=3, max_size=3))
def test_the_order_of_values_is_total(three: list[Any]) -> None:
    """Sorting, grouping and comparison share one order."""
    first, second, third = three
    assert sum([less(first, second), less(second, first), equal(first, second)]) == 1
    assert less_or_equal(first, second) == (less(first, second) or equal(first, second))
    assert (sort_key(first) < sort_key(second)) == less(first, second)
    if less(first, second) and less(second, third):
        assert less(first, third)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(0.0001)
@example(5e-324)
@example(1.7976931348623157e308)
def test_a_number_reads_back_as_itself(number: float) -> None:
    """`tojson | fromjson` must not change an amount."""
    assert float(format_number(number)) == number


@given(values)
def test_json_text_reads_back_as_the_value(value: Any) -> None:
    """Encoding round-trips."""
    text = compile_expression("tojson", variables=()).evaluate(value)
    assert json.loads(text) == value
    assert compile_expression("fromjson", variables=()).evaluate(text) == value


@given(values)
def test_base_encodings_and_percent_encoding_round_trip(value: Any) -> None:
    """What a header or a query carries must come out as it went in."""
    text = value if isinstance(value, str) else json.dumps(value)
    for there, back in (("@base64", "@base64d"), ("@base32", "@base32d"), ("@uri", "@urid"), ("tojson", "fromjson")):
        assert compile_expression(f"{there} | {back}", variables=()).evaluate(text) == text


@given(values)
def test_paths_lead_to_what_stands_there(value: Any) -> None:
    """`paths`, `getpath`, `setpath` and `tostream` tell one story."""
    assert compile_expression(
        "(. as $v | all(paths; . as $p | $v | setpath($p; getpath($p)) == $v)) and (fromstream(tostream) == .)",
        variables=(),
    ).evaluate(value)


PATTERN_PARTS = [
    r"a",
    r"b",
    r".",
    r"[ab]",
    r"a*",
    r"b+",
    r"(a|b)",
    r"(a|ab)",
    r"(ab)*",
    r"a?",
    r"^",
    r"$",
    r"\b",
    r"(?:a|b)*?",
    r"(b)?",
    r"a{1,2}",
    r"[^a]",
    r"(?<x>a)",
]
PATTERNS = st.lists(st.sampled_from(PATTERN_PARTS), max_size=5).map("".join)


@given(PATTERNS, st.text("ab c", max_size=12), st.sampled_from(["", "g", "i"]))
@settings(max_examples=600)
def test_both_matchers_find_the_same(pattern: str, text: str, flags: str) -> None:
    """Which of the two runs depends on the length of the text; the answer must not."""
    if pattern.count("(?<x>") > 1:
        return  # A name may stand only once.
    prepared = regexes._prepare(pattern, flags)
    assert prepared.machine is not None
    run = Run(DEFAULT_BUDGET, 0)
    assert list(prepared.machine.spans(run, text)) == list(regexes._python_spans(prepared.compiled, text))


@given(st.text(max_size=30))
def test_wrapping_is_undone_by_unwrapping(text: str) -> None:
    """`${ x }` is x with white space around it gone."""
    assert unwrap("${" + text + "}") == text.strip()


def _pruned(value: Any, paths: list[tuple[Any, ...]]) -> Any:
    """Only what the paths lead to."""
    if any(not path for path in paths):
        return value
    if isinstance(value, dict):
        below = {key: [path[1:] for path in paths if path[0] == key] for key in value}
        return {key: _pruned(item, below[key]) for key, item in value.items() if below[key]}
    if isinstance(value, list):
        return value if any(type(path[0]) is int for path in paths) else []
    return value


@given(programs(2), values, st.booleans())
@settings(max_examples=1_500, deadline=None)
@example(".. | .a?", {"b": {"a": 1}}, False)
@example("@json", {"b": 1}, False)
@example(". as [$v0] ?// $v0 | $v0.b", {"a": 1, "b": 2}, True)
def test_nothing_but_the_paths_is_read(program: str, data: Any, through_variable: bool) -> None:
    """The host may leave out of data and variables what an expression does not read."""
    text = f"$context | ({program})" if through_variable else program
    try:
        expression = compile_expression(text, variables=["context"])
    except ExpressionError:
        return
    root = "$context" if through_variable else "."
    paths = [path[1:] for path in expression.paths if path[0] == root]

    def answer(value: Any) -> str:
        try:
            given_data = None if through_variable else value
            return json.dumps(expression.evaluate(given_data, {"context": value}, budget=SMALL))
        except ExpressionError:
            return "failed"

    assert answer(_pruned(data, paths)) == answer(data)
