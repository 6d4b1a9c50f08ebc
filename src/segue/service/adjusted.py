"""What adjustable values are set to: in memory for each run that starts, on disk with every change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from segue.core import Plan
from segue.core.adjustable import settled
from segue.store import Store
from segue.store.adjustments import (
    AdjustedValue,
    AdjustmentRecord,
    ValueChange,
    add_adjustment,
    list_adjustments,
    put_values,
)

ACTION: Final = "workflow.adjust"


class Adjusted:
    """What is set now, in memory: asked for each run that starts."""

    def __init__(self) -> None:
        self._set: dict[tuple[str, str], dict[str, AdjustedValue]] = {}
        self._kept: dict[str, dict[str, Any]] = {}
        self.changing = asyncio.Lock()
        """Held by whoever changes what is set, from looking at it until it is on disk."""

    def load(self, found: dict[tuple[str, str], dict[str, AdjustedValue]]) -> None:
        """Take over what is stored."""
        self._set = found

    def values(self, plan: Plan) -> Mapping[str, Any]:
        """What a run of this definition starts with."""
        found = self._kept.get(plan.digest)
        if found is None:
            current = {name: one.value for name, one in self.of(plan.namespace, plan.name).items()}
            found = self._kept[plan.digest] = settled(plan.adjustable, current)
        return found

    def of(self, namespace: str, name: str) -> Mapping[str, AdjustedValue]:
        """What is set for a workflow."""
        return self._set.get((namespace, name), {})

    def put(self, place: tuple[str, str], changes: list[ValueChange], number: int) -> None:
        """Changes count from now on."""
        held = self._set.setdefault(place, {})
        for change in changes:
            if change.new is msgspec.UNSET:
                held.pop(change.name, None)
            else:
                held[change.name] = AdjustedValue(change.new, number)
        self._kept.clear()

    def refused_by(self, plan: Plan) -> Iterator[tuple[str, Any, str]]:
        """What is set and this definition does not allow: name, value, and why not."""
        for name, held in self.of(plan.namespace, plan.name).items():
            one = plan.adjustable.get(name)
            complaint = "it is not declared" if one is None else one.check(held.value)
            if complaint is not None:
                yield name, held.value, complaint


async def let_go(store: Store, adjusted: Adjusted, plan: Plan, by: str) -> None:
    """A version was published that does not allow what is set: its defaults count from now on."""
    place = (plan.namespace, plan.name)
    async with adjusted.changing:
        changes = [ValueChange(name, value) for name, value, _ in adjusted.refused_by(plan)]
        if changes:
            reason = f"version {plan.version} does not allow what was set"
            await make_adjustment(store, adjusted, place, changes, by, reason)


async def make_adjustment(
    store: Store, adjusted: Adjusted, place: tuple[str, str], changes: list[ValueChange], by: str, reason: str
) -> AdjustmentRecord:
    """Let changes count, now."""
    now = time.time_ns() // 1_000_000
    told = {"changes": msgspec.to_builtins(changes)}
    store.note(ACTION, f"workflow:{'/'.join(place)}", reason=reason, data=told)
    await store.write([add_adjustment(place, changes, now, by, reason, "made"), *put_values(place, changes)])
    (record,) = await store.read(lambda c: list_adjustments(c, place=place, state="made", limit=1))
    adjusted.put(place, changes, record.number)
    return record
