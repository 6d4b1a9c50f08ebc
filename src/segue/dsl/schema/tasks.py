"""The twelve kinds of tasks."""

from __future__ import annotations

from typing import Any

from segue.dsl.schema.build import (
    Schema,
    closed,
    either,
    exactly_one,
    expression,
    flag,
    free,
    many,
    named,
    ref,
    single,
    text,
    words,
)
from segue.dsl.schema.calls import PROTOCOLS
from segue.dsl.schema.events import VARIABLE

COMMON: dict[str, Schema] = {
    "if": expression("Run this task only if this holds on its raw input; otherwise it is skipped."),
    "input": ref("input"),
    "output": ref("output"),
    "export": ref("export"),
    "timeout": ref("timeoutOrName"),
    "then": ref("then"),
    "metadata": ref("metadata"),
}

_TEXTS = named(text())
_ARGUMENTS = either(many(text()), free(), description="A list is the command line; an object, named variables.")


def _task(keyword: str, description: str, properties: dict[str, Schema], **more: Any) -> Schema:
    required = more.pop("required", (keyword,))
    return closed(f"{keyword} task", {**properties, **COMMON}, required=required, description=description, **more) | {
        "x-keyword": keyword
    }


def _arguments_of(protocol: str) -> Schema:
    return {
        "if": {"properties": {"call": {"const": protocol}}, "required": ["call"]},
        "then": {"properties": {"with": ref(f"{protocol}Arguments")}, "required": ["with"]},
    }


_RUN: dict[str, Schema] = {
    "container": closed(
        "container",
        {
            "image": text(minLength=1),
            "name": expression("The container's name."),
            "command": text(),
            "ports": free(),
            "volumes": free(),
            "environment": _TEXTS,
            "stdin": text(),
            "arguments": many(text()),
            "pullPolicy": words("ifNotPresent", "always", "never", default="ifNotPresent"),
            "lifetime": closed(
                "container lifetime",
                {"cleanup": words("always", "never", "eventually", default="never"), "after": ref("duration")},
                required=("cleanup",),
            ),
        },
        required=("image",),
    ),
    "script": exactly_one(
        "script",
        {
            "language": text("`python` or `js`.", minLength=1),
            "code": text("The program. It is never evaluated as an expression.", minLength=1),
            "source": ref("externalResource"),
            "stdin": text(),
            "arguments": _ARGUMENTS,
            "environment": _TEXTS,
        },
        ("code", "source"),
        required=("language",),
    ),
    "shell": closed(
        "shell",
        {
            "command": text(minLength=1),
            "stdin": text(),
            "arguments": either(many(text()), free(), description="A list: the command line."),
            "environment": _TEXTS,
        },
        required=("command",),
    ),
    "workflow": closed(
        "workflow",
        {
            "namespace": text(minLength=1),
            "name": text(minLength=1),
            "version": text("A version, or `latest`.", minLength=1),
            "input": free("The child's raw input."),
        },
        required=("namespace", "name", "version"),
    ),
}

