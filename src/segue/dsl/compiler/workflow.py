"""The workflow as a whole: root, schedule, components that no task uses, and the entrance to the compiler."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cronsim import CronSim, CronSimError

from segue.core.plan import DoNode, Flow, Plan, Schedule
from segue.dsl.compiler import calls, forks, runs, tasks
from segue.dsl.compiler.adjustable import declared_adjustables, read_adjustables
from segue.dsl.compiler.authentication import policy
from segue.dsl.compiler.build import (
    FINDINGS_MAX,
    NODES_MAX,
    SCHEDULE,
    WORKFLOW_INPUT,
    WORKFLOW_OUTPUT,
    WORKFLOW_TIMEOUT,
    Build,
    Scope,
    TooManyFindings,
    TooManyTasks,
    as_list,
    as_object,
    below,
)
from segue.dsl.compiler.checkpoints import lint_checkpoints
from segue.dsl.compiler.common import constant_duration_ms, duration, schema, timeout
from segue.dsl.compiler.consequences import consequences_of
from segue.dsl.compiler.events import strategy
from segue.dsl.compiler.programs import transform
from segue.dsl.document import Document
from segue.dsl.environment import Environment
from segue.dsl.findings import Finding, in_document_order
from segue.dsl.functions import content_digest
from segue.dsl.schema import ROOT
from segue.dsl.structure import COMPLAINTS_MAX, check_structure

_KINDS: Final = {**tasks.KINDS, **forks.KINDS, **calls.KINDS, **runs.KINDS}
_DSL: Final = re.compile(r"1\.0\.(\d+)(?:[-+].*)?")
_DSL_PATCH_KNOWN: Final = 3
_SCHEDULES: Final = ("every", "cron", "after", "on")
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_DATA_OF_EVENT: Final = re.compile(r"\$workflow\.input\[\s*\d+\s*\]\.data\b")


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came of a document: a plan, unless there is an error among the findings."""

    plan: Plan | None
    findings: list[Finding]


def compile_document(document: Document, environment: Environment) -> Compiled:
    """Check and compile in one walk. Never raises for what the document says."""
    if document.data is None:
        return Compiled(None, list(document.findings))
    structure = check_structure(document.data, ROOT)
    build = Build(document, environment, structure, _KINDS)
    plan = None
    try:
        for finding in document.findings:
            build.add(finding)
        for complaint in structure.complaints:
            build.error(complaint.rule, complaint.pointer, complaint.message, complaint.remedy, key=complaint.at_key)
        if len(structure.complaints) >= COMPLAINTS_MAX:
            raise TooManyFindings
        plan = _compile(build)
    except TooManyFindings:
        message = f"there are more than {FINDINGS_MAX:,} findings; the rest is left out"
        build.findings[document.finding("too-many-findings", "error", message, "correct these first")] = None
    except TooManyTasks:
        message = f"functions and extensions make this more than {NODES_MAX:,} tasks"
        build.error("too-many-tasks", "/do", message, "split it into several workflows", key=True)
    findings = in_document_order(build.findings)
    failed = any(finding.is_error for finding in findings)
    return Compiled(None if failed else plan, findings)


def _digest(build: Build) -> str:
    """Two documents have the same digest when they say the same and call the same functions."""
    return content_digest({"document": build.document.data, "functions": build.tally.pins})


def _compile(build: Build) -> Plan:
    data: dict[str, Any] = build.document.data
    identity = as_object(data.get("document"))
    _lint_identity(build, identity)
    _lint_evaluate(build, as_object(data.get("evaluate")))
    _lint_secrets(build)
    build.adjustable = declared_adjustables(build, identity)
    root = _root(build, data)
    schedule = _schedule(build, data.get("schedule"), identity)
    requires = tuple(sorted(build.tally.requires))
    _lint_unused(build)
    lint_checkpoints(build, root)
    adjustable = read_adjustables(build)
    plan = Plan(
        namespace=str(identity.get("namespace")),
        name=str(identity.get("name")),
        version=str(identity.get("version")),
        digest=_digest(build),
        root=root,
        definition=data,
        runtime=build.environment.runtime,
        secrets=tuple(name for name in as_list(build.use.get("secrets")) if isinstance(name, str)),
        schedule=schedule,
        requires=requires,
        adjustable=adjustable,
        schemas=build.tally.schemas,
        signatures=build.tally.signatures,
    )
    plan.consequences = consequences_of(build, plan)
    return plan


def _root(build: Build, data: dict[str, Any]) -> DoNode:
    into, out = as_object(data.get("input")), as_object(data.get("output"))
    scope = Scope()
    build.count()
    listed, known = tasks.compile_known_list(build, data.get("do"), "/do", scope, "do")
    after = scope.within(known, len(listed))
    return DoNode(
        tasks=listed,
        name=str(as_object(data.get("document")).get("name")),
        pointer="/do",
        section="root",
        input_check=schema(build, into.get("schema"), "/input/schema"),
        input_from=transform(build, into.get("from"), "/input/from", scope, WORKFLOW_INPUT),
        output_as=transform(build, out.get("as"), "/output/as", after, WORKFLOW_OUTPUT),
        output_check=schema(build, out.get("schema"), "/output/schema"),
        timeout=timeout(build, data.get("timeout"), "/timeout", scope, WORKFLOW_TIMEOUT),
        then=Flow.CONTINUE,
        definition=data,
    )


# -- lints of the root -----------------------------------------------------------------------------


