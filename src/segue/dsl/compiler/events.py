"""Event filters, strategies and iterators.

Source: Open Workflow DSL 1.0.x, "Event consumption strategy"; rulings R21 and R22.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import jsonschema_rs

from segue.core.plan import Correlation, EventFilter, Matcher, Program, Strategy
from segue.dsl.compiler.build import DEFINITION, Build, Place, Scope, as_list, as_object, below
from segue.dsl.compiler.programs import NOTHING, expression, template
from segue.dsl.compiler.shapes import Derived
from segue.dsl.expressions import is_wrapped

_SIGNS: Final = frozenset(r"\^$*+?{}[]|()")


def strategy(build: Build, value: Any, pointer: str, scope: Scope, place: Place = DEFINITION) -> Strategy:
    """Compile a consumption strategy."""
    written = as_object(value)
    mode = next((mode for mode in ("one", "all", "any") if mode in written), "any")
    at = below(pointer, mode)
    if mode == "one":
        filters = [_filter(build, written["one"], at, scope, place)]
    else:
        listed = as_list(written.get(mode))
        filters = [_filter(build, entry, below(at, i), scope, place) for i, entry in enumerate(listed)]
    until = None
    if "until" in written:
        until = _until(build, written["until"], below(pointer, "until"), scope, place, mode)
    return Strategy(mode, tuple(filters), until)  # type: ignore[arg-type]


def _until(
    build: Build, value: Any, pointer: str, scope: Scope, place: Place, mode: str
) -> Program | Strategy | None:
    if mode != "any":
        message = f"`until` goes with `any`, not with `{mode}`"
        build.error("until-without-any", pointer, message, "remove it, or listen to `any`", key=True)
        return None
    if isinstance(value, dict):
        return strategy(build, value, pointer, scope, place)
    return expression(build, value, pointer, scope, place)


def _filter(build: Build, value: Any, pointer: str, scope: Scope, place: Place) -> EventFilter:
    written = as_object(value)
    attributes, at = as_object(written.get("with")), below(pointer, "with")
    matchers = [_matcher(build, key, held, below(at, key), scope, place) for key, held in attributes.items()]
    correlations = [
        _correlation(build, key, as_object(held), below(pointer, "correlate", key), scope, place)
        for key, held in as_object(written.get("correlate")).items()
    ]
    return EventFilter(tuple(matchers), tuple(correlations))


def _matcher(build: Build, attribute: str, value: Any, pointer: str, scope: Scope, place: Place) -> Matcher:
    if isinstance(value, str) and is_wrapped(value):
        program = expression(build, value, pointer, scope, place) or NOTHING
        return Matcher(attribute, program=program if attribute == "data" else _equals(program, attribute))
    if isinstance(value, str):
        return Matcher(attribute, value, _pattern(build, value, pointer))
    if _holds_expression(value):
        message = "an expression inside an object is not evaluated here"
        build.error("expression-in-filter", pointer, message, "write one expression for all of it: ${ .a == 1 }")
    return Matcher(attribute, value)


def _equals(program: Program, attribute: str) -> Program:
    """An expression on an attribute: a boolean decides; any other value is what the attribute must equal."""
    inner = program.run

    def run(event: Any, variables: Any, now_ms: int) -> Any:
        value = inner(event, variables, now_ms)
        if value is None or isinstance(value, bool):
            return value
        return isinstance(event, dict) and event.get(attribute) == value

    return Program(run, program.reads, program.text, shape=Derived(program.shape))


def _pattern(build: Build, text: str, pointer: str) -> Callable[[str], Any] | None:
    """The text as a full-match pattern that takes time linear in what it is compared with.

    Text whose only sign is the dot is taken as it stands: event types are written with dots, and nobody who
    writes `com.example.order` wants to hear from `com-example-order`.
    """
    if not _SIGNS.intersection(text):
        return None
    try:
        validator = jsonschema_rs.validator_for(
            {"type": "string", "pattern": rf"^(?:{text})$"}, pattern_options=jsonschema_rs.RegexOptions()
        )
    except (jsonschema_rs.ValidationError, ValueError):
        message = "this text is no regular expression that can be used, so only the very same text matches"
        build.warn("invalid-pattern", pointer, message, "look-around and back-references are not available")
        return None
    return cast(Callable[[str], Any], validator.is_valid)


def _correlation(
    build: Build, key: str, value: dict[str, Any], pointer: str, scope: Scope, place: Place
) -> Correlation:
    source = expression(build, value.get("from"), below(pointer, "from"), scope, place) or NOTHING
    expect = None
    if "expect" in value:
        expect = template(build, value["expect"], below(pointer, "expect"), scope, place)
    return Correlation(key, source, expect)


def _holds_expression(value: Any) -> bool:
    if isinstance(value, str):
        return is_wrapped(value)
    if isinstance(value, dict):
        return any(_holds_expression(held) for held in value.values())
    return isinstance(value, list) and any(_holds_expression(held) for held in value)
