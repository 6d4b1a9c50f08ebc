"""`segue publications …`: what waits for a second pair of eyes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit, Why
from segue.cli.deciding import decide
from segue.cli.inputs import fitting
from segue.cli.output import fields, print_json, say, say_document, table, tell_more
from segue.service import PublicationDecision

Number = Annotated[int, Parameter(help="Number of the publication.")]


def list_(
    *,
    state: Annotated[
        Literal["waiting", "approved", "refused", "lapsed", "all"], Parameter(help="Only these.")
    ] = "waiting",
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List publications that wait for approval, newest first."""
    chosen = None if state == "all" else state
    page = ask(
        data,
        Request("GET", "/publications", {"state": state, "limit": limit, "after": after}),
        lambda service: service.publications.page(state=chosen, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [
        (p["number"], f"{p['namespace']}/{p['name']}:{p['version']}", p["state"], p["wantedBy"], p["approver"])
        for p in page["items"]
    ]
    table(("number", "workflow", "state", "wanted by", "needs"), rows, empty="Nothing waits.")
    tell_more(page)


def show(number: Number, /, *, data: Data = None, json: AsJson = False) -> None:
    """Show one publication and its document."""
    found = ask(data, Request("GET", f"/publications/{number}"), lambda service: service.publications.get(number))
    if json:
        print_json(found)
        return
    names = ("state", "wantedBy", "wantedAt", "approver", "decidedBy", "decidedAt", "reason")
    fields([(name, found[name]) for name in names])
    say()
    say_document(found["source"].rstrip())


def approve(number: Number, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Publish it. Whoever wanted it does not approve it."""
    _decide(number, True, reason, data, json)


def refuse(number: Number, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Do not publish it."""
    _decide(number, False, reason, data, json)


def _decide(number: int, approved: bool, reason: str, data: Any, json: bool) -> None:
    wanted = fitting({"approve": approved, "reason": reason}, PublicationDecision, remedy="Give a reason.")
    decide(
        f"/publications/{number}/decide",
        wanted,
        lambda service: service.publications.decide(number, wanted),
        lambda found: f"{found['state']} {found['namespace']}/{found['name']}:{found['version']}",
        data,
        json,
    )
