"""How a world went, and what was found in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """How a world went.

    Attributes:
        runs: All of them. children: Those that another run waited for. scheduled: Those that started by themselves.
        held: Failures that waited for a person. interventions: What people did to tasks.
        unread: Readings that failed. refusals: Acts that the guard did not let through. asked: Acts that it left to
            people. decisions: What people did to human tasks, and counted.
        migrations: How often a run moved to another version. undone: Acts that were taken back.
    """

    seed: int
    runs: int
    children: int
    scheduled: int
    events: int
    crashes: int
    acts: int
    held: int
    interventions: int
    unread: int
    refusals: int
    asked: int
    decisions: int
    migrations: int
    undone: int


class Finding(Exception):
    """A seed under which something happened that must not happen.

    Attributes:
        seed: The world. complaint: What the auditor says. log: What happened, line by line, if it was recorded.
    """

    def __init__(self, seed: int, complaint: str, log: list[str]) -> None:
        super().__init__(f"seed {seed}: {complaint}")
        self.seed = seed
        self.complaint = complaint
        self.log = log
