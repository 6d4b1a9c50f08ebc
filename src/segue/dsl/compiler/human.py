"""`call: human-task`: the request is compiled, checked, and brought into the one form that the core reads.

Names become lists, durations milliseconds from the offer, outcomes an object with what each of them needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from segue.core.plan import Check, HumanNode, Node, Program
from segue.dsl.compiler.arguments import check_arguments, checker
from segue.dsl.compiler.build import DEFINITION, Build, Scope, as_list, as_object, below
from segue.dsl.compiler.checks import SchemaRefused, schema_check
from segue.dsl.compiler.programs import NOTHING, mapped, template
from segue.dsl.functions import FunctionDocument
from segue.types import TaskFailure, fail
from segue.types.durations import duration_ms

_AUDIENCE: Final = {"person": "people", "role": "roles", "group": "groups", "agent": "agents"}
_USUAL: Final = ("approve", "reject")
_WITH_FORM: Final = frozenset({"approve", "edit"})
_WITH_COMMENT: Final = frozenset({"send-back"})
_APPROVING: Final = frozenset({"approve", "edit"})
_RESERVED: Final = frozenset({"resubmit", "unreviewed"})


def human_node(
    build: Build, function: FunctionDocument, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]
) -> Node:
    """Compile the call."""
    check = check_arguments(build, function.parameters, task, pointer)
    at = below(pointer, "with")
    written = as_object(task.get("with"))
    _lint(build, written, at)
    return HumanNode(
        arguments=_settled(build, template(build, written, at, scope, DEFINITION), check, at),
        fits=fits,
        result_check=checker(build, function.result, pointer),
        **common,
    )


def fits(form: Any, data: Any) -> str | None:
    """What in the data does not fit the form, or None."""
    try:
        return schema_check(form)(data)
    except SchemaRefused as error:
        return f"the form is no JSON Schema: {error}"


def _settled(build: Build, program: Program, check: Check | None, pointer: str) -> Program:
    def settle(request: Any) -> dict[str, Any]:
        complaint = check(request) if check is not None else None
        if complaint is not None:
            raise fail("validation", f"the arguments do not fit: {complaint}")
        return settled(request)

    try:
        return mapped(program, settle)
    except TaskFailure as error:
        # Nothing in it depends on a run, so every run would fail; `check_arguments` may have said so already.
        if not any(finding.is_error for finding in build.findings):
            build.error("wrong-arguments", pointer, str(error))
        return NOTHING


def settled(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request as `segue.core.machines.human` reads it.

    Raises:
        TaskFailure: A duration is none, an outcome is missing, or the form is no schema.
    """
    outcomes = _outcomes(request)
    made: dict[str, Any] = {
        key: request[key]
        for key in ("title", "description", "requester", "form", "context", "suggestion", "about", "review")
        if key in request
    }
    made |= {
        "data": request.get("data"),
        "assign": _audience(request["assign"]),
        "priority": request.get("priority", "normal"),
        "outcomes": outcomes,
        "authority": _authority(request.get("authority", {})),
        "due_ms": _ms("due", request["due"]) if "due" in request else None,
        "reminders_ms": _reminders(request.get("reminders", [])),
        "ladder": _ladder(request.get("escalate", [])),
        "deadline": _deadline(request.get("deadline"), outcomes),
    }
    if "send_back" in request:
        made["send_back"] = _audience(request["send_back"])
    if "form" in request:
        _require_schema(request["form"])
    return made


def _outcomes(request: Mapping[str, Any]) -> dict[str, Any]:
    approvals = request.get("approvals", 1)
    found: dict[str, Any] = {}
    for written in request.get("outcomes", _USUAL):
        said = {"name": written} if isinstance(written, str) else written
        name = said["name"]
        if name in found or name in _RESERVED:
            why = "is reserved" if name in _RESERVED else "is named twice"
            raise fail("validation", f"the outcome {name!r} {why}")
        found[name] = {
            "title": said.get("title", name.replace("-", " ").capitalize()),
            "votes": said.get("votes", approvals if name in _APPROVING else 1),
            "comment": said.get("comment", name in _WITH_COMMENT),
            "form": said.get("form", name in _WITH_FORM or name not in ("reject", "send-back")),
        }
    return found


def _audience(said: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        key: list(dict.fromkeys([said[one]] if isinstance(said[one], str) else said[one]))
        for one, key in _AUDIENCE.items()
        if one in said
    }
    return {**made, "manager": True} if said.get("manager") else made


def _authority(said: Mapping[str, Any]) -> dict[str, Any]:
    roles = said.get("roles")
    return {**said, "roles": [roles] if isinstance(roles, str) else roles} if roles is not None else dict(said)


def _reminders(said: Any) -> list[int]:
    if isinstance(said, Mapping):
        every = _ms("reminders", said["every"])
        return [every * turn for turn in range(1, said.get("times", 1) + 1)]
    return sorted(_ms("reminders", each) for each in said)


def _ladder(said: list[Any]) -> list[dict[str, Any]]:
    ladder, after = [], 0
    for rung in said:
        after += _ms("escalate", rung["after"])
        ladder.append({"after_ms": after, "to": _audience(rung["to"])})
    return ladder


def _deadline(said: Any, outcomes: Mapping[str, Any]) -> dict[str, Any] | None:
    if said is None:
        return None
    made = {"after_ms": _ms("deadline", said["after"]), "outcome": said["outcome"]}
    return {**made, "data": said["data"]} if "data" in said else made


def _ms(key: str, said: Any) -> int:
    try:
        return duration_ms(said)
    except ValueError as error:
        raise fail("validation", f"{key}: {error}") from None


def _require_schema(form: Any) -> None:
    try:
        schema_check(form)
    except SchemaRefused as error:
        raise fail("validation", f"the form is no JSON Schema: {error}") from None


def _lint(build: Build, written: dict[str, Any], pointer: str) -> None:
    """What would not fail, but will be regretted."""
    if "deadline" not in written:
        return
    outcome = as_object(written["deadline"]).get("outcome")
    if outcome in _APPROVING:
        message = "when nobody decides in time, this approves by itself"
        build.warn(
            "approval-by-silence",
            below(pointer, "deadline", "outcome"),
            message,
            "let the deadline reject or escalate, and name an outcome of its own, such as `expired`",
        )
    if not as_list(written.get("escalate")) and "reminders" not in written:
        build.warn(
            "silent-deadline",
            below(pointer, "deadline"),
            "nobody is reminded before this deadline",
            "add `reminders` or `escalate`",
        )
