"""The judgement of a job whose acts are taken back: the journals of the systems against the runs and the inbox."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from scripts.demo.job import ACTIONS, customers, runs
from scripts.demo.stage import Practice, Server

_TEXT = {"crm": "subject", "billing": "message", "support": "note"}
"""Where each system keeps what the document says of an act: `did 3`, `undo 3`."""

_PLACES = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}


class Write(NamedTuple):
    """One write, as a system kept it. `at_ms` is the clock of the machine, which all systems share."""

    at_ms: int
    system: str
    sequence: int
    undo: bool
    act: int


@dataclass
class Judgement:
    """What was found in a job.

    Attributes:
        outcomes: Runs by how they ended.
        acts: Writes that did something. undone: Writes that took one back.
        unknown: Acts that were cut off while they were under way, and stand in the inbox.
        findings: What must not be.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    acts: int = 0
    undone: int = 0
    unknown: int = 0
    findings: list[str] = field(default_factory=list)

    def add(self, other: Judgement) -> None:
        """Count another job too."""
        self.outcomes += other.outcomes
        self.acts += other.acts
        self.undone += other.undone
        self.unknown += other.unknown
        self.findings += other.findings


def judge(practice: Practice, server: Server, job: str) -> Judgement:
    """Judge a job whose runs are all closed, or have stopped moving."""
    found, written = Judgement(), journal(practice)
    left = _left(server)
    started = {run["id"]: run for run in runs(server, job)}
    if len(started) != customers(server, job):
        found.findings.append(f"job {job}: {customers(server, job)} customers, but {len(started)} runs")
    found.findings += [f"writes by {run!r}, which is no run of the job" for run in written if run not in started]
    for name, run in started.items():
        found.outcomes[run["status"]] += 1
        unknown = left.get(name, frozenset())
        writes = written.get(name, [])
        found.acts += sum(not write.undo for write in writes)
        found.undone += sum(write.undo for write in writes)
        found.unknown += len(unknown)
        found.findings += [f"run {name} ({run['status']}): {wrong}" for wrong in complaints(run, writes, unknown)]
    return found


def complaints(run: Mapping[str, Any], writes: Sequence[Write], unknown: frozenset[int]) -> list[str]:
    """What is wrong with how one run took back what it did.

    Args:
        run: As the API lists it, with its output.
        writes: All that it wrote anywhere.
        unknown: Its acts that stand in the inbox because nobody knows whether they happened.
    """
    wrong = []
    if run["status"] not in ("completed", "faulted", "cancelled"):
        wrong.append("it has not ended")
    if run["status"] == "completed" and run["output"] != {"outcome": "taken back"}:
        wrong.append(f"it ended with {run['output']!r}")
    done = [write for write in sorted(writes) if not write.undo]
    undone = [write for write in sorted(writes) if write.undo]
    for act, number in Counter(write.act for write in done).items():
        if number != 1:
            wrong.append(f"act {act} was done {number} times")
    for act, number in Counter(write.act for write in undone).items():
        if number != 1:
            wrong.append(f"act {act} was taken back {number} times")
    standing = {write.act for write in done} - {write.act for write in undone}
    if standing - unknown:
        wrong.append(f"acts {sorted(standing - unknown)} stand, and the inbox does not know")
    if {write.act for write in undone} - {write.act for write in done}:
        wrong.append("something was taken back that was not done")
    if done and undone and max(write.at_ms for write in done) > min(write.at_ms for write in undone):
        wrong.append("it acted on while it took back")
    wrong += _out_of_order(undone)
    return wrong


def _out_of_order(undone: Sequence[Write]) -> list[str]:
    """Later acts are taken back earlier: by the clock between systems, and by its own count within one."""
    wrong = []
    for first in undone:
        for second in undone:
            same = first.system == second.system
            earlier = first.sequence < second.sequence if same else first.at_ms < second.at_ms
            if earlier and first.act < second.act:
                wrong.append(f"act {first.act} was taken back before act {second.act}")
    return wrong


def journal(practice: Practice) -> dict[str, list[Write]]:
    """Every write by the run that made it, from the journals of the systems themselves."""
    found: defaultdict[str, list[Write]] = defaultdict(list)
    for system, kind in ACTIONS.items():
        for sequence, reference, at_ms, record in _rows(practice.folder / f"{system}.sqlite3", kind):
            verb, _, act = json.loads(record)[_TEXT[system]].partition(" ")
            run = str(reference).partition(":")[0]
            found[run].append(Write(at_ms, system, sequence, verb == "undo", int(act)))
    return found


def is_undo(exception: Mapping[str, Any]) -> bool:
    """It is an undo that failed."""
    return str(exception["pointer"]).endswith("/with/undo")


def _left(server: Server) -> dict[str, frozenset[int]]:
    """The acts of each run that stand in the inbox as unknown."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    after = None
    while True:
        query = {"state": "open", "kind": "unknown", "limit": 500} | ({"after": after} if after else {})
        page = server.get("/exceptions", **query)
        for exception in page["items"]:
            found[exception["run"]].update(_PLACES[p] for p in exception["pointer"].split("/") if p in _PLACES)
        after = page.get("next")
        if not after:
            return {run: frozenset(acts) for run, acts in found.items()}


def _rows(place: Path, kind: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as kept:
        return kept.execute(
            "SELECT sequence, reference, at_ms, record FROM writes WHERE kind = ?", (kind,)
        ).fetchall()
