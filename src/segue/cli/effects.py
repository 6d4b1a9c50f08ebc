"""`segue effects …`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.output import fields, print_json, print_value, say, table, tell_more
from segue.service import EffectStateName


def list_(
    *,
    run: Annotated[str | None, Parameter(help="Only of this run.")] = None,
    connection: Annotated[str | None, Parameter(help="Only through this connection.")] = None,
    handler: Annotated[str | None, Parameter(help="Only by this handler, such as http or connector.")] = None,
    state: Annotated[EffectStateName | None, Parameter(help="Only in this state.")] = None,
    since: Annotated[datetime | None, Parameter(help="Only begun at this time or later.")] = None,
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List acts that must not simply be repeated, newest first."""
    wanted = {"run": run, "connection": connection, "handler": handler, "state": state}
    # The server reads a time with a zone; one without is this machine's.
    moment = since if since is None or since.tzinfo else since.astimezone()
    query = {**wanted, "since": moment and moment.isoformat(), "limit": limit, "after": after}
    page = ask(
        data,
        Request("GET", "/effects", query),
        lambda service: service.effects.page(
            run=run, connection=connection, handler=handler, state=state, since=moment, limit=limit, after=after
        ),
    )
    if json:
        print_json(page)
        return
    rows = [
        (
            e["intendedAt"],
            e["state"],
            e["connection"] or e["handler"],
            e["workflow"],
            e["pointer"],
            e["attempt"],
            e["key"],
        )
        for e in page["items"]
    ]
    table(("begun", "state", "through", "workflow", "task", "attempt", "key"), rows, empty="No effects.")
    tell_more(page)


def show(
    key: Annotated[str, Parameter(help="Key of the act.")], /, *, data: Data = None, json: AsJson = False
) -> None:
    """Show all attempts at one act, with what the system answered."""
    found = ask(data, Request("GET", f"/effects/{quote(key, safe='')}"), lambda service: service.effects.get(key))
    if json:
        print_json(found)
        return
    for attempt in found:
        fields(
            [
                *(("key", attempt["key"]), ("run", attempt["run"]), ("task", attempt["pointer"])),
                *(("handler", attempt["handler"]), ("connection", attempt["connection"])),
                *(("attempt", attempt["attempt"]), ("state", attempt["state"])),
                *(("begun", attempt["intendedAt"]), ("settled", attempt["settledAt"])),
            ]
        )
        if attempt["receipt"] is not None:
            say("\nreceipt")
            print_value(attempt["receipt"])
        say()
