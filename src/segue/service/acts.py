"""Acts of a run as its history tells them: also those that may be repeated, which the effect ledger leaves out.

The ledger has what must not simply be repeated. Whoever asks what was done outside, for whom and by whose leave
means all of it, and histories have it: each act with its place, its outcome and the rules that let it out.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from segue.core import RunState, advance
from segue.service.definitions import Definitions
from segue.service.past import Past, read_past
from segue.store import ErasedData, Store
from segue.store.effects import EffectEntry, EffectState, effects_by_key
from segue.types import ApprovalWanted, AttemptFailed, AttemptSucceeded, Perform

_INSIDE: Final = frozenset({"map", "model", "find-personal-data", "workflow"})
"""Handlers that reach nothing outside: what a run started tells of itself."""


class Act(NamedTuple):
    """An attempt at an act. `verdict`: the rules that let it out; empty where only its document's publication did."""

    entry: EffectEntry
    verdict: str = ""


async def acts_by_key(store: Store, definitions: Definitions, key: str) -> list[Act]:
    """All attempts at one act, oldest first: from the ledger, or else from the history of the run in its key."""
    found = await store.read(lambda c: effects_by_key(c, key))
    told = await acts_told(store, definitions, found[0].run_id if found else key.partition(":")[0])
    if not found:
        return [act for act in told if act.entry.key == key]
    verdicts = {act.entry.command: act.verdict for act in told}
    return [Act(entry, verdicts.get(entry.command, "")) for entry in found]


async def acts_told(store: Store, definitions: Definitions, run_id: str) -> list[Act]:
    """Every attempt of a run at an act, as far as its history is kept; none of a run that nobody can read."""
    if await store.run(run_id) is None:
        return []
    try:
        return acts_of(await read_past(store, definitions, run_id))
    except ErasedData:
        return []


def acts_of(past: Past) -> list[Act]:
    """Every attempt at an act in the part of the history that is kept, oldest first."""
    state = past.beginning()
    begun = {} if state is None else {id: (c, 0) for id, c in state.open.items() if isinstance(c, Perform)}
    made: list[Act] = []
    for event in past.events:
        state, commands = advance(past.plan, state, event)
        if isinstance(event, ApprovalWanted):
            begun.pop(event.id, None)  # It waits, and nothing has gone out.
        elif isinstance(event, AttemptSucceeded | AttemptFailed) and event.id in begun:
            command, at = begun.pop(event.id)
            done = isinstance(event, AttemptSucceeded)
            entry = _entry(past, command, at or event.at, "done" if done else "failed", event.at)
            made.append(Act(entry, event.verdict if isinstance(event, AttemptSucceeded) else ""))
        begun |= {c.id: (c, event.at) for c in commands if isinstance(c, Perform)}
    made += [Act(_entry(past, command, at, _left(state, command), None)) for command, at in begun.values()]
    outside = [act for act in made if act.entry.handler not in _INSIDE]
    return sorted(outside, key=lambda act: (act.entry.intended_at, act.entry.command))


def _left(state: RunState | None, command: Perform) -> EffectState:
    """Of an act that has no outcome: it is under way, or nobody waits for it any more."""
    return "intent" if state is not None and command.id in state.open else "unknown"


def _entry(past: Past, command: Perform, at: int, outcome: EffectState, settled: int | None) -> EffectEntry:
    record, arguments = past.record, command.arguments
    use = arguments.get("use") if isinstance(arguments, dict) else None
    return EffectEntry(
        run_id=record.id,
        namespace=record.namespace,
        name=record.name,
        version=record.version,
        run=record.seq,
        command=command.id,
        key=f"{record.id}:{command.effect}",
        handler=command.handler,
        connection=use if isinstance(use, str) else None,
        pointer=command.pointer,
        attempt=command.attempt,
        state=outcome,
        intended_at=at,
        settled_at=settled,
        receipt=None,
    )
