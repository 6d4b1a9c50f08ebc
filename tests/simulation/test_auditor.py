"""The auditor can fail: every deliberately broken host, disk or core is found within a few hundred worlds."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from segue.core.machines import attempt, fork
from segue.core.turn import Turn
from segue.hosts.simulated import Finding, engine, run_seed
from segue.hosts.simulated.disk import Disk
from segue.hosts.simulated.engine import Effort, Engine
from segue.types import AwaitMessages, Cancel, Command, Perform, TimerFired

SEEDS = 600


def complaint_about(broken: dict[str, Any] | None = None) -> str:
    """What is found first, within `SEEDS` worlds."""
    for seed in range(SEEDS):
        try:
            run_seed(seed, **(broken or {}))
        except Finding as finding:
            return finding.complaint
    pytest.fail(f"nothing was found in {SEEDS} worlds")


class ReleasesEarly(Engine):
    """Lets commands out before their cause is on disk."""

    def _write(self, records: Any, then: Callable[[], None]) -> None:
        super()._write(records, lambda: None)
        then()


class ForgetsCancel(Engine):
    """Does not tell anybody of a cancel."""

    def _let_out(self, live: Any, command: Command) -> None:
        if not isinstance(command, Cancel):
            super()._let_out(live, command)


class RepeatsWhatItMustAsk(Engine):
    """Performs an act again although its intent says that it may have happened."""

    def _look_back(self, live: Any, command: Perform) -> None:
        if (live.id, command.id) in self._intended:
            self._intend(live, command)
        else:
            super()._look_back(live, command)


class LooksAtThisAttemptOnly(Engine):
    """Counts every attempt of a retried list as a new act."""

    def _look_back(self, live: Any, command: Perform) -> None:
        if (live.id, command.id) not in self._intended:
            self._efforts.pop((live.id, command.effect), None)
        super()._look_back(live, command)


class TakesALostAnswerForAFailure(Engine):
    """Believes that what failed did not happen."""

    def _settle(self, live: Any, command: Perform, effort: Any) -> Any:
        unsure = effort.state == "unknown" and (live.id, command.id) in self._intended
        return super()._settle(live, command, Effort("failed") if unsure else effort)


class ForgetsOutcomesInACrash(Engine):
    """A new process does not know how earlier attempts ended."""

    def load(self) -> None:
        super().load()
        self._efforts.clear()


class DoesNotWaitForTheEarlierOne(Engine):
    """Begins an act beside an earlier attempt at it that nobody waits for."""

    def _perform(self, live: Any, command: Perform, *, recovering: bool = False) -> None:
        self._under_way.pop((live.id, command.effect), None)
        super()._perform(live, command, recovering=recovering)


class TakesADoneActForAFailedOne(Engine):
    """Does again what has a receipt."""

    def _look_back(self, live: Any, command: Perform) -> None:
        name = (live.id, command.effect)
        if self._efforts.get(name, Effort("")).state == "done":
            self._intend(live, command)
        else:
            super()._look_back(live, command)


class ForgetsWhatIsHeld(Engine):
    """A new process shows no failures."""

    def load(self) -> None:
        super().load()
        for live in self.runs.values():
            live.state.held.clear()


class ActsWithoutIntent(Engine):
    """Writes no intents."""

    def _perform(self, live: Any, command: Perform, *, recovering: bool = False) -> None:
        self._act(live, command, recovering)


class LosesActs(Engine):
    """A new process forgets the acts of the old one."""

    def _issue_again(self, live: Any) -> None:
        for command in list(live.state.open.values()):
            if not isinstance(command, Perform):
                self._let_out(live, command)


class LosesTimers(Engine):
    """A new process forgets timers."""

    def _issue_again(self, live: Any) -> None:
        for command in list(live.state.open.values()):
            if isinstance(command, Perform):
                self._perform(live, command, recovering=True)
            elif isinstance(command, AwaitMessages):
                self._open_wait(live, command)


class DoesNotSeeTheClockJump(Engine):
    """Counts down instead of looking at the clock."""

    def _tick(self, run_id: str, number: int) -> None:
        live = self.runs[run_id]
        if self.alive and self._timers.pop((run_id, number), None) is not None and number in live.state.open:
            self._apply(live, TimerFired(self._time.wall(), number))


class SleepsThroughTheClockJump(Engine):
    """Does not look again when the clock was set back."""

    def _rearm(self) -> None:
        pass


class OffersTwice(Engine):
    """Forgets which messages a run has taken."""

    def _offer(self, live: Any, record: Any, ids: tuple[int, ...]) -> None:
        live.consumed.clear()
        super()._offer(live, record, ids)


class MissesEarlyMessages(Engine):
    """Offers a wait only what comes after it opened."""

    def _open_wait(self, live: Any, command: AwaitMessages) -> None:
        if command.id in live.state.open:
            live.waits[command.id] = command


class ArmsTimersTwice(Engine):
    """Fires a timer that was taken back."""

    def _tick(self, run_id: str, number: int) -> None:
        if self.alive and self._timers.pop((run_id, number), 0):
            self._apply(self.runs[run_id], TimerFired(self._time.wall(), number))

    def _let_out(self, live: Any, command: Command) -> None:
        if not (isinstance(command, Cancel) and (live.id, command.id) in self._timers):
            super()._let_out(live, command)


class TakesEveryAnswer(Engine):
    """Records answers that nobody waits for any more."""

    def _answer(self, live: Any, command: Perform, answer: Any, *, looked: bool = False) -> None:
        live.state.open.setdefault(command.id, command)
        super()._answer(live, command, answer, looked=looked)


@pytest.mark.parametrize(
    ("host", "complaint"),
    [
        (ReleasesEarly, "before its"),
        (ForgetsCancel, "though it is cancelled"),
        (RepeatsWhatItMustAsk, "asked for again blindly"),
        (LooksAtThisAttemptOnly, "asked for again blindly"),
        (TakesALostAnswerForAFailure, "asked for again blindly"),
        (ForgetsOutcomesInACrash, "asked for again blindly"),
        (DoesNotWaitForTheEarlierOne, "was performed twice"),
        (TakesADoneActForAFailedOne, "asked for again blindly"),
        (ForgetsWhatIsHeld, "differs from its history"),
        (ActsWithoutIntent, "without an intent"),
        (LosesActs, "was lost"),
        (LosesTimers, "was lost"),
        (DoesNotSeeTheClockJump, "early"),
        (SleepsThroughTheClockJump, "was lost"),
        (OffersTwice, "twice"),
        (MissesEarlyMessages, "which has arrived"),
        (ArmsTimersTwice, "not open"),
        (TakesEveryAnswer, "answered"),
    ],
)
def test_a_broken_host_is_found(host: type[Engine], complaint: str) -> None:
    """A law that no host can break is no law."""
    assert complaint in complaint_about({"engine": host})


def test_a_host_that_names_effects_by_command_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A retried act would look like another one to an idempotent system."""
    monkeypatch.setattr(engine, "_key", lambda live, command: f"{live.id}:{command.id}")
    assert "wrong key" in complaint_about()


