"""Runs a case over the compiler and the core alone, on a virtual clock: time jumps to whatever is due next.

Stubs answer for Python functions, a nested driver for other workflows, and the real handlers for everything else
(they act at once as far as the virtual clock is concerned).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field
from typing import Any, Final

from segue.connectors import OutboundPolicy
from segue.core import Moment, Plan, RunState, advance, consumes
from segue.core.adjustable import settled
from segue.dsl import Environment, Finding, PythonFunction, check_document, compile_plan, read_document
from segue.handlers import FunctionRegistry, ProcessSettings, build_handlers
from segue.types import (
    AttemptFailed,
    AttemptSucceeded,
    AwaitMessages,
    Cancel,
    EffectContext,
    Emit,
    Event,
    Failure,
    MessageConsumed,
    Perform,
    RunCancelled,
    RunPaused,
    RunResumed,
    RunStarted,
    StartTimer,
    TaskFailure,
    TimerFired,
    failure,
)

START_MS: Final = 1_767_600_000_000
"""2026-01-05T08:00:00Z, when every run begins."""

STEPS_MAX: Final = 20_000


class Secrets:
    """A secret source over a dictionary."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    async def read(self, name: str) -> Any:
        if name not in self._values:
            raise TaskFailure(failure("authorization", f"there is no secret {name!r}"))
        return self._values[name]


@dataclass
class Call:
    """A stub was called."""

    at_ms: int
    arguments: Any


