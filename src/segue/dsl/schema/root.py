"""The root of a document."""

from __future__ import annotations

from segue.dsl.schema.build import (
    LABEL_PATTERN,
    SEMVER_PATTERN,
    Schema,
    closed,
    free,
    many,
    named,
    ref,
    text,
    words,
)

_LABEL = "1 to 63 letters, digits and hyphens; a letter or digit at both ends."

DEFS: dict[str, Schema] = {
    "document": closed(
        "document",
        {
            "dsl": text("Version of the language, in quotes: '1.0.3'.", pattern=SEMVER_PATTERN),
            "namespace": text(f"Who the workflow belongs to. {_LABEL}", pattern=LABEL_PATTERN),
            "name": text(f"The workflow's name. {_LABEL}", pattern=LABEL_PATTERN),
            "version": text("Version of this definition, in quotes: '1.0.0'.", pattern=SEMVER_PATTERN),
            "title": text("A name for people."),
            "summary": text("What it is for, in Markdown."),
            "tags": free("Key and value pairs to find it by."),
            "metadata": free("For tools. `metadata.segue` holds owner, purpose, risk class, time zone and the like."),
        },
        required=("dsl", "namespace", "name", "version"),
    ),
    "use": closed(
        "use",
        {
            "authentications": named(ref("authenticationPolicy")),
            "catalogs": named(closed("catalog", {"endpoint": ref("endpoint")}, required=("endpoint",))),
            "errors": named(ref("error")),
            "extensions": many(ref("extension")),
            "functions": named(ref("task")),
            "retries": named(ref("retryPolicy")),
            "secrets": many(text(minLength=1), "Names of the secrets that this workflow may use."),
            "timeouts": named(ref("timeout")),
        },
    ),
    "schedule": closed(
        "schedule",
        {
            "every": ref("duration", "Start at this interval, even while an earlier run is going."),
            "cron": text("A cron expression with five fields.", minLength=1),
            "after": ref("duration", "Start again this long after the last run completed."),
            "on": ref("eventStrategy", "Start for events; the raw input is the list of them."),
            "read": ref("eventRead", "What of the events stands in the input. Only with `on`."),
        },
    ),
    "evaluate": closed(
        "evaluate",
        {
            "language": text("Language of expressions.", default="jq"),
            "mode": words("strict", "loose", default="strict"),
        },
    ),
}

ROOT: Schema = closed(
    "workflow",
    {
        "document": ref("document", "Identity and description."),
        "input": ref("input", "Schema and transform of the workflow's input."),
        "use": ref("use", "Components that tasks refer to by name."),
        "do": ref("taskList", "The tasks."),
        "timeout": ref("timeoutOrName", "How long a run may take."),
        "output": ref("output", "Transform and schema of the workflow's output."),
        "schedule": ref("schedule", "When runs start by themselves."),
        "evaluate": ref("evaluate"),
    },
    required=("document", "do"),
)