def _lint_identity(build: Build, identity: dict[str, Any]) -> None:
    dsl = identity.get("dsl")
    if not isinstance(dsl, str) or not build.is_sound("/document/dsl"):
        return
    found = _DSL.fullmatch(dsl)
    if found is None:
        message = f"version {dsl} of the language is not understood here"
        build.error("unsupported-dsl-version", "/document/dsl", message, "write dsl: '1.0.3'")
    elif int(found[1]) > _DSL_PATCH_KNOWN:
        message = f"version {dsl} of the language is newer than what is known here (1.0.{_DSL_PATCH_KNOWN})"
        build.warn("newer-dsl-version", "/document/dsl", message, "what it adds may be refused")


def _lint_evaluate(build: Build, evaluate: dict[str, Any]) -> None:
    language = evaluate.get("language", "jq")
    if language != "jq" and build.is_sound("/evaluate/language"):
        message = f"expressions in {language!r} cannot be evaluated"
        build.error("unknown-expression-language", "/evaluate/language", message, "use jq")
    build.is_loose = evaluate.get("mode") == "loose"


def _lint_secrets(build: Build) -> None:
    seen: set[str] = set()
    for place, name in enumerate(as_list(build.use.get("secrets"))):
        if isinstance(name, str) and name in seen:
            build.warn("duplicate-secret", f"/use/secrets/{place}", f"{name!r} stands here twice", "remove one")
        seen.add(str(name))


def _lint_unused(build: Build) -> None:
    """Look at every component under `use`, whether a task uses it or not; used ones were seen already."""
    scope = Scope(bound=("error",), extends=False)
    for name, value in as_object(build.use.get("authentications")).items():
        policy(build, as_object(value), below("/use/authentications", name), scope)
    for name, value in as_object(build.use.get("errors")).items():
        tasks.error_template(build, value, below("/use/errors", name), Scope())
    for name, value in as_object(build.use.get("timeouts")).items():
        at = below("/use/timeouts", name, "after")
        duration(build, as_object(value).get("after"), at, Scope())
    for name, value in as_object(build.use.get("retries")).items():
        at = below("/use/retries", name)
        if at not in build.tally.seen:
            tasks.retry_policy(build, as_object(value), at, scope)
    for name, value in as_object(build.use.get("functions")).items():
        if below("/use/functions", name) not in build.tally.seen and isinstance(value, dict):
            calls.function_body(build, name, value, Scope())
    for _, extension, at in build.extensions:
        if at not in build.tally.seen:
            tasks.compile_extension(build, extension, at, Scope())


# -- schedule --------------------------------------------------------------------------------------


def _schedule(build: Build, value: Any, identity: dict[str, Any]) -> Schedule | None:
    zone = _zone(build, identity)
    if not isinstance(value, dict):
        return None
    given = [kind for kind in _SCHEDULES if kind in value]
    if len(given) != 1:
        said = f"has {', '.join(given)} together" if given else "says nothing"
        build.error(
            "one-schedule", "/schedule", f"the schedule {said}", f"give exactly one of {', '.join(_SCHEDULES)}"
        )
    if "read" in value and "on" not in value:
        build.error("read-without-on", "/schedule/read", "`read` goes with `on`", "remove it", key=True)
    on = strategy(build, value["on"], "/schedule/on", Scope(), SCHEDULE) if "on" in value else None
    if on is not None and value.get("read", "data") == "data":
        _lint_read(build)
    return Schedule(
        every_ms=_interval(build, value.get("every"), "/schedule/every"),
        cron=_cron(build, value.get("cron")),
        after_ms=_interval(build, value.get("after"), "/schedule/after"),
        on=on,
        read=value.get("read", "data"),
        zone=zone,
    )


def _zone(build: Build, identity: dict[str, Any]) -> str:
    """The time zone that the metadata names (ruling R6)."""
    metadata = as_object(identity.get("metadata"))
    for holder, pointer in (
        (as_object(metadata.get("segue")), "/document/metadata/segue/timezone"),
        (metadata, "/document/metadata/timezone"),
    ):
        name = holder.get("timezone")
        if name is None:
            continue
        try:
            zoneinfo.ZoneInfo(name)
        except (OSError, ValueError, TypeError, zoneinfo.ZoneInfoNotFoundError):
            build.error("unknown-time-zone", pointer, f"{name!r} is no time zone", "write one such as Europe/Berlin")
            return "UTC"
        return str(name)
    return "UTC"


def _interval(build: Build, value: Any, pointer: str) -> int | None:
    if value is None:
        return None
    length_ms = constant_duration_ms(build, value, pointer)
    if length_ms == 0 and pointer.endswith("every"):
        build.error("invalid-duration", pointer, "an interval of zero would start runs without end", "write PT1M")
    return length_ms


def _cron(build: Build, value: Any) -> str | None:
    if not isinstance(value, str) or not build.is_sound("/schedule/cron"):
        return None
    if len(value.split()) != 5:
        message = f"{value!r} is no cron expression: it has five fields"
        build.error("invalid-cron", "/schedule/cron", message, "minute hour day month weekday, such as 0 9 * * 1-5")
        return None
    try:
        CronSim(value, _EPOCH)
    except CronSimError as error:
        build.error(
            "invalid-cron", "/schedule/cron", f"{value!r} is no cron expression: {error}", "such as 0 9 * * 1-5"
        )
        return None
    return value


def _lint_read(build: Build) -> None:
    """Ruling R7: with the default `read`, the input holds the data itself, not the event around it."""
    for pointer, text in _texts(build.document.data, ""):
        if _DATA_OF_EVENT.search(text):
            message = "the input holds each event's data, so there is no `.data` in it"
            build.warn("data-of-data", pointer, message, "leave `.data` out, or write `schedule.read: envelope`")


def _texts(value: Any, pointer: str) -> Iterable[tuple[str, str]]:
    if isinstance(value, str):
        yield pointer, value
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, held in items:
            yield from _texts(held, below(pointer, key))