@dataclass
class Outcome:
    """What became of a case. `status` is `refused` when the document has error findings."""

    findings: list[Finding]
    status: str = "refused"
    output: Any = None
    error: dict[str, Any] | None = None
    emitted: list[dict[str, Any]] = field(default_factory=list)
    history: list[Event] = field(default_factory=list)
    calls: dict[str, list[Call]] = field(default_factory=dict)
    duration_ms: int | None = 0
    plan: Plan | None = None
    tasks: list[list[str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "warning"]


class Stub:
    """A Python function of a case: what it answers, call by call."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._steps: list[dict[str, Any]] = []
        for step in spec.get("script", [spec]):
            self._steps.extend([step] * step.get("times", 1))

    def next(self) -> dict[str, Any]:
        """The step of this call; the last one stays."""
        return self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]


def stub_answer(step: dict[str, Any], name: str, arguments: Any) -> Any:
    """What a step gives back.

    Raises:
        TaskFailure: The step fails.
    """
    if "fails" in step:
        given = step["fails"]
        raise TaskFailure(failure(given.get("type", "communication"), "as the case says", status=given.get("status")))
    if "raises" in step:
        raise TaskFailure(failure("runtime", f"The function {name!r} raised RuntimeError: {step['raises']}"))
    return arguments if "echo" in step else step.get("returns")


def environment_of(given: dict[str, Any]) -> Environment:
    """What the place offers that a case's document is published at."""
    return Environment(
        functions={name: PythonFunction(name) for name in given.get("functions", {})},
        allow_processes=bool(given.get("allow")),
    )


def play(text: str, given: dict[str, Any]) -> Outcome:
    """Check, compile and run a document."""
    document = read_document(text)
    environment = environment_of(given)
    findings = check_document(document, environment)
    outcome = Outcome(findings)
    if not outcome.errors:
        outcome.plan = compile_plan(document, environment)
        if given.get("way") == "check":
            outcome.status = "checked"
            return outcome
        _Run(outcome.plan, given, outcome).to_the_end()
    return outcome


class _Run:
    """One run in virtual time."""

    def __init__(self, plan: Plan, given: dict[str, Any], outcome: Outcome) -> None:
        self.plan = plan
        self.given = given
        self.outcome = outcome
        self.now = START_MS
        self.state: RunState | None = None
        self.queue: list[tuple[int, int, str, Any]] = []
        self.order = itertools.count()
        self.stubs = {name: Stub(spec) for name, spec in given.get("functions", {}).items()}
        self.waits: dict[int, AwaitMessages] = {}
        self.arrived: list[tuple[int, dict[str, Any]]] = []
        self.trace: list[Moment] = []

    def to_the_end(self) -> None:
        for entry in self.given.get("control", []):
            self._later(entry["after_ms"], "control", next(key for key in entry if key != "after_ms"))
        for number, entry in enumerate(self.given.get("events", [])):
            envelope = {"specversion": "1.0", "id": f"event-{number}", "source": "/case", **entry["event"]}
            self._later(entry["after_ms"], "event", envelope)
        given, values = self.given.get("input", {}), settled(self.plan.adjustable, {})
        self._apply(RunStarted(self.now, "run-1", self.plan.digest, given, "seed", adjustable=values))
        until_ms = START_MS + self.given.get("until_ms", 10**12)
        for _ in range(STEPS_MAX):
            assert self.state is not None
            if self.state.closed or not self.queue or self.queue[0][0] > until_ms:
                break
            due, _, kind, data = heapq.heappop(self.queue)
            self.now = max(self.now, due)
            getattr(self, f"_on_{kind}")(data)
        else:
            raise AssertionError(f"the run goes on after {STEPS_MAX} events")
        self._close()

    # -- what is due -----------------------------------------------------------------------------

    def _on_timer(self, number: int) -> None:
        if self.state is not None and number in self.state.open:
            self._apply(TimerFired(self.now, number))

    def _on_answer(self, event: Event) -> None:
        if self.state is not None and getattr(event, "id", None) in self.state.open:
            self._apply(_at(event, self.now))

    def _on_control(self, what: str) -> None:
        kinds: dict[str, Any] = {"pause": RunPaused, "resume": RunResumed, "cancel": RunCancelled}
        self._apply(kinds[what](self.now))

    def _on_event(self, envelope: dict[str, Any]) -> None:
        self.arrived.append((self.now, envelope))
        self._offer(envelope, ())

    def _on_early(self, number: int) -> None:
        wait = self.waits.get(number)
        if wait is None:
            return
        for arrived_at, envelope in list(self.arrived):
            if arrived_at >= wait.since_ms and number in self.waits:
                self._offer(envelope, (number,))

    def _offer(self, envelope: dict[str, Any], ids: tuple[int, ...]) -> None:
        assert self.state is not None
        event = MessageConsumed(self.now, envelope, ids)
        if consumes(self.plan, self.state, event):
            # An event that one wait took is not offered to a later one again.
            self.arrived = [entry for entry in self.arrived if entry[1] is not envelope]
            self._apply(event)

    # -- events in, commands out -----------------------------------------------------------------

    def _apply(self, event: Event) -> None:
        self.outcome.history.append(event)
        self.state, commands = advance(self.plan, self.state, event, trace=self.trace)
        for command in commands:
            if isinstance(command, Perform):
                self._perform(command)
            elif isinstance(command, StartTimer):
                self._later(command.due_ms - START_MS, "timer", command.id)
            elif isinstance(command, AwaitMessages):
                self.waits[command.id] = command
                self._later(self.now - START_MS, "early", command.id)
            elif isinstance(command, Cancel):
                self.waits.pop(command.id, None)
            elif isinstance(command, Emit):
                self.outcome.emitted.append(command.event)

    def _later(self, after_ms: int, kind: str, data: Any) -> None:
        heapq.heappush(self.queue, (START_MS + after_ms, next(self.order), kind, data))

    def _perform(self, command: Perform) -> None:
        after_ms = 0
        try:
            if command.handler == "function":
                name, arguments = command.arguments["name"], command.arguments.get("arguments")
                self.outcome.calls.setdefault(name, []).append(Call(self.now - START_MS, arguments))
                step = self.stubs[name].next()
                if "hangs" in step:
                    return
                after_ms = step.get("after_ms", 0)
                output = stub_answer(step, name, arguments)
            elif command.handler == "workflow":
                after_ms, output = self._child(command)
            else:
                output = asyncio.run(_really(command, self.given))
            event: Event = AttemptSucceeded(0, command.id, output)
        except TaskFailure as failed:
            event = AttemptFailed(0, command.id, failed.failure)
        self._later(self.now - START_MS + after_ms, "answer", event)

    def _child(self, command: Perform) -> tuple[int, Any]:
        wanted = command.arguments
        found: dict[str, str] = {}
        for text in self.given.get("children", []):
            plan = compile_plan(read_document(text), environment_of(self.given))
            if (plan.namespace, plan.name) == (wanted["namespace"], wanted["name"]):
                found[plan.version] = text
        version = wanted["version"]
        if version == "latest":
            version = max(found, key=lambda text: [int(part) for part in text.split(".")])
        ended = play(found[version], {**self.given, "input": wanted.get("input"), "events": [], "control": []})
        if ended.error is not None:
            raise TaskFailure(Failure(**{**ended.error, "instance": None}))
        return ended.duration_ms or 0, ended.output

    # -- the end ---------------------------------------------------------------------------------

    def _close(self) -> None:
        state, outcome = self.state, self.outcome
        assert state is not None
        outcome.status = state.status
        outcome.output = state.output
        outcome.error = None if state.failure is None else state.failure.as_data()
        outcome.duration_ms = state.last_at - START_MS
        tasks: dict[int, list[str]] = {}
        for moment in self.trace:
            if moment.kind == "workflow" or moment.kind == "extended":
                continue
            if moment.what == "skipped":
                outcome.skipped.append(moment.pointer)
            elif moment.what == "started":
                tasks[moment.id] = [moment.pointer, "running"]
            elif moment.what in ("completed", "faulted", "cancelled", "waiting"):
                tasks.setdefault(moment.id, [moment.pointer, ""])[1] = moment.what
        outcome.tasks = list(tasks.values())


def _at(event: Event, now: int) -> Event:
    if isinstance(event, AttemptSucceeded):
        return AttemptSucceeded(now, event.id, event.output)
    assert isinstance(event, AttemptFailed)
    return AttemptFailed(now, event.id, event.failure)


async def _really(command: Perform, given: dict[str, Any]) -> Any:
    """Let the real handler perform a command."""
    allowed = bool(given.get("allow"))
    handlers = build_handlers(
        functions=FunctionRegistry(),
        processes=ProcessSettings(allow_scripts=allowed, allow_shell=allowed),
        policy=OutboundPolicy(allow_loopback=True),
    )
    try:
        context = EffectContext(
            "run-1", "conformance/case:0.1.0", f"run-1/{command.id}", Secrets(given.get("secrets", {}))
        )
        return await handlers[command.handler].perform(command, context)
    finally:
        await handlers.aclose()
