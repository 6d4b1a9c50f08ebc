"""What a run waits for, told on standard error to whoever waits for the run: each thing once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from segue.cli.ask import Request, ask
from segue.cli.common import Data
from segue.cli.output import clean, note, who_is_asked
from segue.service import ServiceError

_SOON_SECONDS: Final = 10.0


class Waits:
    """Tells it of one run, by its details as `GET /runs/{run}` gives them.

    What passes by itself within a moment is not told: a thing is told when it has stood at two looks.
    """

    def __init__(self, data: Data) -> None:
        self._data = data
        self._where = "" if data is None else f" --data {data}"
        self._seen: set[str] = set()
        self._told: set[str] = set()

    def look(self, run: dict[str, Any]) -> None:
        """Tell what is new."""
        found = dict(self._found(run))
        for key in found:
            if key in self._seen and key not in self._told:
                self._told.add(key)
                for line in self._people(run["id"]) if key.startswith("person") else [found[key]]:
                    note(f"waits for {clean(line)}")
        self._seen = set(found)

    def _found(self, run: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """What it waits for: a name for each thing, and how it is told."""
        number = run["id"]
        if queued := run.get("queued"):
            yield "turn", f"its turn: {queued['ahead']} go before it, {queued['underWay']} are under way"
        if run["status"] == "suspended" and run["held"] is None:
            yield "resume", f"somebody to resume it: it is paused, `segue runs resume {number}{self._where}`"
        for one in run.get("open", ()):
            kind, place = one["kind"], one["pointer"]
            if kind == "message":
                types = ", ".join(one["types"]) or "any event"
                yield f"message {one['id']}", f"an event at {place}: {types}"
            elif kind == "timer" and _is_far(one["dueAt"]):
                yield f"timer {one['id']}", f"{one['dueAt']} at {place}"
            elif kind == "person":
                yield f"person {one['id']}", ""
            elif one["handler"] == "workflow":
                yield (
                    f"run {one['id']}",
                    f"the run that {place} started: `segue runs list --parent {number}{self._where}`",
                )

    def _people(self, run: str) -> Iterator[str]:
        try:
            page = ask(self._data, Request("GET", "/tasks", {"run": run}), None)
        except ServiceError:
            # Whoever may start runs need not see whom others are asked.
            page = {"items": []}
        if not page["items"]:
            yield f"somebody to decide: `segue runs show {quote(run, safe='')}{self._where}`"
        for task in reversed(page["items"]):
            if (key := f"task {task['id']}") not in self._told:
                self._told.add(key)
                whom = who_is_asked(task) or "somebody"
                due = f", due {task['dueAt']}" if task["dueAt"] else ""
                yield f"{whom}{due}: {task['title']}; `segue tasks show {task['id']}{self._where}`"


def _is_far(due: str | None) -> bool:
    """So far away that whoever waits should hear of it."""
    if due is None:
        return False
    return (datetime.fromisoformat(due) - datetime.now(UTC)).total_seconds() > _SOON_SECONDS
