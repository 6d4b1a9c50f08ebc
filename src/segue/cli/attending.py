"""People in `segue run`: it says which task waits and for whom; whoever sits at the terminal decides right there."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import msgspec

from segue.cli.output import CLEAR, clean, has_colour, note, paint, who_is_asked
from segue.cli.tasks import show_task
from segue.service import HumanTaskView, NewDecision, Service, ServiceError

_LOOK_SECONDS: Final = 0.2
_NOBODY: Final = (
    "  Nobody can decide it here. Run it at a terminal and decide there; or, for others to decide:"
    " `segue serve`, `segue publish FILE`, `segue runs start NAME`. Ctrl-C cancels the run."
)


class Attendant:
    """Tells of the human tasks of one run, and of those below it, and asks at the terminal.

    Args:
        asks: Somebody sits at the terminal.
        alone: Everything in the data folder belongs to the run.
    """

    def __init__(self, *, asks: bool, alone: bool) -> None:
        self._asks = asks
        self._alone = alone
        self._told: set[int] = set()

    async def watch(self, service: Service, run_id: str) -> None:
        """Attend to them until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            page = await service.tasks.page(run=None if self._alone else run_id)
            for task in reversed(page.items):
                if task.id not in self._told:
                    self._told.add(task.id)
                    await self._attend(service, task)

    async def _attend(self, service: Service, task: HumanTaskView) -> None:
        told = msgspec.to_builtins(task)
        whom = who_is_asked(told) or "nobody in particular"
        over = CLEAR if has_colour(sys.stderr) else ""
        note(f"{over}{paint('waits', 'blue', sys.stderr)} for {clean(whom)}: task {task.id}, {clean(task.title)}")
        if task.due_at is not None:
            note(f"  due {task.due_at}")
        if not self._asks:
            note(_NOBODY)
            return
        page = await service.tasks.get(task.id)
        show_task(msgspec.to_builtins(page))
        if not page.may_decide:
            # An act that a rule leaves to people: whoever started the run is not among them.
            note(f"  {clean(page.why_not or '')}\n{_NOBODY}")
            return
        while True:
            detail = await service.tasks.get(task.id)
            if not detail.seen:
                return  # its deadline has passed, or something around it ended
            choices = [str(choice["outcome"]) for choice in detail.choices]
            sys.stderr.write(f"decide [{' / '.join(choices)}], with a comment behind it: ")
            sys.stderr.flush()
            line = await _line()
            if not line:
                note(f"\n{_NOBODY}")
                return
            outcome, _, comment = line.strip().partition(" ")
            try:
                await service.tasks.decide(
                    task.id, NewDecision(outcome=outcome, seen=detail.seen, comment=comment.strip())
                )
                return
            except ServiceError as refusal:
                note(clean(refusal.detail))


def somebody_is_there() -> bool:
    """A person at a terminal can read and answer."""
    return sys.stdin.isatty() and has_colour(sys.stderr)


async def _line() -> str:
    """What is typed, without a thread that nobody could stop; empty where the input ended."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[Any] = loop.create_future()

    def read() -> None:
        if not typed.done():
            typed.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin.fileno(), read)
    try:
        return str(await typed)
    finally:
        loop.remove_reader(sys.stdin.fileno())
