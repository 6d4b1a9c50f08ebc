"""The budget of one evaluation, and the account that is kept of it.

A step is paid by every construct that can repeat: each element iterated, each function call, each turn of a
loop, each output of a comma. Bytes are paid by everything built whose size depends on the data: strings,
arrays, objects. Bytes are cumulative: what was thrown away again still counts, so the account bounds time as
well as memory. Depth is counted in interpreter frames, from the shape of the program, and so does not depend
on how deep the caller stands.

Expressions without any repeating construct are bounded by their own length and keep no account at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from segue.dsl.expressions.errors import BudgetExceeded

DEPTH_FRAMES_MAX = 6_000
"""Frames that recursive functions may stack up; checked to fit a thread with 1 MiB of C stack, while threads
get 8 MiB on Linux and 16 MiB on macOS."""

SLOT_BYTES = 8
"""What one element of an array costs: a pointer. The element itself was paid where it was made."""

ENTRY_BYTES = 64
"""What one entry of an object costs: its share of a hash table."""

SHORT_TEXT_CHARS = 1_024
"""Texts up to this length are not charged when joined; the step that joined them has paid."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What one evaluation may use.

    Args:
        steps: Repetitions. A step takes between a tenth and one microsecond, so the default stops an
            endless loop in well under a second.
        bytes: Bytes of strings, arrays and objects built, cumulative.
    """

    steps: int = 300_000
    bytes: int = 32 * 1024 * 1024


DEFAULT_BUDGET = Budget()


class Run:
    """The account of one evaluation, and the one outside fact it may read: the time of the event."""

    __slots__ = ("budget", "bytes", "depth", "now_ms", "steps")

    def __init__(self, budget: Budget, now_ms: int) -> None:
        self.budget = budget
        self.steps = budget.steps
        self.bytes = budget.bytes
        self.depth = 0
        self.now_ms = now_ms

    def step(self) -> None:
        """Pay one step."""
        self.steps -= 1
        if self.steps < 0:
            self.out_of_steps()

    def spend(self, steps: int) -> None:
        """Pay several steps, before they are taken."""
        self.steps -= steps
        if self.steps < 0:
            self.out_of_steps()

    def build(self, size_bytes: int) -> None:
        """Pay for something built, before it is built where its size is known."""
        self.bytes -= size_bytes
        if self.bytes < 0:
            self.out_of_bytes()

    def enter(self, frames: int) -> int:
        """Go deeper by `frames`; returns the depth to restore afterwards."""
        outer = self.depth
        self.depth = outer + frames
        if self.depth > DEPTH_FRAMES_MAX:
            raise too_deep()
        return outer

    def out_of_steps(self) -> None:
        """Say that the steps are used up."""
        raise BudgetExceeded(
            f"the expression takes more than {self.budget.steps} steps",
            hint="it may loop for ever; otherwise let it work on less data at a time",
        )

    def out_of_bytes(self) -> None:
        """Say that the memory is used up."""
        raise BudgetExceeded(
            f"the expression builds more than {self.budget.bytes} bytes",
            hint="let it work on less data at a time, or collect with [.[] | ...] instead of reduce",
        )


def too_deep() -> BudgetExceeded:
    """The error for recursion, or data, nested deeper than the limits allow."""
    return BudgetExceeded(
        "the expression recurses too deeply, or its data is nested too deeply",
        hint="loop with until, while, range or reduce instead of recursion",
    )


def measure(value: Any, run: Run) -> None:
    """Pay for walking `value`, and stop where it is larger than the budget or too deep.

    Shared parts count as often as they occur: that is what they cost whoever writes the value out.
    """
    pending = [value]
    level: list[Any] = []
    depth = 0
    while pending:
        depth += 1
        if depth > DEPTH_VALUES_MAX:
            raise too_deep()
        for item in pending:
            kind = type(item)
            if kind is list:
                run.build(SLOT_BYTES * len(item))
                level.extend(item)
            elif kind is dict:
                run.build(ENTRY_BYTES * len(item))
                level.extend(item.values())
            elif kind is str:
                run.build(len(item))
        pending, level = level, []


def require_within_budget(value: Any) -> None:
    """Refuse what is larger than one evaluation may build, for a value put together from several.

    Raises:
        BudgetExceeded: It is, or too deep.
    """
    measure(value, Run(DEFAULT_BUDGET, 0))


def charge_walk(value: Any, run: Run) -> None:
    """Pay steps for a walk over a whole value, before it is taken, and refuse one that is too deep."""
    if type(value) is not list and type(value) is not dict:
        return
    pending: list[Any] = [value]
    depth = 0
    while pending:
        depth += 1
        if depth > DEPTH_VALUES_MAX:
            raise too_deep()
        level: list[Any] = []
        for item in pending:
            run.spend(1 + (len(item) >> 2))
            parts = item if type(item) is list else item.values()
            level += [part for part in parts if type(part) is list or type(part) is dict]
        pending = level


DEPTH_VALUES_MAX = 1_000
"""Levels of arrays and objects that a result may have, or a value that is walked. JSON writers and readers of most
languages stop between 500 and 10,000."""
