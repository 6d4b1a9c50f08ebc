"""The judgement of one job: what its runs say of themselves against what the practice company counted.

The company keeps each write with the name the client gave it, which begins with the id of the run. So every write is
laid beside the run that made it, and neither a lost one nor a doubled one can hide behind another.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.demo.job import ACTIONS, customers, runs
from scripts.demo.stage import Practice, Server

_NAMED_MAX = 10


@dataclass
class Judgement:
    """What was found in a job.

    Attributes:
        outcomes: Customers by what became of them; `at risk` counts those scored above the threshold.
        reasons: Why runs faulted, with how many.
        actions: Writes by kind, as the company counted them.
        findings: What must not be.
    """

    total: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    actions: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def add(self, other: Judgement) -> None:
        """Count another job too."""
        self.total += other.total
        self.outcomes += other.outcomes
        self.reasons += other.reasons
        self.actions += other.actions
        self.findings += other.findings


def judge(practice: Practice, server: Server, job: str) -> Judgement:
    """Judge a job whose runs are all closed, or have stopped moving."""
    found = Judgement(total=customers(server, job) or 0)
    expected: dict[str, tuple[int, int]] = {}
    for run in runs(server, job):
        expected[run["id"]] = _outcome(run, found)
    if len(expected) != found.total:
        found.findings.append(f"job {job}: {found.total} customers, but {len(expected)} runs")
    stats = practice.stats()
    for name, kind in ACTIONS.items():
        made = _writes(practice.folder, name, kind)
        found.actions[kind] += sum(made.values())
        _compare(kind, expected, made, found)
        kept = stats[name]["writes"][kind]
        if kept["created"] != sum(made.values()) or kept["duplicates"]:
            found.findings.append(f"{name} counts {kept['created']} and {kept['duplicates']} doubled of {kind}")
    return found


def _outcome(run: dict[str, Any], found: Judgement) -> tuple[int, int]:
    """Count the run; returns how often it must and may have done each action."""
    if run["status"] == "completed":
        output = run["output"]
        found.outcomes[output["outcome"]] += 1
        at_risk = int(output.get("actions", 0) > 0)
        found.outcomes["at risk"] += at_risk
        return at_risk, at_risk
    found.outcomes[run["status"]] += 1
    error = run.get("error") or {}
    if run["status"] == "faulted" and (error.get("detail") or error.get("title")):
        # It may have got as far as its actions; none of them may exist twice.
        found.reasons[f"{error.get('status')} {error.get('instance')}: {str(error.get('detail'))[:110]}"] += 1
    else:
        found.findings.append(f"run {run['id']} is {run['status']} without a reason")
    return 0, 1


def _compare(kind: str, expected: dict[str, tuple[int, int]], made: Counter[str], found: Judgement) -> None:
    wrong = []
    for run, (least, most) in expected.items():
        number = made[run]
        if not least <= number <= most:
            wrong.append(f"run {run}: {number} of {kind} instead of {most}")
    wrong += [
        f"{number} of {kind} by {run!r}, which is no run of the job"
        for run, number in made.items()
        if run not in expected
    ]
    found.findings += wrong[:_NAMED_MAX]
    if len(wrong) > _NAMED_MAX:
        found.findings.append(f"and {len(wrong) - _NAMED_MAX} more of {kind}")


def _writes(folder: Path, name: str, kind: str) -> Counter[str]:
    """How many writes of this kind each run made, from the journal of the system itself."""
    with closing(sqlite3.connect(f"file:{folder / name}.sqlite3?mode=ro", uri=True)) as journal:
        rows = journal.execute("SELECT reference FROM writes WHERE kind = ?", (kind,)).fetchall()
    return Counter(str(reference).partition(":")[0] for (reference,) in rows)