class LosesAcknowledged(Disk):
    """Forgets the newest acknowledged record in a crash."""

    def power_off(self) -> None:
        super().power_off()
        del self.durable[-1:]


class KeepsPieces(Disk):
    """Lets any of the pending writes survive, not a first part of them."""

    def power_off(self) -> None:
        for records, _ in list(self._pending)[1:]:
            self._keep(records)
        self._pending.clear()
        super().power_off()


@pytest.mark.parametrize("disk", [LosesAcknowledged, KeepsPieces])
def test_a_disk_that_breaks_its_promise_is_found(disk: type[Disk]) -> None:
    """Else a host that acknowledges too early would pass on this disk."""
    assert complaint_about({"disk": disk})


def _forgets_commands(self: Turn, command_id: int) -> None:
    self.state.open.pop(command_id, None)


def _starts_anyway(self: Turn, node: Any, parent: Any, raw: Any, thread: Any) -> None:
    paused, self.state.paused = self.state.paused, False
    ORIGINAL_BEGIN(self, node, parent, raw, thread)
    self.state.paused = paused


def _waits_for_all(self: Any, turn: Turn, frame: Any, child: Any, reason: Any) -> None:
    frame.data.left -= 1


def _lets_it_work_on(self: Turn, frame: Any, reason: Any) -> None:
    self.state.frames[frame.id] = frame
    self.state.held[frame.id] = reason


def _holds_one_at_a_time(self: Turn, frame: Any, reason: Any) -> None:
    self.state.held.clear()
    ORIGINAL_HOLD(self, frame, reason)


def _drops_what_others_hold(self: Turn, frame: Any, output: Any, then: int) -> None:
    self.state.held.clear()
    ORIGINAL_PASS_ON(self, frame, output, then)


def _ends_its_siblings(self: Turn, frame: Any) -> None:
    for other in list(self.state.frames.values()):
        if other.parent is frame.parent:
            ORIGINAL_END_ONE(self, other)


ORIGINAL_BEGIN = Turn._begin
ORIGINAL_HOLD = Turn._hold
ORIGINAL_PASS_ON = Turn.pass_on
ORIGINAL_END_ONE = Turn.end_one
DICE = Random()


@pytest.mark.parametrize(
    ("place", "name", "broken"),
    [
        (Turn, "withdraw", _forgets_commands),
        (Turn, "close_below", lambda self, frame: None),
        (Turn, "stop_timer", lambda self, timer: None),
        (Turn, "_begin", _starts_anyway),
        (attempt, "_draw", lambda seed, frame_id, number: DICE.random()),
        (fork.Fork, "child_failed", _waits_for_all),
        (Turn, "_falls_through", lambda self, frame, reason: False),
        (Turn, "_falls_through", lambda self, frame, reason: frame.parent is not None),
        (Turn, "_hold", _lets_it_work_on),
        (Turn, "_hold", _holds_one_at_a_time),
        (Turn, "pass_on", _drops_what_others_hold),
        (Turn, "end_one", _ends_its_siblings),
        (Turn, "end_one", lambda self, frame: self._close_one(frame)),
    ],
)
def test_a_broken_core_is_found(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, broken: Any) -> None:
    """Forgotten cancels, a pause that does not hold, dice that are thrown again on replay; failures that are not
    held, held too long or lost, and hands that reach beyond the task they name."""
    monkeypatch.setattr(place, name, broken)
    assert complaint_about()


def test_what_stands_on_the_shelf_is_used() -> None:
    """The broken hosts above override methods that exist; a renamed one would break nothing any more."""
    methods = ["_write", "_let_out", "_issue_again", "_perform", "_tick", "_rearm", "_offer", "_open_wait", "load"]
    for method in (*methods, "_look_back", "_intend", "_settle"):
        assert method in vars(Engine)
