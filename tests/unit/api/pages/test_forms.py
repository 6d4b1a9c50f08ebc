"""Forms from JSON Schemas: two laws, and what each kind of field makes of what is typed."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.integration.pages_support import fields_of_page

from segue.api.pages.fields import MISSING, Field, fields_of, same
from segue.api.pages.filling import browsed, filled, name_of, shown_of
from segue.api.pages.form import Typed, form_fields
from segue.api.pages.html import el

LEAVES: list[Any] = [
    {"type": "string"},
    {"type": "string", "maxLength": 500},
    {"type": "string", "format": "date"},
    {"type": "string", "minLength": 2},
    {"type": "integer", "minimum": 0},
    {"type": "number"},
    {"type": "boolean"},
    {"type": ["string", "null"]},
    {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    {"enum": ["a", "b", "", 1, True, None, [1], {"x": 1}]},
    {"oneOf": [{"const": 1, "title": "One"}, {"const": 2, "title": "Two"}]},
    {"const": "fixed"},
    {"type": "array", "items": {"type": "string"}},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
    {"type": "array", "items": {"type": "number"}},
    {"type": "array", "uniqueItems": True, "items": {"enum": ["x", "y", 1, 1.5]}},
    {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
    {"type": "object"},
    {"$ref": "#/$defs/shared"},
    {"$ref": "#/$defs/itself"},
    {"type": "string", "readOnly": True},
    {"not": {"type": "string"}},
    {},
    True,
]
NAMES = ["a", "b/c", "d~e", "", "<b>", "ñ"]
TEXTS = [
    "",
    " ",
    "a",
    "a\r\nb",
    "\n\na\n",
    "\ra",
    "</textarea><script>",
    "'\">",
    "\0",
    "\u202e",
    "x" * 200,
    "&amp;",
    " a ",
]
TEXTS += ["2026-01-31", "2026-02-30", "yes", "0", "fixed", "x", "y", "•••• (personal)", "[1]", "é"]
NUMBERS = [0, 1, -1, 2, 1.5, 1.0, -0.0, 10**30, 1e300, 0.1, True, False, None]
"""Not a strategy for each: putting forms together by those takes longer than trying them."""


def schema_of(dice: Random, depth: int) -> Any:
    """A schema of a property."""
    return object_of(dice, depth - 1) if depth and dice.random() < 0.3 else dice.choice(LEAVES)


def object_of(dice: Random, depth: int = 2) -> dict[str, Any]:
    """A schema of an object as forms have them."""
    properties = {name: schema_of(dice, depth) for name in dice.sample(NAMES, dice.randint(1, 4))}
    required = [name for name in properties if dice.random() < 0.5]
    return {"type": "object", "properties": properties, "required": required}


def value_of(dice: Random, depth: int = 3) -> Any:
    """Any JSON."""
    match dice.randint(0, 5 if depth else 2):
        case 0:
            return dice.choice(NUMBERS)
        case 1 | 2:
            return dice.choice(TEXTS)
        case 3:
            return [value_of(dice, depth - 1) for _ in range(dice.randint(0, 3))]
        case 4:
            return [dice.choice(TEXTS if dice.random() < 0.5 else NUMBERS[:9]) for _ in range(3)]
    return {dice.choice([*NAMES, *TEXTS]): value_of(dice, depth - 1) for _ in range(dice.randint(0, 4))}


def fitting(dice: Random, schema: Any, depth: int = 3) -> Any:
    """A value that fits a schema by luck, or nearly does."""
    said = schema if isinstance(schema, dict) else {}
    if "properties" in said and dice.random() < 0.9:
        more = {dice.choice(TEXTS): 1} if dice.random() < 0.2 else {}
        return more | {
            name: fitting(dice, part, depth - 1)
            for name, part in said["properties"].items()
            if depth and (name in said.get("required", ()) or dice.random() < 0.6)
        }
    return dice.choice(said["enum"]) if "enum" in said and dice.random() < 0.8 else value_of(dice, 1)


def form_and_data(seed: int) -> tuple[dict[str, Any], Any]:
    """A form, and data that may or may not fit it."""
    dice = Random(seed)
    itself = {"type": "object", "properties": {"inner": {"$ref": "#/$defs/itself"}, "n": {"type": "integer"}}}
    form = {**object_of(dice), "$defs": {"shared": {"type": "string", "title": "Shared"}, "itself": itself}}
    return form, fitting(dice, form)


SEEDS = st.integers(0, 2**64)


def posted(field: Field) -> dict[str, list[str]]:
    """What a browser posts of the page with these fields, when nobody touches them."""
    return fields_of_page(el("form", form_fields(field, None), action="/x").text, "/x")


@given(SEEDS)
@settings(max_examples=150, deadline=None)
def test_what_comes_back_unchanged_is_the_same_data(seed: int) -> None:
    """Whoever only looks and approves must not have edited anything, not a digit and not a line end."""
    form, data = form_and_data(seed)
    field = fields_of(form, data)
    wrong: dict[str, str] = {}
    came = filled(field, posted(field), wrong)
    assert not wrong
    # An object that is needed and was not there is there once it was shown as fields.
    lacking = not jsonschema_rs.validator_for(form).is_valid(data)
    assert same(came, data) or (lacking and _without_empty(came) == _without_empty(data or {})), (came, data)


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: held for key, part in value.items() if (held := _without_empty(part)) != {}}
    return value


TYPED = [*TEXTS, "", "yes", "no", "0", "7", "as-is", "-1", "1.0", "1e400", "[1]", '{"n": "x"}', "null", "1,5", "0x1"]
TYPED += ["1_000", "١", "NaN", "99999999999999999999", "[" * 5000, "1\r\n2", "a\r\n\r\nb"]


@given(SEEDS)
@settings(max_examples=150, deadline=None)
def test_what_is_typed_is_a_value_of_its_kind_or_an_error_beside_it(seed: int) -> None:
    """Nothing is taken for something else: a number that is none is no text, a choice is one that there is."""
    form, before = form_and_data(seed)
    field, dice = fields_of(form, before), Random(seed)
    names = posted(field)
    sent = {name: dice.choices(TYPED, k=1 if dice.random() < 0.9 else 2) for name in names}
    wrong: dict[str, str] = {}
    filled(field, {**names, **sent}, wrong)
    _judge(field, {**names, **sent}, wrong)
    # And the page shows it again, with the error, whatever it was.
    again = form_fields(field, Typed(sent, wrong, ""))
    assert "<script" not in again.text


def _judge(field: Field, sent: dict[str, list[str]], wrong: dict[str, str]) -> None:
    if field.kind == "object":
        for part in field.parts:
            _judge(part, sent, wrong)
        return
    value = filled(field, sent, {})
    if field.place in wrong or same(value, field.value) or value is MISSING or value is None:
        return
    assert not field.fixed
    kinds: dict[str, Any] = {
        "whole": int,
        "number": (int, float),
        "yes-no": bool,
        "line": str,
        "lines": str,
        "date": str,
    }
    if field.kind in kinds:
        assert isinstance(value, kinds[field.kind])
        assert field.kind == "yes-no" or not isinstance(value, bool)
    if field.kind == "choice":
        assert any(same(option.value, value) for option in field.options)
    if field.kind == "ticks":
        assert all(any(same(option.value, one) for option in field.options) for one in value)
    if field.kind == "date":
        assert date.fromisoformat(value).isoformat() == value


def one(schema: Any, value: Any = MISSING, *, needed: bool = False) -> Field:
    """The field of one property."""
    data = {} if value is MISSING else {"x": value}
    form = {"type": "object", "properties": {"x": schema}, "required": ["x"] if needed else []}
    (field,) = fields_of(form, data).parts
    return field


def typed(field: Field, *texts: str) -> Any:
    """What these texts mean in a field; what is wrong with them, where they mean nothing."""
    wrong: dict[str, str] = {}
    value = filled(field, {name_of(field): list(texts)}, wrong)
    return wrong.get(field.place, value) if wrong else value


@pytest.mark.parametrize(
    ("schema", "texts", "meant"),
    [
        ({"type": "integer"}, ["12"], 12),
        ({"type": "integer"}, ["12.0"], 12),
        ({"type": "number"}, [" 12.50 "], 12.5),
        ({"type": "number"}, ["1e3"], 1000.0),
        ({"type": "boolean"}, ["no"], False),
        ({"type": "string"}, [" a "], " a "),
        ({"type": "string", "format": "date"}, ["2026-01-31"], "2026-01-31"),
        ({"enum": ["a", 1, None]}, ["1"], 1),
        ({"enum": ["a", 1, None]}, ["2"], None),
        ({"type": "array", "items": {"type": "string"}}, ["a\r\n\r\n b \r\n"], ["a", "b"]),
        ({"type": "array", "items": {"type": "integer"}}, ["1\r\n2"], [1, 2]),
        ({"type": "array", "uniqueItems": True, "items": {"enum": ["x", "y"]}}, ["1", "0"], ["x", "y"]),
        ({"type": "array", "items": {"type": "object"}}, ['[{"a": 1}]'], [{"a": 1}]),
    ],
)
def test_each_kind_of_field_reads_what_a_person_types(schema: Any, texts: list[str], meant: Any) -> None:
    """As they would say it, and as the schema has it."""
    assert same(typed(one(schema), *texts), meant)


@pytest.mark.parametrize(
    ("schema", "texts", "told"),
    [
        ({"type": "integer"}, ["1.5"], "no whole number"),
        ({"type": "number"}, ["1.250,50"], "no number"),
        ({"type": "number"}, ["1e999"], "not JSON"),
        ({"type": "number"}, ["9" * 401], "no number"),
        ({"type": "boolean"}, ["true"], "yes or no"),
        ({"enum": ["a"]}, ["1"], "of the list"),
        ({"enum": ["a"]}, ["-1"], "of the list"),
        ({"enum": ["a"]}, ["as-is"], "of the list"),
        ({"type": "string", "format": "date"}, ["31.1.2026"], "no date"),
        ({"type": "string", "format": "date"}, ["2026-02-30"], "no date"),
        ({"type": "array", "items": {"type": "integer"}}, ["1\r\nx"], "no whole number"),
        ({"type": "array", "items": {"type": "object"}}, ["[1,"], "not JSON"),
        ({"type": "array", "items": {"type": "object"}}, ["[" * 100_000], "not JSON"),
        ({"type": "string"}, ["a", "b"], "came twice"),
    ],
)
def test_what_is_no_value_of_its_kind_is_told(schema: Any, texts: list[str], told: str) -> None:
    """With what one is, so that the person can go on."""
    assert told in typed(one(schema), *texts)


@pytest.mark.parametrize(
    ("schema", "before", "needed", "meant"),
    [
        ({"type": "string"}, "a", False, MISSING),
        ({"type": "string"}, "a", True, ""),
        ({"type": ["string", "null"]}, "a", False, None),
        ({"type": "integer"}, 1, False, MISSING),
        ({"type": "integer"}, 1, True, MISSING),
        ({"type": "array", "items": {"type": "string"}}, ["a"], False, []),
        ({"type": "object"}, {"a": 1}, False, MISSING),
    ],
)
def test_an_emptied_field_is_left_out_where_it_may_be(schema: Any, before: Any, needed: bool, meant: Any) -> None:
    """An empty text where a number was is no number; the schema says whether it may be missing."""
    field = one(schema, before, needed=needed)
    assert field.value == before
    assert same(typed(field, ""), meant) or typed(field, "") is meant


def test_what_a_schema_does_not_name_stays_and_cannot_be_posted() -> None:
    """Nobody edits what they have no field for."""
    form = {"type": "object", "properties": {"a": {"type": "integer"}}}
    field = fields_of(form, {"a": 1, "secret": "s"})
    wrong: dict[str, str] = {}
    came = filled(field, {"data/a": ["2"], "data/secret": ["x"], "data": ['{"secret": 0}'], "data/b": ["1"]}, wrong)
    assert came == {"a": 2, "secret": "s"}
    assert not wrong


def test_what_may_not_be_written_is_shown_and_stays() -> None:
    """A field that is only to be read has no control, and what is posted under its name is not looked at."""
    field = one({"type": "string", "readOnly": True}, "kept")
    assert typed(field, "other") == "kept"
    assert "<input" not in form_fields(field, None).text


def test_a_form_without_data_becomes_an_object_once_it_is_filled_in() -> None:
    """A task may ask for everything and know nothing."""
    form = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}
    field = fields_of(form, None)
    assert filled(field, {**posted(field), "data/a": ["x"]}, {}) == {"a": "x"}
    assert filled(fields_of({}, None), {"data": [""]}, {}) is None


def test_what_is_no_field_is_json_and_loses_nothing() -> None:
    """A schema of any kind, and a value that is not what the schema says."""
    for schema, value in (
        ({"type": "integer"}, "x"),
        ({"type": "string"}, {"a": 1}),
        ({"anyOf": [{}, {}]}, 1),
        ({}, []),
    ):
        field = one(schema, value)
        assert field.kind == "json"
        assert typed(field, *shown_of(field)) == value


def test_a_schema_that_never_ends_makes_a_form_that_does() -> None:
    """References to itself, and a thousand properties."""
    itself = {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}
    assert len(form_fields(fields_of(itself, None), None).text) < 10_000
    many = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(1000)}}
    assert fields_of(many, {}).kind == "json"


@given(st.text())
def test_a_text_comes_back_as_a_browser_gives_it(text: str) -> None:
    """Line ends become plain, and what HTML cannot hold is replaced: doing it twice changes nothing."""
    assert browsed(browsed(text)) == browsed(text)
