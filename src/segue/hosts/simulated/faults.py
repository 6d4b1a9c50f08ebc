"""What goes wrong, and how often: one draw of the dice for a whole world."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from random import Random
from typing import Final

_RARE = (0.0, 0.0, 0.0, 0.02, 0.1)
_COMMON = (0.0, 0.0, 0.1, 0.4)

NEWEST: Final = 9
"""The newest edition of the world.

What the simulation learns comes with a new edition and with dice of its own, so a seed of an earlier edition stays
the world that it was. 1: what stood at first. 2: readings fail, and the timekeeper looks ahead.
3: a guard stops handlers and workflows for a while. 4: acts through some handlers wait for somebody's approval.
5: human tasks, people who decide them, and rules that change between an approval and its act. 6: live runs move to
another version. 7: acts that wait have reminders, other people to ask, and a deadline. 8: outings, of which
everything that was booked can be taken back. 9: races, in which one wins while others still take back.
"""


class Dice:
    """The dice of a world: one for each topic, so that who throws more often does not disturb the others."""

    def __init__(self, seed: int, edition: int = NEWEST) -> None:
        self.seed = seed
        self.edition = edition

    def of(self, topic: str) -> Random:
        """Dice for this; those of the first edition have no name."""
        return Random(f"{topic} of {self.seed}" if topic else self.seed)  # noqa: S311 - dice of a game, not of a lock


@dataclass(frozen=True, slots=True)
class Faults:
    """Likelihoods from 0 to 1, and times in milliseconds.

    Attributes:
        crash_at_write: The process dies when a write is acknowledged, before or after it can act on that.
        crash_within_ms: Time in which one more crash comes from nowhere; 0 for never.
        torn: A crash loses what was not acknowledged; otherwise some of it may have survived.
        disk_ms: The longest time a write takes, and half a reading.
        disk_fails: A write fails, and is tried again.
        reads_fail: A reading fails. unreadable_ms: how long all of them do, once.
        looks_ahead: Timers of parked runs are read some minutes ahead, not once and for all.
        restarts: An operator ends the process properly, and starts another one.
        schedules: A workflow starts by itself.
        act_ms: The longest time an act takes, before it happens and again until its answer is there.
        act_stalls: An act takes many minutes.
        act_fails: It fails without having happened. answer_lost: It happens, but fails for who asked.
        foolish: A model answers garbage. inline: A system answers at once.
        message_doubled: A sender sends twice. operator: An operator pauses, resumes or cancels a run.
        holds: A run holds failures for a person. meddles: An operator starts tasks again, skips or gives up
            failures, often the wrong ones, twice or too late.
        mistaken: A person who is asked whether an act happened is wrong, or cannot say.
        stops: The guard stops a handler, or a workflow, and lets it go on later.
        withholds: The guard leaves what goes through a handler to people.
        decides: People look at their human tasks, and there are some. fickle: rules change behind an approval.
        clocked: An act that waits for approval has a clock, which refuses it at last.
        outings: There are runs that take back much of what they did. races: those that are cut off in it.
        migrates: An operator lets a live run go on under another version of its workflow.
        clock_jumps: The wall clock is set, forward or back, now and then.
        late_ms: How late people are.
    """

    crash_at_write: float = 0.0
    crash_within_ms: int = 0
    torn: float = 0.5
    disk_ms: int = 0
    disk_fails: float = 0.0
    reads_fail: float = 0.0
    unreadable_ms: int = 0
    looks_ahead: bool = False
    restarts: float = 0.0
    schedules: float = 0.0
    act_ms: int = 5
    act_stalls: float = 0.0
    act_fails: float = 0.0
    answer_lost: float = 0.0
    foolish: float = 0.0
    inline: float = 0.0
    message_doubled: float = 0.0
    operator: float = 0.0
    holds: float = 0.0
    meddles: float = 0.0
    mistaken: float = 0.0
    stops: float = 0.0
    withholds: float = 0.0
    decides: float = 0.0
    fickle: float = 0.0
    migrates: float = 0.0
    clocked: float = 0.0
    outings: float = 0.0
    races: float = 0.0
    clock_jumps: float = 0.0
    late_ms: int = 0

    @classmethod
    def drawn(cls, rng: Random, people: Random, dice: Dice) -> Faults:
        """A one-sided world: most things are fine, a few go wrong often.

        Args:
            people: Dice of their own for what came later, so that earlier seeds stay the worlds that they were.
            dice: Where what came later still has its own.
        """
        drawn = cls._first(rng, people)
        if dice.edition >= 2:
            disk = dice.of("reading")
            drawn = replace(
                drawn,
                reads_fail=disk.choice((0.0, 0.0, 0.0, 0.02, 0.2)),
                unreadable_ms=disk.choice((0, 0, 0, 5_000, 1_200_000)),
                looks_ahead=disk.random() < 0.5,
            )
        if dice.edition >= 3:
            drawn = replace(drawn, stops=dice.of("guard").choice((0.0, 0.0, 0.3, 0.8)))
        if dice.edition >= 4:
            drawn = replace(drawn, withholds=dice.of("withheld").choice((0.0, 0.0, 0.2, 0.6)))
        if dice.edition >= 5:
            staff = dice.of("desks")
            drawn = replace(drawn, decides=staff.choice((0.0, 0.3, 0.8)), fickle=staff.choice((0.0, 0.4)))
        if dice.edition >= 6:
            drawn = replace(drawn, migrates=dice.of("migrations").choice((0.0, 0.4, 0.8)))
        if dice.edition >= 7:
            drawn = replace(drawn, clocked=dice.of("clocks").choice((0.0, 0.5, 1.0)))
        if dice.edition >= 8:
            drawn = replace(drawn, outings=dice.of("outings").choice((0.0, 1.0)))
        if dice.edition >= 9:
            drawn = replace(drawn, races=dice.of("races").choice((0.0, 1.0)))
        return drawn

    @classmethod
    def _first(cls, rng: Random, people: Random) -> Faults:
        return cls(
            crash_at_write=rng.choice((0.0, 0.02, 0.1, 0.3)),
            crash_within_ms=rng.choice((0, 0, 50, 2_000, 100_000)),
            torn=rng.choice((0.0, 0.5, 1.0)),
            disk_ms=rng.choice((0, 2, 30, 1_000)),
            disk_fails=people.choice((0.0, 0.0, 0.0, 0.05, 0.3)),
            restarts=people.choice((0.0, 0.0, 0.5)),
            schedules=people.choice((0.0, 0.0, 1.0)),
            inline=people.choice((0.0, 1.0)),
            act_ms=rng.choice((0, 5, 200, 5_000)),
            act_stalls=rng.choice(_RARE),
            act_fails=rng.choice(_COMMON) / 3,
            answer_lost=max(rng.choice(_RARE), people.choice((0.0, 0.0, 0.0, 0.4))),
            foolish=rng.choice(_COMMON),
            message_doubled=rng.choice(_COMMON),
            operator=rng.choice(_COMMON),
            holds=people.choice((0.0, 0.5, 1.0)),
            meddles=people.choice((0.0, 0.3, 0.8)),
            mistaken=people.choice((0.0, 0.0, 0.3)),
            clock_jumps=rng.choice((0.0, 0.0, 0.3, 0.8)),
            late_ms=rng.choice((0, 10, 10_000, 86_400_000)),
        )

    def __str__(self) -> str:
        """Only what differs from a world in which nothing goes wrong."""
        said = [(f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default]
        return ", ".join(f"{name}={value}" for name, value in said)
