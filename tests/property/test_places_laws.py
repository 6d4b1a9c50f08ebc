"""Laws of places in loops: they grow while a run goes on, so one of them tells what may be forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.property.test_core_laws import sensible

from segue.core import Plan, RunState, advance
from segue.core.places import Place, _sortable, place_of
from segue.core.plan import Node
from segue.hosts.simulated import building as b
from segue.hosts.simulated.generating import random_plan, with_undos
from segue.types import AttemptSucceeded, Event, Perform, RunStarted

Happens = Callable[[Random, RunState, int], Event]

seeds = st.integers(0, 2**32 - 1)
laws = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), min_size=2, max_size=2))
def test_texts_sort_as_the_numbers_do(pairs: list[tuple[int, int]]) -> None:
    """The store compares them as text, and would else forget lap 9 only after lap 10."""
    one, other = pairs
    texts = ["".join(map(_sortable, pair)) for pair in pairs]
    assert (texts[0] < texts[1]) == (one < other)


def nested(rng: Random, depth: int = 0) -> Node:
    """Loops in lists in loops, down to acts."""
    name = f"n{rng.randrange(10**9)}"
    kind = rng.choice(("act", "for", "do", "fork")) if depth < 4 else "act"
    if kind == "act":
        return b.act(name)
    inside = [nested(rng, depth + 1) for _ in range(rng.randint(1, 3))]
    if kind == "for":
        return b.loop(name, list(range(rng.randint(0, 4))), *inside)
    if kind == "fork":
        return b.fork(name, *inside)
    salt = rng.randrange(7)
    again = b.program(lambda data, v: isinstance(data, int) and data % 7 < salt)
    return b.do(name, *inside, b.act(f"{name}a"), b.switch(f"{name}s", (again, 0)))


def goes_on(rng: Random, state: RunState, now: int) -> Event:
    """An answer, and nothing that starts anything again."""
    asked = rng.choice([command for command in state.open.values() if isinstance(command, Perform)])
    return AttemptSucceeded(now, asked.id, rng.randrange(100))


def acts_of(plan: Plan, rng: Random, steps: int, happens: Happens = sensible) -> Iterator[tuple[RunState, Perform]]:
    """The acts of a run, when they are asked for."""
    now = 1_000
    event: Event = RunStarted(now, "run", plan.digest, 5, "seed")
    state: RunState | None = None
    for _ in range(steps):
        state, commands = advance(plan, state, event)
        yield from ((state, command) for command in commands if isinstance(command, Perform))
        if state.ended is not None:
            return
        now += 10
        event = happens(rng, state, now)


@laws
@given(seeds)
def test_places_of_a_task_grow_while_a_run_goes_on(seed: int) -> None:
    """So what lies below the newest one is over, and an act that is new is never taken for one that is forgotten."""
    rng = Random(seed)
    plan = b.plan(*(nested(rng) for _ in range(rng.randint(1, 3))))
    newest: dict[str, str] = {}
    for state, command in acts_of(plan, rng, 150, goes_on):
        place = place_of(plan, state, command.effect)
        assert place is not None, command.effect
        assert place.at > newest.get(place.task, ""), f"{command.effect} comes before {newest[place.task]}"
        newest[place.task] = place.at


@laws
@given(seeds)
def test_every_act_has_a_place_and_two_acts_never_the_same(seed: int) -> None:
    """Else one that was never done could be forgotten with another."""
    rng = Random(seed)
    plan = with_undos(rng, random_plan(rng))
    told: dict[Place, str] = {}
    for state, command in acts_of(plan, rng, 100):
        place = place_of(plan, state, command.effect)
        assert place is not None, command.effect
        assert told.setdefault(place, command.effect) == command.effect


@laws
@given(seeds)
def test_what_was_forgotten_is_known_as_such(seed: int) -> None:
    """Whatever starts again, and however often acts are forgotten: none that happened is taken for a new one."""
    rng = Random(seed)
    plan = random_plan(rng)
    ledger: dict[str, Place] = {}
    floors: dict[str, str] = {}
    forgotten: set[str] = set()
    for state, command in acts_of(plan, rng, 150):
        place = place_of(plan, state, command.effect)
        assert place is not None
        if command.effect in forgotten and command.effect not in ledger:
            assert place.at <= floors[place.task], f"{command.effect} would be done once more"
        ledger[command.effect] = place
        if rng.random() < 0.3:
            newest = {task: max(p.at for p in ledger.values() if p.task == task) for task, _ in ledger.values()}
            for name, (task, at) in list(ledger.items()):
                if at < newest[task]:
                    del ledger[name]
                    forgotten.add(name)
                    floors[task] = max(floors.get(task, ""), at)


def test_what_belongs_to_no_plan_has_no_place() -> None:
    """It is never forgotten, and never taken for what was."""
    plan = b.plan(b.loop("l", [1], b.act("a")))
    state, _ = advance(plan, None, RunStarted(1_000, "run", plan.digest, 5, "seed"))
    act = next(node for node in plan.nodes if node.name == "a")
    around = f"{plan.root.index}.{plan.root.tasks[0].index}"
    assert place_of(plan, state, f"{act.index}[0]") == Place(f"{act.index}/{around}", "a0a0a0a0")
    for name in (str(act.index), f"{act.index}[0][1]", f"{act.index}[0]~9.1", "99", f"{act.index}[0]?"):
        assert place_of(plan, state, name) is None, name
    assert place_of(plan, state, f"{act.index}[12]~0.3^2") == Place(f"{act.index}/{around}", "a3b12a0a2")
