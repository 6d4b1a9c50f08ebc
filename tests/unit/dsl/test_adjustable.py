"""Adjustable values: what a document may declare, and who may read them."""

from __future__ import annotations

from textwrap import indent

import pytest

from segue.dsl import check_document, compile_plan, read_document

HEAD = "document:\n  dsl: '1.0.3'\n  namespace: n\n  name: d\n  version: '1.0.0'\n"
THRESHOLD = "threshold: {type: number, minimum: 0.5, maximum: 0.95, default: 0.8, title: From here on}"
READ = "- a: {set: {x: '${ .score >= $adjustable.threshold }'}}"


def text(declared: str, tasks: str = READ, root: str = "") -> str:
    said = f"  metadata:\n    segue:\n      adjustable:\n{indent(declared, ' ' * 8)}\n" if declared else ""
    return f"{HEAD}{said}{root}do:\n{indent(tasks, '  ')}\n"


def found(source: str) -> list[tuple[str, str]]:
    return [(f.rule, f.pointer) for f in check_document(read_document(source))]


def test_a_value_is_declared_read_and_known_to_be_read() -> None:
    """Who changes it is told what it decides about."""
    plan = compile_plan(read_document(text(THRESHOLD)))
    one = plan.adjustable["threshold"]
    assert (one.default, one.title, one.read_by) == (0.8, "From here on", ("/do/0/a/set/x",))
    assert one.check(0.7) is None
    assert "0.5" in (one.check(0.1) or "")
    assert one.check("high") is not None


@pytest.mark.parametrize(
    ("declared", "place"),
    [
        ("threshold: {type: number}", "/threshold"),
        ("threshold: 0.8", "/threshold"),
        ("threshold: {type: number, maximum: 0.5, default: 0.8}", "/threshold/default"),
        ("threshold: {type: no-type, default: 1}", "/threshold"),
        ("threshold: {default: 1, role: 7}", "/threshold/role"),
        ("'a b': {default: 1}", "/a b"),
        ("threshold: {default: '" + "x" * 17_000 + "'}", "/threshold/default"),
    ],
)
def test_a_declaration_that_cannot_hold_is_refused_where_it_stands(declared: str, place: str) -> None:
    """A default outside its own range would be the first value to break the promise."""
    tasks = READ if declared.startswith("threshold") else "- a: {set: {x: '${ $adjustable[\"a b\"] }'}}"
    rules = found(text(declared, tasks))
    assert rules == [("invalid-adjustable", f"/document/metadata/segue/adjustable{place}")]


@pytest.mark.parametrize(
    "expression",
    ["$adjustable.treshold", "$adjustable[.name]", "$adjustable | keys", '$adjustable["other"]'],
)
def test_what_is_not_declared_or_not_named_is_a_finding(expression: str) -> None:
    """A misspelt threshold would be null, and everything is greater than null."""
    tasks = f"{READ}\n- b: {{set: {{x: '${{ {expression} }}'}}}}"
    assert found(text(THRESHOLD, tasks)) == [("unknown-adjustable", "/do/1/b/set/x")]


def test_a_document_without_declarations_reads_none() -> None:
    """Also that is a finding and not null."""
    assert found(text("")) == [("unknown-adjustable", "/do/0/a/set/x")]


def test_what_nothing_reads_is_warned_of() -> None:
    """Operations would turn a knob that is not connected."""
    more = f"{THRESHOLD}\nother: {{default: 1}}"
    assert found(text(more)) == [("unused-adjustable", "/document/metadata/segue/adjustable/other")]


def test_a_function_of_the_document_reads_them_and_one_of_a_catalogue_does_not() -> None:
    """A catalogue's function does not know what its callers declare."""
    tasks = "- a: {call: f}"
    root = "use:\n  functions:\n    f: {set: {x: '${ $adjustable.threshold }'}}\n"
    assert found(text(THRESHOLD, tasks, root)) == []


def test_the_name_is_free_where_nothing_is_declared() -> None:
    """Documents of earlier releases may have called a loop's variable so; they must go on."""
    tasks = "- a: {for: {in: '${ [1] }', each: adjustable}, do: [{b: {set: {x: '${ $adjustable }'}}}]}"
    assert found(text("", tasks)) == []
    both = f"{READ}\n{tasks.replace('- a:', '- l:')}"
    assert ("shadowed-variable", "/do/1/l/for/each") in found(text(THRESHOLD, both))


def test_in_loose_mode_a_text_that_reads_none_stays_a_text() -> None:
    """It was a text in earlier releases."""
    tasks = "- a: {set: {x: $adjustable.threshold}}"
    assert found(text("", tasks, "evaluate: {mode: loose}\n")) == []
    assert compile_plan(read_document(text(THRESHOLD, tasks, "evaluate: {mode: loose}\n"))).adjustable[
        "threshold"
    ].read_by == ("/do/0/a/set/x",)
