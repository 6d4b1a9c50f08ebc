"""Conformance documents as stories: a good choice of them, by a rule and not by taste."""

from __future__ import annotations

import re
from typing import Any, Final

from tests.conformance.documents.driver import Stub, stub_answer
from tests.conformance.documents.loading import Case, load_all
from tests.replay.stage import Stage, Story

from segue.types import EffectContext, Perform, RunCancelled, RunPaused, RunResumed

_OTHER_THINGS: Final = ("http", "raw", "secrets", "allow", "environment", "way")
_EACH: Final = 6
_HORIZON_MS: Final = 120_000


class _Stubs:
    """The handler of a case's functions."""

    def __init__(self, stage: Stage, given: dict[str, Any]) -> None:
        self._stage = stage
        self._stubs = {name: Stub(spec) for name, spec in given.get("functions", {}).items()}

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        name = command.arguments["name"]
        step = self._stubs[name].next()
        if "hangs" in step or "after_ms" in step:
            await self._stage.world.clock.sleep(10**9 if "hangs" in step else step["after_ms"] / 1000)
        return stub_answer(step, name, command.arguments.get("arguments"))

    def recovery(self, command: Perform) -> str:
        return "repeat"


def conformance_stories() -> list[Story]:
    """A few cases of each file: those that say the most, of those that a stub can answer."""
    chosen: list[Story] = []
    by_file: dict[str, list[Case]] = {}
    for case in load_all():
        if _is_fit(case):
            by_file.setdefault(case.file, []).append(case)
    for file, cases in sorted(by_file.items()):
        cases.sort(key=lambda case: (-len(case.text()), case.name))
        chosen += [_story(file, case) for case in cases[:_EACH]]
    return chosen


def _is_fit(case: Case) -> bool:
    given, expect = case.given, case.expect
    if any(key in given for key in _OTHER_THINGS) or "refused" in expect or "refuses" in expect:
        return False
    outside = re.search(
        r"\b(?:call: (?:http|openapi|grpc|asyncapi)|run: *\{? *(?:script|shell|container))", case.text()
    )
    words = re.search(r"\bschedule:|BASE|HOSTPORT|NOWHERE|\b(?:script|shell|container):", case.text())
    return outside is None and words is None


def _story(file: str, case: Case) -> Story:
    given = case.given
    timeline: list[tuple[int, str, Any]] = []
    for entry in given.get("control", []):
        timeline.append((entry["after_ms"], "control", next(key for key in entry if key != "after_ms")))
    for number, entry in enumerate(given.get("events", [])):
        envelope = {"specversion": "1.0", "id": f"event-{number}", "source": "/case", **entry["event"]}
        timeline.append((entry["after_ms"], "event", envelope))
    timeline.sort(key=lambda moment: moment[0])

    async def play(stage: Stage) -> None:
        stage.actor = _Stubs(stage, given)  # type: ignore[assignment]
        await stage.crash()
        await stage.start(given.get("input", {}))
        passed = 0
        for after_ms, what, data in timeline:
            await stage.pass_by(after_ms - passed)
            passed = after_ms
            await _happen(stage, what, data)
        await stage.pass_by(min(given.get("until_ms", _HORIZON_MS), _HORIZON_MS))

    name = f"conformance-{file[:2]}-{re.sub(r'[^a-z0-9]+', '-', case.name.lower()).strip('-')[:60]}"
    documents = [case.text(), *given.get("children", [])]
    return Story(name, f"{case.name} ({case.source})", documents, play, functions=tuple(given.get("functions", {})))


async def _happen(stage: Stage, what: str, data: Any) -> None:
    if what == "event":
        await stage.world.host.publish(data)
    else:
        kinds: dict[str, Any] = {"pause": RunPaused, "resume": RunResumed, "cancel": RunCancelled}
        await stage.world.host.control("main", kinds[data](0))
    await stage.settle()
