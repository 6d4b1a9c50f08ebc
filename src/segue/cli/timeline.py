"""`segue timeline`, `segue changes` and `segue effects trace`."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.output import print_json, say, table, tell_more


def timeline(
    subject: Annotated[str, Parameter(help="Whom or what runs say they are about.")],
    /,
    *,
    limit: Limit = 20,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Show everything about one subject, over all workflows."""
    page = ask(
        data,
        Request("GET", "/timeline", {"subject": subject, "limit": limit, "after": after}),
        lambda service: service.timeline.about(subject, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    names = ("at", "kind", "what", "by", "reason", "workflow", "place", "run")
    table(names, [[entry[name] for name in names] for entry in page["items"]], empty="Nothing.")
    tell_more(page)


def changes(*, limit: Limit = 50, after: After = None, data: Data = None, json: AsJson = False) -> None:
    """List what changed how the installation behaves, newest first."""
    page = ask(
        data,
        Request("GET", "/changes", {"limit": limit, "after": after}),
        lambda service: service.timeline.changes(limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    names = ("seq", "at", "principal", "action", "resource", "what", "reason")
    rows = [{**record, "what": _what(record["data"] or {})} for record in page["items"]]
    table(names, [[row[name] for name in names] for row in rows], empty="No changes.")
    tell_more(page)


def _what(facts: dict[str, Any]) -> str:
    """The facts of a record in a line; digests are for machines."""
    told: list[str] = []
    for name, value in facts.items():
        if isinstance(value, dict) and value.keys() == {"from", "to"}:
            told.append(f"{name}: {_short(value['from'])} → {_short(value['to'])}")
        elif name not in ("sha256", "digest", "source") and value not in (None, [], {}):
            told.append(name if value is True else f"{name}: {_short(value)}")
    return "; ".join(told)


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text[:80] or "nothing"


def trace(
    key: Annotated[str, Parameter(help="Key of the act.")], /, *, data: Data = None, json: AsJson = False
) -> None:
    """Show what led to an effect, back to whom or what it goes back to, and what allowed it."""
    request = Request("GET", f"/effects/{quote(key, safe='')}/trace")
    found = ask(data, request, lambda service: service.timeline.trace(key))
    if json:
        print_json(found)
        return
    names = ("at", "what", "by", "record")
    table(names, [[step[name] for name in names] for step in found["steps"]], empty="")
    say("\nallowed by")
    table(names, [[step[name] for name in names] for step in found["allowedBy"]], empty="no verdict is recorded")
    say(f"\nIt goes back to {found['origin']}.")