DEFS: dict[str, Schema] = {
    "callTask": _task(
        "call",
        "Calls a protocol, a function of this document, or a function of a catalogue.",
        {
            "call": text(
                "`http`, `openapi`, `grpc`, `asyncapi`, `a2a`, `mcp`; or a function: `name`, `name:1.0.0@catalog`.",
                minLength=1,
            ),
            "with": free("The arguments."),
        },
        allOf=[_arguments_of(protocol) for protocol in PROTOCOLS],
    ),
    "doTask": _task("do", "Runs a list of tasks, in order.", {"do": ref("taskList")}),
    "emitTask": _task(
        "emit",
        "Publishes an event.",
        {
            "emit": closed(
                "emit",
                {"event": closed("emitted event", {"with": ref("eventProperties")}, required=("with",))},
                required=("event",),
            )
        },
    ),
    "forTask": _task(
        "for",
        "Runs a list of tasks for each element of an array, one after the other.",
        {
            "for": closed(
                "for",
                {
                    "each": text("Name of the element's variable.", default="item", **VARIABLE),
                    "in": either(expression("Gives the array."), many({"type": "object"})),
                    "at": text("Name of the variable of its place, from 0.", default="index", **VARIABLE),
                },
                required=("in",),
            ),
            "while": expression("Tested before each iteration; false stops the loop."),
            "do": ref("taskList"),
        },
        required=("for", "do"),
    ),
    "forkTask": _task(
        "fork",
        "Runs branches at the same time.",
        {
            "fork": closed(
                "fork",
                {
                    "branches": many(ref("branch"), "Each entry is one branch."),
                    "compete": flag("The first branch to complete wins; the others are cancelled.", default=False),
                },
                required=("branches",),
            )
        },
    ),
    "listenTask": _task(
        "listen",
        "Waits for events.",
        {
            "listen": closed("listen", {"to": ref("eventStrategy"), "read": ref("eventRead")}, required=("to",)),
            "foreach": ref("iterator"),
        },
    ),
    "raiseTask": _task(
        "raise",
        "Fails with an error.",
        {
            "raise": closed(
                "raise",
                {"error": either(text("A name in `use.errors`.", minLength=1), ref("error"))},
                required=("error",),
            )
        },
    ),
    "runTask": _task(
        "run",
        "Runs a script, a command, a container or another workflow.",
        {
            "run": exactly_one(
                "run",
                {
                    **_RUN,
                    "await": flag("False: do not wait; the output is the input.", default=True),
                    "return": words("stdout", "stderr", "code", "all", "none", default="stdout"),
                },
                tuple(_RUN),
            )
        },
    ),
    "setTask": _task(
        "set",
        "Replaces the data.",
        {
            "set": either(
                text("One expression in ${ }, or the text itself."),
                {"type": "object", "minProperties": 1},
            )
        },
    ),
    "switchTask": _task(
        "switch",
        "Chooses what follows.",
        {
            "switch": many(
                single(
                    closed(
                        "case",
                        {"when": expression("Without it, this is the default."), "then": ref("then")},
                        required=("then",),
                    ),
                    "case",
                ),
                minItems=1,
            )
        },
    ),
    "tryTask": _task(
        "try",
        "Handles errors of its tasks.",
        {
            "try": ref("taskList"),
            "catch": closed(
                "catch",
                {
                    "errors": closed(
                        "error filter",
                        {
                            "with": closed(
                                "error filter",
                                {
                                    "type": text(),
                                    "status": {"type": "integer"},
                                    "instance": text(),
                                    "title": text(),
                                    "detail": text(),
                                    "details": text(),
                                },
                                minProperties=1,
                                description="Every key that is given must be equal.",
                            )
                        },
                    ),
                    "as": text("Name of the error's variable.", default="error", **VARIABLE),
                    "when": expression("Catch only if this holds."),
                    "exceptWhen": expression("Do not catch if this holds."),
                    "retry": either(text("A name in `use.retries`.", minLength=1), ref("retryPolicy")),
                    "do": ref("taskList"),
                    "then": ref("then"),
                },
            ),
        },
        required=("try", "catch"),
    ),
    "waitTask": _task("wait", "Waits.", {"wait": ref("duration")}),
}

TASK_KINDS: dict[str, str] = {schema["x-keyword"]: name for name, schema in DEFS.items()}

DEFS |= {
    "task": either(*(ref(name) for name in TASK_KINDS.values())) | {"title": "task"},
    "taskList": many(single(ref("task"), "named task"), "Tasks in order, each an object with one key: its name."),
    "branchTask": either(
        *(
            {
                **schema,
                "properties": {
                    **schema["properties"],
                    "needs": many(text(minLength=1), "Branches that must be done before this one starts."),
                },
            }
            for schema in (DEFS[name] for name in TASK_KINDS.values())
        )
    ),
    "branch": single(ref("branchTask"), "branch"),
    "extension": single(
        closed(
            "extension",
            {
                "extend": words(
                    "call", "composite", "do", "emit", "for", "fork", "listen", "raise", "run", "set", "switch",
                    "try", "wait", "all",
                    description="Which kind of tasks it wraps.",
                ),
                "when": expression("Wrap a task only if this holds on its raw input."),
                "before": ref("taskList"),
                "after": ref("taskList"),
            },
            required=("extend",),
        ),
        "extension",
    ),
}  # fmt: skip
