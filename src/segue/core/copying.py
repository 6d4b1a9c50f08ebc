"""The state of one run as the beginning of another: a fork of a run whose first events are gone.

Where a history is whole, a fork replays its events under another id, at other times. Where its beginning was folded,
the state that stands for it is all there is, and the same is done to that: it gets the other run's id, and every time
in it is moved, so that clocks under way have as much left as they had. What expressions made of the old id and of the
old times stays in the data.

Law: going on from the copy gives the same commands as going on from the original, but for times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from segue.core.advance import takes_hold
from segue.core.machines.human import Tasking
from segue.core.state import Attempts, Frame, RunState
from segue.types import AwaitMessages, Command, StartTimer


def copied(state: RunState, run_id: str, shift_ms: int, *, hands: Sequence[Any] = ()) -> RunState:
    """Make a state another run's; it is consumed.

    Args:
        shift_ms: How much later everything in it happens.
        hands: Who starts the other run; they approve none of its acts, and nor do those who started this one.
    """
    state.run_id = run_id
    for one in hands:
        takes_hold(state, one)
    state.started_at += shift_ms
    state.last_at += shift_ms
    if state.apart_at:
        state.apart_at += shift_ms
    for frame in state.frames.values():
        _move(frame, shift_ms)
    state.open = {number: _moved(command, shift_ms) for number, command in state.open.items()}
    return state


def _move(frame: Frame, shift_ms: int) -> None:
    frame.started += shift_ms
    held = frame.data
    if isinstance(held, Attempts):
        held.first_at += shift_ms
    elif isinstance(held, Tasking):
        held.agenda = [[due + shift_ms, *what] for due, *what in held.agenda]


def _moved(command: Command, shift_ms: int) -> Command:
    if isinstance(command, StartTimer):
        return msgspec.structs.replace(command, due_ms=command.due_ms + shift_ms)
    if isinstance(command, AwaitMessages):
        return msgspec.structs.replace(command, since_ms=command.since_ms + shift_ms)
    return command
