"""Stories that golden histories are made of: real runs in the embedded host, on a clock moved by hand.

A story is a few documents and steps. What handlers answer is written down by task name, call by call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.conformance.hosts.factories import EmbeddedWorld
from tests.replay.golden import compiled

from segue.core import Plan
from segue.hosts import FailurePolicy, HostSettings
from segue.hosts.contracts import OpenDoor
from segue.types import (
    NOT_DONE,
    ApprovalWanted,
    DecisionMade,
    EffectContext,
    Event,
    Failure,
    Perform,
    Recovery,
    TaskAssigned,
    TaskFailure,
    failure,
)
from segue.types.causes import UNTOLD


@dataclass(frozen=True)
class Fails:
    """An answer: the act fails. `lost`: it happened, but nobody can know."""

    word: str = "communication"
    status: int | None = 503
    lost: bool = False


@dataclass(frozen=True)
class After:
    """An answer that takes a while."""

    ms: int
    answer: Any = None


HANGS: Final = After(10**12)


class Actor:
    """The handler of everything: answers by task name, call by call, the last one for ever; else its arguments."""

    def __init__(self, world: EmbeddedWorld, answers: Mapping[str, list[Any]], care: Mapping[str, Recovery]) -> None:
        self._world = world
        self._answers = {name: list(listed) for name, listed in answers.items()}
        self._care = care
        self.happened: dict[str, Any] = {}

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        answer = self._next(command)
        if isinstance(answer, After):
            await self._world.clock.sleep(answer.ms / 1000)
            answer = answer.answer
        if isinstance(answer, Fails):
            if answer.lost:
                self.happened[context.key] = "made before"
            reason = failure(
                answer.word,  # type: ignore[arg-type]
                "as the story says",
                status=answer.status,
                outcome_unknown=answer.lost,
            )
            raise TaskFailure(reason)
        self.happened[context.key] = answer
        return answer

    def recovery(self, command: Perform) -> Recovery:
        return self._care.get(command.name, "repeat")

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        return self.happened.get(context.key, NOT_DONE)

    def _next(self, command: Perform) -> Any:
        listed = self._answers.get(command.name)
        if not listed:
            return command.arguments.get("arguments") if command.handler == "function" else command.arguments
        return listed.pop(0) if len(listed) > 1 else listed[0]


class Withholding(OpenDoor):
    """Leaves acts of these names to a person."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def ask(
        self,
        run: str,
        workflow: str,
        command: Perform,
        cause: Mapping[str, Any] = UNTOLD,
        *,
        begun: bool = False,
    ) -> Failure | ApprovalWanted | str:
        if command.name not in self._names:
            return ""
        if any(given.digest == run for given in command.approvals):
            return "eyes@1"
        labels = {"classes": ["personal"], "untrusted": True}
        return ApprovalWanted(0, command.id, "boss", {"eyes": "forbid (…)"}, "1", "a rule", run, labels, 7.5)


class Stage:
    """A story being played."""

    def __init__(self, folder: Path, story: Story) -> None:
        self.story = story
        self.plans = story.plans()
        self.world = EmbeddedWorld(
            folder, HostSettings(drain_seconds=0.0, park_after_ms=10**12, hold_failures=story.holds)
        )
        self.world.door = Withholding(story.withholds)
        self.world.policy = lambda plan: FailurePolicy(concurrency=story.limit)
        self.actor = Actor(self.world, story.answers, story.care)
        self._sent = 0

    async def open(self) -> None:
        names = ("function", "connector", "model", "notify", "map", "http", "openapi")
        await self.world.open(dict.fromkeys(names, self.actor), *self.plans)

    async def start(self, given: Any = None, *, name: str = "main", plan: int = 0) -> str:
        run_id: str = await self.world.host.start(self.plans[plan].digest, given, run_id=name)
        await self.settle()
        return run_id

    async def settle(self) -> None:
        """Let everything happen that needs no time to pass."""
        for _ in range(12):
            await asyncio.sleep(0.002)

    async def pass_by(self, ms: int) -> None:
        """Let time pass, in steps: what a timer leads to happens before the next one is due."""
        for part in range(10):
            await self.world.advance(ms * (part + 1) // 10 - ms * part // 10)
            await self.settle()

    async def tell(self, type_: str, data: Any = None, **more: Any) -> None:
        """An event arrives."""
        self._sent += 1
        event = {"specversion": "1.0", "id": f"e{self._sent}", "source": "/golden", "type": type_, "data": data}
        await self.world.host.publish({**event, **more})
        await self.settle()

    async def control(self, event: Event, name: str = "main") -> None:
        """An operator does something."""
        assert await self.world.host.control(name, event), f"{event!r} came after the end"
        await self.settle()

    async def attend(self, event: DecisionMade | TaskAssigned, name: str = "main") -> None:
        """Somebody does something about a human task."""
        refused = await self.world.host.attend(name, event)
        assert refused is None, refused
        await self.settle()

    async def crash(self) -> None:
        """The process dies and another one starts."""
        await self.world.crash()
        await self.open()
        await self.settle()

    async def live(self, task: str, name: str = "main") -> int:
        """Id of the live task of this name."""
        from segue.core import replay

        history = await self.world.host.history(name)
        plan = next(p for p in self.plans if p.digest == history[0].definition)
        frames = replay(plan, history).frames
        return next(number for number, frame in frames.items() if frame.node.name == task)

    def node(self, task: str) -> int:
        """Index of the task of this name."""
        return next(node.index for node in self.plans[0].nodes if node.name == task)


@dataclass(frozen=True)
class Story:
    """What to play.

    Attributes:
        told: What it shows. play: Its steps.
        answers: By task name. care: How acts recover, by task name; others may be repeated.
        holds: Failures that nobody catches wait for a person.
        limit: How many runs of each workflow may be under way.
        withholds: Names of acts that somebody must approve.
    """

    name: str
    told: str
    documents: list[str]
    play: Callable[[Stage], Awaitable[Any]]
    answers: Mapping[str, list[Any]] = field(default_factory=dict)
    care: Mapping[str, Recovery] = field(default_factory=dict)
    functions: tuple[str, ...] = ()
    holds: bool = False
    limit: int | None = None
    withholds: tuple[str, ...] = ()

    def plans(self) -> list[Plan]:
        """Its documents, compiled."""
        made = [compiled(text, self.functions) for text in self.documents]
        known = {plan.digest: plan for plan in made}
        for plan in made:
            plan.others = known.__getitem__
        return made


async def played(story: Story, folder: Path) -> list[tuple[Plan, list[Event]]]:
    """Play a story; gives each run's plan and its history as it is on disk."""
    stage = Stage(folder, story)
    await stage.open()
    try:
        await story.play(stage)
        page = await stage.world.host.runs(limit=1000)
        found = []
        for record in reversed(page.items):
            plan = next(p for p in stage.plans if p.digest == record.digest)
            found.append((plan, await stage.world.host.history(record.id)))
        return found
    finally:
        await stage.world.close()
