"""What a world is made of before anything happens in it: plans, their versions, and the host's settings."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from segue.core import Plan
from segue.hosts.contracts import HostSettings
from segue.hosts.simulated.faults import Dice, Faults
from segue.hosts.simulated.generating import human_plan, random_plan, with_undos
from segue.hosts.simulated.realistic import CAREFUL, REALISTIC, outing, patrol, race
from segue.hosts.simulated.versions import newer

LOOK_MS: Final = 120_000
_IDLE_MS: Final = 10**10


def versions_of(dice: Dice, rng: tuple[Any, ...], people: tuple[Any, ...]) -> list[Plan]:
    """Two more versions of each plan, made of the same throws."""
    made: list[Plan] = []
    for number in (2, 3):
        again, once_more = Random(), Random()  # noqa: S311 - dice of a game, not of a lock
        again.setstate(rng)
        once_more.setstate(people)
        made += [newer(dice.of(f"version {number}"), plan, number) for plan in plans_of(again, once_more)]
    return made


def besides_of(faults: Faults, dice: Dice, below: list[str]) -> list[tuple[str, Plan]]:
    """What runs in worlds of later editions, by the run's id."""
    made: list[tuple[str, Plan]] = []
    if faults.unreadable_ms > LOOK_MS:
        made.append(("patrol", patrol()))
    if faults.decides:
        chance = dice.of("plans with people")
        plan = human_plan(chance, name="desks", below=below)
        made += [(f"desk{number}", plan) for number in range(chance.randint(1, 3))]
    chance = dice.of("outing")
    if chance.random() < faults.outings:
        trip = outing(chance)
        made += [(f"outing{number}", trip) for number in range(chance.randint(1, 2))]
    chance = dice.of("race")
    if chance.random() < faults.races:
        course = race(chance)
        made += [(f"race{number}", course) for number in range(chance.randint(1, 2))]
    return made


def settings_of(people: Random, faults: Faults) -> HostSettings:
    """The settings of a world's host."""
    parks = people.choice((0, 5_000, 10**12))
    return HostSettings(
        acts_max=people.choice((1_000, 1_000, 3, 1)),
        park_after_ms=parks,
        park_timer_min_ms=people.choice((0, 5_000)),
        park_sweep_ms=people.choice((20_000, 300_000)) if parks < 10**12 else 10**12,
        clock_look_ms=LOOK_MS if faults.looks_ahead else _IDLE_MS,
        early_events_ms=10**12,
        drain_seconds=people.choice((0.0, 2.0)),
        snapshot_events=people.choice((1_000, 4, 1)),
        history_max_events=people.choice((0, 0, 8)),
    )


def plans_of(rng: Random, people: Random) -> list[Plan]:
    """The plans that a world begins with."""
    made: list[Plan] = []
    for number in range(rng.randint(1, 3)):
        # Each may start those before it, so nothing goes round for ever.
        made.append(random_plan(rng, name=f"p{number}", below=[plan.name for plan in made]))
    if rng.random() < 0.5:
        made.append(rng.choice(REALISTIC)())
    if people.random() < 0.3:
        made.append(people.choice(CAREFUL)())
    return [with_undos(people, plan) if people.random() < 0.3 else plan for plan in made]
