"""Compares what became of a case with what it expects. Every function gives complaints; none means it holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from tests.conformance.documents.driver import Outcome

from segue.core import replay
from segue.dsl import Finding
from segue.service.lifecycle import PREFIX, lifecycle_of
from segue.types import ERROR_BASE


def judge(expect: dict[str, Any], outcome: Outcome, text: str) -> list[str]:
    """All complaints about a case that ran on the virtual clock."""
    if "refused" in expect or "refuses" in expect:
        return list(_refusal(expect, outcome, text))
    if outcome.status == "refused":
        return ["refused: " + "; ".join(str(finding) for finding in outcome.errors)]
    complaints: list[str] = []
    if "warned" in expect:
        complaints += _findings("warnings", expect["warned"], outcome.warnings, text, exact=True)
    if outcome.status == "checked":
        return complaints
    if "schedule" in expect:
        return [*complaints, *_schedule(expect["schedule"], outcome)]
    return [
        *complaints,
        *ending(expect, outcome),
        *_steps(expect, outcome),
        *_told(expect, outcome),
        *_replayed(outcome),
    ]


def judge_report(expect: dict[str, Any], outcome: Outcome, text: str) -> list[str]:
    """All complaints about a case that ran in the embedded host; its report tells nothing of virtual time."""
    if "refused" in expect or "refuses" in expect:
        return list(_refusal(expect, outcome, text))
    complaints = [*ending(expect, outcome), *called(expect, outcome), *_listed(expect, outcome)]
    if "nowhere" in expect and expect["nowhere"] in repr([outcome.output, outcome.error, outcome.emitted]):
        complaints.append(f"{expect['nowhere']!r} stands in the result")
    return complaints


def ending(expect: dict[str, Any], outcome: Outcome) -> Iterator[str]:
    """Status, output, error and emitted events."""
    if "status" in expect or "output" in expect or "error" in expect:
        status = expect.get("status", "faulted" if "error" in expect else "completed")
    else:
        status = "faulted" if outcome.status == "faulted" and "lifecycle" in expect else "completed"
    if outcome.status != status:
        yield f"status: wanted {status}, got {outcome.status} ({outcome.error or outcome.output!r})"
    if "output" in expect and not _equal(expect["output"], outcome.output):
        yield f"output: wanted {expect['output']!r}, got {outcome.output!r}"
    if "error" in expect and outcome.error is not None:
        yield from _error(expect["error"], outcome.error)
    if "emitted" in expect:
        yield from _parts("emitted", expect["emitted"], outcome.emitted)
    if "emitted_ids_differ" in expect:
        ids = [event["id"] for event in outcome.emitted]
        if (len(set(ids)) == len(ids)) is not expect["emitted_ids_differ"]:
            yield f"emitted ids: {ids}"


def _refusal(expect: dict[str, Any], outcome: Outcome, text: str) -> Iterator[str]:
    if not outcome.errors:
        yield f"accepted, and {outcome.status}: {outcome.output!r} {outcome.error or ''}"
        return
    exact = "refused" in expect
    wanted = expect["refused"] if exact else expect["refuses"]
    yield from _findings("findings", wanted, outcome.errors, text, exact=exact)


def _findings(
    what: str, wanted: list[dict[str, Any]], found: Iterable[Finding], text: str, *, exact: bool
) -> Iterator[str]:
    left = list(found)
    for want in wanted:
        line = None
        if "at" in want:
            line = next((n for n, row in enumerate(text.split("\n"), 1) if want["at"] in row), None)
            assert line is not None, f"no line of the document holds {want['at']!r}"
        match = next(
            (
                f
                for f in left
                if want.get("rule", f.rule) == f.rule
                and want.get("pointer", f.pointer) == f.pointer
                and (line is None or line == f.line)
            ),
            None,
        )
        if match is None:
            got = "; ".join(f"{f.rule} {f.pointer} line {f.line}" for f in left) or "none"
            yield f"{what}: wanted {want} (line {line}), got {got}"
        else:
            left.remove(match)
    if exact and left:
        yield f"{what} beside those expected: " + "; ".join(f"{f.rule} {f.pointer} line {f.line}: {f}" for f in left)


def _error(wanted: dict[str, Any], got: dict[str, Any]) -> Iterator[str]:
    for key, value in wanted.items():
        seen = got.get(key)
        if key == "type_word":
            key, seen = "type", (got.get("type") or "").rpartition("/")[2]
        elif key == "type" and "/" not in value:
            value = ERROR_BASE + value
        fits = value in (seen or "") if key == "detail" else seen == value
        if not fits:
            yield f"error.{key}: wanted {value!r}, got {seen!r} ({got})"


def _schedule(wanted: dict[str, Any] | None, outcome: Outcome) -> Iterator[str]:
    assert outcome.plan is not None
    schedule = outcome.plan.schedule
    if wanted is None or schedule is None:
        if wanted is not None or schedule is not None:
            yield f"schedule: wanted {wanted}, got {schedule}"
        return
    for key, value in wanted.items():
        seen = getattr(schedule, key)
        if key == "on":
            seen = None if seen is None else seen.mode
        if seen != value:
            yield f"schedule.{key}: wanted {value!r}, got {seen!r}"


def _listed(expect: dict[str, Any], outcome: Outcome) -> Iterator[str]:
    if "tasks" in expect and outcome.tasks != expect["tasks"]:
        yield f"tasks: wanted {expect['tasks']}, got {outcome.tasks}"
    if "skipped" in expect and outcome.skipped != expect["skipped"]:
        yield f"skipped: wanted {expect['skipped']}, got {outcome.skipped}"


def _steps(expect: dict[str, Any], outcome: Outcome) -> Iterator[str]:
    yield from _listed(expect, outcome)
    if "duration_ms" in expect:
        wanted, got = expect["duration_ms"], outcome.duration_ms or 0
        fits = wanted["from"] <= got <= wanted["to"] if isinstance(wanted, dict) else got == wanted
        if not fits:
            yield f"duration_ms: wanted {wanted}, got {got}"
    yield from called(expect, outcome)
    for name, times in expect.get("called_at", {}).items():
        got_times = [call.at_ms for call in outcome.calls.get(name, [])]
        if got_times != times:
            yield f"called_at.{name}: wanted {times}, got {got_times}"


def _replayed(outcome: Outcome) -> Iterator[str]:
    """History is the only source of state, so reading it again must lead to the same end."""
    assert outcome.plan is not None
    state = replay(outcome.plan, outcome.history)
    if state.status != outcome.status or not _equal(state.output, outcome.output):
        yield f"a replay of the history ends otherwise: {state.status} {state.output!r}"


def called(expect: dict[str, Any], outcome: Outcome) -> Iterator[str]:
    """How often, and with what, stubs were called."""
    for name, count in expect.get("calls", {}).items():
        got = len(outcome.calls.get(name, []))
        if got != count:
            yield f"calls.{name}: wanted {count}, got {got}"
    for name, wanted in expect.get("called_with", {}).items():
        seen = [call.arguments for call in outcome.calls.get(name, [])]
        if not _equal(wanted, seen):
            yield f"called_with.{name}: wanted {wanted}, got {seen}"


def _told(expect: dict[str, Any], outcome: Outcome) -> Iterator[str]:
    assert outcome.plan is not None
    if "nowhere" in expect:
        kept = (
            msgspec.json.encode(outcome.history, enc_hook=str).decode() + repr(outcome.output) + repr(outcome.error)
        )
        if expect["nowhere"] in kept:
            yield f"{expect['nowhere']!r} stands in the history or the result"
    if not any(key.startswith("lifecycle") for key in expect):
        return
    events = lifecycle_of(outcome.plan, "run-1", outcome.history)
    told = [
        [_short(event["type"]), *([event["data"]["task"]] if "task" in event["data"] else [])] for event in events
    ]
    if "lifecycle" in expect and told != expect["lifecycle"]:
        yield f"lifecycle: wanted {expect['lifecycle']}, got {told}"
    for wanted in expect.get("lifecycle_has", []):
        if wanted not in told:
            yield f"lifecycle: {wanted} is not among {told}"
    for kind, data in expect.get("lifecycle_data", {}).items():
        of_kind = [event["data"] for event in events if _short(event["type"]) == kind]
        if not any(_has(data, seen) for seen in of_kind):
            yield f"lifecycle data of {kind}: wanted {data}, got {of_kind}"
    if "lifecycle_lacks" in expect and expect["lifecycle_lacks"] in repr(events):
        yield f"{expect['lifecycle_lacks']!r} stands in a lifecycle event"
    if "lifecycle_name" in expect:
        names = [event["data"]["name"] for event in events if "name" in event["data"]]
        if not names or not all(re.search(expect["lifecycle_name"], name) for name in names):
            yield f"names of the run: wanted {expect['lifecycle_name']}, got {names}"


def _short(kind: str) -> str:
    return kind.removeprefix(PREFIX).removesuffix(".v1")


def _parts(what: str, wanted: list[Any], got: list[Any]) -> Iterator[str]:
    if len(wanted) != len(got):
        yield f"{what}: wanted {len(wanted)}, got {len(got)}: {got}"
        return
    for place, (want, seen) in enumerate(zip(wanted, got, strict=True)):
        if not _has(want, seen):
            yield f"{what}[{place}]: wanted {want}, got {seen}"


def _has(wanted: Any, got: Any) -> bool:
    """Every key that is wanted is there with its value; `{is: text}` wants any text that is not empty."""
    if wanted == {"is": "text"}:
        return isinstance(got, str) and bool(got)
    if isinstance(wanted, dict) and isinstance(got, dict):
        return all(key in got and _has(value, got[key]) for key, value in wanted.items())
    return _equal(wanted, got)


def _equal(wanted: Any, got: Any) -> bool:
    """JSON equality: true is not 1."""
    if isinstance(wanted, bool) or isinstance(got, bool):
        return wanted is got
    if isinstance(wanted, dict) and isinstance(got, dict):
        return wanted.keys() == got.keys() and all(_equal(value, got[key]) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) == len(got) and all(_equal(a, b) for a, b in zip(wanted, got, strict=True))
    return (type(wanted) is type(got) and wanted == got) or (
        isinstance(wanted, int | float) and isinstance(got, int | float) and wanted == got
    )
