"""`segue retention …`."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.output import fields, note, print_json, say, table
from segue.service import NewPurge


def show(*, data: Data = None, json: AsJson = False) -> None:
    """Show how long closed runs and events are kept, what is due to go, and the space in use."""
    found = ask(data, Request("GET", "/retention"), lambda service: service.retention.show())
    if json:
        print_json(found)
        return
    fields(
        [
            ("closed runs", _kept(found["days"])),
            ("events", f"{_kept(found['eventDays'])}, {found['eventsDue']} due"),
            ("data file", f"{_megabytes(found['bytes'])}, of which {_megabytes(found['freeBytes'])} free for reuse"),
        ]
    )
    if not found["shrinks"]:
        note("The data file is of an earlier release: free space is reused, not given back.")
    rows = [(f"{w['namespace']}/{w['name']}", _kept(w["days"]), w["saidBy"], w["due"]) for w in found["workflows"]]
    table(("workflow", "kept", "said by", "due"), rows, empty="No runs are removed by age.")


def run(
    *,
    dry_run: Annotated[bool, Parameter(negative="", help="Only count what would be removed.")] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Remove now what is no longer kept; it happens every hour by itself while a server runs."""
    total: dict[str, Any] = {}
    complete = False
    while not complete:
        request = Request("POST", "/retention/run", body={"dryRun": dry_run})
        done = ask(data, request, lambda service: service.retention.run(NewPurge(dry_run=dry_run)))
        complete = done["complete"]
        counts = {name: total.get(name, 0) + done[name] for name in ("runs", "events", "history", "acts", "bytes")}
        total = {**done, **counts}
    if json:
        print_json(total)
        return
    what = "would be removed" if dry_run else "removed"
    say(f"{total['runs']} runs and {total['events']} events {what}")
    if total["acts"]:
        say(f"{total['acts']} acts of runs that go on {what}")
    if total["bytes"]:
        say(f"{_megabytes(total['bytes'])} given back")


def _kept(days: float | None) -> str:
    return "for ever" if days is None else f"{days:g} days"


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"
