"""Events: their properties, filters and consumption strategies, and the iterator over them."""

from __future__ import annotations

from typing import Any

from segue.dsl.schema.build import (
    VARIABLE_PATTERN,
    Schema,
    anything,
    closed,
    either,
    exactly_one,
    expression,
    many,
    named,
    ref,
    text,
    words,
)

_ATTRIBUTES: dict[str, Schema] = {
    "id": text(),
    "source": text("A URI reference."),
    "type": text("What kind of event it is, such as com.example.order.placed."),
    "time": text("RFC 3339, or one expression."),
    "subject": text(),
    "datacontenttype": text(),
    "dataschema": text("A URI."),
    "data": anything("The payload."),
}


def _strategy(title: str, **more: Schema) -> Schema:
    properties = {
        "one": ref("eventFilter", "One event that fits."),
        "all": many(ref("eventFilter"), "One event for each filter, in any order.", minItems=1),
        "any": many(ref("eventFilter"), "The first event that fits any filter. An empty list fits every event."),
    }
    return exactly_one(title, {**properties, **more}, ("one", "all", "any"))


def _attributes(title: str, **more: Any) -> Schema:
    """CloudEvents attributes; extension attributes may have any name."""
    return {"title": title, "type": "object", "properties": _ATTRIBUTES, **more}


VARIABLE = {"pattern": VARIABLE_PATTERN}

DEFS: dict[str, Schema] = {
    "eventProperties": _attributes("event", required=["type"]),
    "eventFilter": closed(
        "event filter",
        {
            "with": _attributes("event attributes", minProperties=1),
            "correlate": named(
                closed(
                    "correlation",
                    {
                        "from": expression("Extracts a value from the event."),
                        "expect": text("What it must be: a constant, or one expression in ${ }."),
                    },
                    required=("from",),
                ),
                "Ties events to this run, and to each other, by values inside them.",
            ),
        },
        required=("with",),
    ),
    "untilStrategy": _strategy("strategy of `until`"),
    "eventStrategy": _strategy(
        "event strategy",
        until=either(
            expression("Keep consuming until this holds; `.` is the list of what was consumed."),
            ref("untilStrategy", "Keep consuming until these events arrive."),
        ),
    ),
    "eventRead": words(
        "data", "envelope", "raw", description="What is read of an event: its data, all of it, or its raw data."
    ),
    "iterator": closed(
        "foreach",
        {
            "item": text("Name of the variable of the event.", default="item", **VARIABLE),
            "at": text("Name of the variable of its place, from 0.", default="index", **VARIABLE),
            "do": ref("taskList", "What to do with each event."),
            "output": ref("output"),
            "export": ref("export"),
        },
    ),
}
