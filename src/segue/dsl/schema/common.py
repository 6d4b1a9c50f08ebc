"""Pieces that many places of a document share."""

from __future__ import annotations

from segue.dsl.schema.build import (
    Schema,
    anything,
    closed,
    either,
    exactly_one,
    expression,
    free,
    ref,
    text,
    whole,
)
from segue.types.durations import UNIT_MS

_TRANSFORM = either(text(minLength=1), {"type": "object"})

DEFS: dict[str, Schema] = {
    "duration": either(
        text("ISO 8601 text such as PT30S, P2W or PT0.5S, or one expression that gives such text.", minLength=1),
        closed(
            "duration",
            {unit: whole(f"Whole {unit}.", minimum=0) for unit in UNIT_MS},
            minProperties=1,
        ),
        description="A length of time. Years and months are refused: they have no fixed length.",
    ),
    "uri": text(
        "A URI, a relative reference, a template with {names} of top-level keys, or one expression in ${ }.",
        minLength=1,
    ),
    "endpoint": either(
        ref("uri"),
        closed(
            "endpoint",
            {"uri": ref("uri"), "authentication": ref("authentication")},
            required=("uri",),
        ),
        description="Where to call.",
    ),
    "externalResource": closed(
        "external resource",
        {"name": text("A name for people."), "endpoint": ref("endpoint")},
        required=("endpoint",),
    ),
    "schema": exactly_one(
        "schema",
        {
            "format": text("`json`, optionally with a draft after a colon.", default="json"),
            "document": either(
                {"type": "object"}, {"type": "boolean"}, description="The schema itself, written here."
            ),
            "resource": ref(
                "externalResource", "Where the schema is kept; it is read when the workflow is published."
            ),
        },
        ("document", "resource"),
    ),
    "input": closed(
        "input",
        {
            "schema": ref("schema", "What the raw input must look like."),
            "from": {**_TRANSFORM, "description": "Makes the input from the raw input."},
        },
    ),
    "output": closed(
        "output",
        {
            "schema": ref("schema", "What the output must look like."),
            "as": {**_TRANSFORM, "description": "Makes the output from the raw output."},
        },
    ),
    "export": closed(
        "export",
        {
            "schema": ref("schema", "What the context must look like afterwards."),
            "as": {**_TRANSFORM, "description": "Replaces the context. To add to it write `$context + {...}`."},
        },
    ),
    "timeout": closed("timeout", {"after": ref("duration")}, required=("after",)),
    "timeoutOrName": either(
        text("A name in `use.timeouts`.", minLength=1),
        ref("timeout"),
        description="How long this may take. After that it fails with a timeout error (408).",
    ),
    "then": text("What follows: `continue`, `exit`, `end`, or the name of a task of the same list.", minLength=1),
    "error": closed(
        "error",
        {
            "type": text("A URI that names the kind of error.", minLength=1),
            "status": whole("The status that fits best, as in HTTP.", minimum=100, maximum=599),
            "title": text("One short line that is the same for every error of this kind."),
            "detail": text("What happened this time."),
            "instance": text("Always set by the runtime; a value given here is ignored."),
        },
        required=("type", "status"),
    ),
    "retryPolicy": closed(
        "retry policy",
        {
            "when": expression("Retry only while this holds."),
            "exceptWhen": expression("Do not retry while this holds."),
            "delay": ref("duration", "Pause before a retry."),
            "backoff": exactly_one(
                "backoff",
                {kind: free() for kind in ("constant", "linear", "exponential")},
                ("constant", "linear", "exponential"),
                description="How the pause grows with each retry.",
            ),
            "jitter": closed(
                "jitter",
                {"from": ref("duration"), "to": ref("duration")},
                required=("from", "to"),
                description="A random addition to each pause.",
            ),
            "limit": closed(
                "retry limit",
                {
                    "attempt": closed(
                        "attempt limit",
                        {
                            "count": whole("Retries after the first try.", minimum=0),
                            "duration": ref("duration", "How long one attempt may take."),
                        },
                    ),
                    "duration": ref("duration", "How long all attempts with their pauses may take."),
                },
            ),
        },
    ),
    "metadata": free("For people and tools; never changes what happens."),
    "value": anything("Text that is one `${ ... }` is evaluated, at any depth; everything else is taken as it is."),
}
