"""Plans, handlers and helpers for the host suite, built by hand: no document, no expression language."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from segue.core import Plan
from segue.core.plan import (
    ActNode,
    DoNode,
    EmitNode,
    EventFilter,
    ForkNode,
    ListenNode,
    Matcher,
    Node,
    Program,
    Schedule,
    Strategy,
    TryNode,
    WaitNode,
)
from segue.types import NOT_DONE, EffectContext, Perform, Recovery

Value = Callable[[Any], Any]


def program(value: Any) -> Program:
    """A program from a function of the data, or from a constant."""
    if callable(value):
        return Program(run=lambda data, variables, now_ms: value(data))
    return Program(run=lambda data, variables, now_ms: value, constant=True)


def act(name: str, handler: str = "echo", arguments: Any = lambda data: data, **more: Any) -> ActNode:
    """A task that acts; its arguments are its input unless told otherwise."""
    return ActNode(name=name, pointer=f"/do/{name}", handler=handler, arguments=program(arguments), **more)


def child(name: str, workflow: str, *, wait: bool = True, version: str = "1.0.0") -> ActNode:
    """`run.workflow`."""
    return act(
        name,
        "workflow",
        lambda data: {"namespace": "test", "name": workflow, "version": version, "input": data},
        wait=wait,
    )


def wait(name: str, ms: int) -> WaitNode:
    """A durable pause."""
    return WaitNode(name=name, pointer=f"/do/{name}", duration=program(ms))


def emit(name: str, event_type: str, data: Any = lambda data: data) -> EmitNode:
    """An event of this type, with the task's input as its data."""
    make = data if callable(data) else lambda _: data
    event = program(lambda seen: {"type": event_type, "data": make(seen)})
    return EmitNode(name=name, pointer=f"/do/{name}", event=event)


def listens_to(*types: str, mode: str = "one", until: Any = None) -> Strategy:
    """A strategy with one filter for each type."""
    filters = tuple(EventFilter((Matcher("type", literal=name),)) for name in types)
    return Strategy(mode, filters, until=until)  # type: ignore[arg-type]


def listen(name: str, *types: str, mode: str = "one") -> ListenNode:
    """Wait for events."""
    return ListenNode(name=name, pointer=f"/do/{name}", to=listens_to(*types, mode=mode))


def fork(name: str, *branches: Node, compete: bool = False) -> ForkNode:
    """Branches at once."""
    for branch in branches:
        branch.section = "branch"
    return ForkNode(name=name, pointer=f"/do/{name}", branches=branches, compete=compete)


def guarded(name: str, *tasks: Node) -> TryNode:
    """Catch every failure; the output is then the input."""
    for task in tasks:
        task.section = "try"
    return TryNode(name=name, pointer=f"/do/{name}", tasks=tasks)


def workflow(name: str, *tasks: Node, schedule: Schedule | None = None, version: str = "1.0.0") -> Plan:
    """A definition; its digest is its name and version."""
    root = DoNode(name=name, pointer="/do", section="root", tasks=tasks)
    return Plan("test", name, version, f"{name}:{version}", root, schedule=schedule)


class PlanBook:
    """Plans by digest."""

    def __init__(self, *plans: Plan) -> None:
        self._plans = {plan.digest: plan for plan in plans}

    def plan(self, digest: str) -> Plan:
        if digest not in self._plans:
            raise LookupError(f"no definition {digest!r}")
        return self._plans[digest]

    def resolve(self, namespace: str, name: str, version: str) -> str:
        found = [p for p in self._plans.values() if (p.namespace, p.name) == (namespace, name)]
        if version != "latest":
            found = [p for p in found if p.version == version]
        if not found:
            raise LookupError(f"no definition {namespace}/{name}:{version}")
        return found[-1].digest


class NoSecrets:
    async def read(self, name: str) -> Any:
        raise LookupError(name)


class Recorder:
    """A handler that remembers what it was asked to do, and does what a function says.

    Args:
        result: Called with the arguments; may raise, and may be a coroutine function.
        recovery: What the handler declares.
        happened: For `verify`: results by effect key of what is known to have happened.
    """

    def __init__(
        self,
        result: Callable[[Any], Any] = lambda arguments: arguments,
        *,
        recovery: Recovery = "repeat",
        happened: Mapping[str, Any] | None = None,
    ) -> None:
        self.result = result
        self.declared: Recovery = recovery
        self.happened = dict(happened or {})
        self.calls: list[tuple[Perform, EffectContext]] = []
        self.verified: list[str] = []
        self.cancelled = 0

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        self.calls.append((command, context))
        try:
            answer = self.result(command.arguments)
            return await answer if asyncio.iscoroutine(answer) else answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def recovery(self, command: Perform) -> Recovery:
        return self.declared

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        self.verified.append(context.key)
        return self.happened.get(context.key, NOT_DONE)


class InlineRecorder(Recorder):
    """The same, offering to act at once."""

    def perform_now(self, command: Perform, context: EffectContext) -> Any:
        self.calls.append((command, context))
        return self.result(command.arguments)


def never() -> Callable[[Any], Any]:
    """An act that does not end."""

    async def hang(arguments: Any) -> None:
        await asyncio.Event().wait()

    return hang


def event(event_type: str, number: int = 1, source: str = "/tests", **more: Any) -> dict[str, Any]:
    """A CloudEvent."""
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": source,
        "type": event_type,
        "data": {"n": number},
        **more,
    }


async def eventually(holds: Callable[[], Any], what: str = "the condition") -> None:
    """Wait, briefly, until it holds."""
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"{what} did not come true in time")


async def soon(awaitable: Any) -> Any:
    """The result of what must not take long."""
    return await asyncio.wait_for(awaitable, 10)
