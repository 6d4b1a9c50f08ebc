"""The core alone: what one durable step costs without disk, handler or loop.

A document of ten acts, each with a small program for its arguments; and one in which a step also runs pure tasks:
set, switch and a condition. Beside them, in the same run, what msgspec needs to write and read back the event of a
step as JSON: a host cannot do less than that, so the core is measured against it.

Usage: python bench/bench_core.py [--runs N] [--profile]
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from segue.core import Plan, RunState, advance
from segue.core.plan import Node
from segue.hosts.simulated.building import act, plan, program, put, switch
from segue.types import AttemptSucceeded, Event, Perform, RunStarted

TASKS = 10
ROUNDS = 400
CUSTOMER = {"id": "c-4711", "name": "Ada", "tenure": 17, "charges": 74.4, "contract": "month", "tags": ["a", "b"]}
OUTPUT = {"customer": CUSTOMER, "score": 0.83, "reasons": ["contract", "tenure"]}

Measure = Callable[[], float]


def ten_acts() -> Plan:
    """Ten acts in a row."""
    return plan(*(act(f"act{number}", program(_arguments)) for number in range(TASKS)), name="ten-acts")


def with_pure_tasks() -> Plan:
    """Ten acts, each followed by a set and a switch."""
    tasks: list[Node] = []
    for number in range(TASKS):
        likely = program(lambda data, v: data["score"] > 0.5)
        tasks.append(act(f"act{number}", program(_arguments)))
        tasks.append(put(f"set{number}", program(lambda data, v: {**data, "seen": True}), condition=likely))
        tasks.append(switch(f"switch{number}", (program(lambda data, v: data["score"] > 2), -3), (None, -1)))
    return plan(*tasks, name="with-pure-tasks")


def _arguments(data: Any, variables: Mapping[str, Any]) -> Any:
    return {"customer": data["customer"]["id"], "score": data["score"]}


def run_once(made: Plan) -> RunState:
    """One run from its start to its end; every act is answered at once."""
    state, commands = advance(made, None, RunStarted(1_000, "run", made.digest, OUTPUT, "seed"))
    for number in range(TASKS):
        command = commands[-1]
        assert isinstance(command, Perform), command
        state, commands = advance(made, state, AttemptSucceeded(1_001 + number, command.id, OUTPUT))
    assert state.ended == "completed"
    return state


def microseconds_per_step(made: Plan, runs: int) -> float:
    """The best round, over the ten answers and the start of each run."""
    return _best(lambda: [run_once(made) for _ in range(runs)], runs * TASKS)


def microseconds_per_event(count: int) -> float:
    """Writing and reading back the event of a step."""
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Event).decode
    event = AttemptSucceeded(1_001, 7, OUTPUT)
    return _best(lambda: [decode(encode(event)) for _ in range(count)], count)


def _best(work: Callable[[], Any], count: int) -> float:
    gc.collect()
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took) / count * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="runs in each round")
    parser.add_argument("--profile", action="store_true", help="show where the time goes instead")
    asked = parser.parse_args()
    if asked.profile:
        made, profile = ten_acts(), cProfile.Profile()
        profile.runcall(lambda: [run_once(made) for _ in range(asked.runs)])
        pstats.Stats(profile).sort_stats("tottime").print_stats(20)
        return
    event = microseconds_per_event(asked.runs * TASKS)
    print(f"event to JSON and back (msgspec)   {event:6.2f} µs")
    for made in (ten_acts(), with_pure_tasks()):
        step = microseconds_per_step(made, asked.runs)
        print(f"advance, per step of {made.name:<14}{step:6.2f} µs   {step / event:4.1f} × the event")


if __name__ == "__main__":
    main()
