"""Runs a case in the embedded host, through the function behind `segue run`: SQLite, handlers and clock are real."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.conformance.documents.driver import Call, Outcome, Secrets, Stub, stub_answer
from tests.conformance.documents.loading import Case

from segue.service import OutboundSettings, ServiceError, Settings, run_document
from segue.types import failure

TIMED: Final = re.compile(r"\b(?:wait|delay|jitter|timeout|duration|startedAt|now)\b|2026-01-05")
"""Words of documents and outcomes that mean something only on a virtual clock."""

_SEEN: Final = """
output error refused refuses tasks skipped emitted emitted_ids_differ calls called_with nowhere
"""
SEEN: Final = frozenset(_SEEN.split())
"""What the host's report lets one compare."""

MEMORY: Final = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A file system without a disk, where there is one: this suite asks what is written, not whether it stays."""


def needs_no_clock(case: Case) -> bool:
    """Can the case run in real time, and does the host's report say what it expects?"""
    given, expect = case.given, case.expect
    if "way" in given:
        return bool(given["way"] == "hosted")
    if not SEEN & set(expect) or expect.get("status") or "schedule" in expect:
        return False
    if "control" in given or "until_ms" in given:
        return False
    steps = [step for spec in given.get("functions", {}).values() for step in spec.get("script", [spec])]
    if any("after_ms" in step or "hangs" in step for step in steps):
        return False
    refused = "refused" in expect or "refuses" in expect
    return refused or not TIMED.search(case.text() + repr(expect))


async def host(text: str, given: dict[str, Any]) -> Outcome:
    """Publish and run a document in a data folder of its own."""
    with TemporaryDirectory(dir=MEMORY) as folder:
        return await _host(text, given, Path(folder))


async def _host(text: str, given: dict[str, Any], folder: Path) -> Outcome:
    outcome = Outcome([])
    calls = outcome.calls
    functions = {name: _function(name, Stub(spec), calls) for name, spec in given.get("functions", {}).items()}
    events = [
        {"specversion": "1.0", "id": f"event-{number}", "source": "/case", **entry["event"]}
        for number, entry in enumerate(given.get("events", []))
    ]
    try:
        report = await run_document(
            text,
            input=given.get("input", {}),
            functions=functions,
            secrets=Secrets(given.get("secrets", {})),
            settings=Settings(
                allow_processes=bool(given.get("allow")), outbound=OutboundSettings(allow_loopback=True)
            ),
            others=given.get("children", []),
            events=events,
            data=folder,
        )
    except ServiceError as refused:
        outcome.findings = list(refused.findings)
        if refused.kind == "input-refused":
            # The host checks the input before there is a run that could fault.
            outcome.status, outcome.error = "faulted", failure("validation", refused.detail).as_data()
        elif not outcome.errors:
            raise
        return outcome
    outcome.status, outcome.output, outcome.error = report.status, report.output, report.error
    outcome.emitted = report.events
    outcome.tasks = [[task.pointer, task.status] for task in report.tasks]
    outcome.skipped = [task.pointer for task in report.skipped]
    return outcome


def _function(name: str, stub: Stub, calls: dict[str, list[Call]]) -> Callable[..., Awaitable[Any]]:
    async def answer(**arguments: Any) -> Any:
        calls.setdefault(name, []).append(Call(0, arguments))
        step = stub.next()
        if "raises" in step:
            raise RuntimeError(step["raises"])
        return stub_answer(step, name, arguments)

    return answer
