"""`segue waiting`, `segue wishes`: everything that waits, for whoever asks and for anybody."""

from __future__ import annotations

from typing import Annotated, Final

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.output import print_json, table, tell_more
from segue.service import WaitingKind, WishKind

_NEXT: Final = {
    "task": "segue tasks show {}",
    "approval": "segue tasks show {}",
    "publication": "segue publications show {}",
    "adjustment": "segue adjustments approve {}",
    "consent": "segue consents grant {}",
    "account": "segue users approve {}",
    "exception": "segue exceptions show {}",
}
"""The command to go on with."""


def waiting(
    *,
    kind: Annotated[WaitingKind | None, Parameter(help="Only of this kind.")] = None,
    overdue: Annotated[bool, Parameter(negative="", help="Only what is late.")] = False,
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List what waits for you, the most urgent first: what you can decide, and nobody else has in hand."""
    query = {"kind": kind, "overdue": "true" if overdue else None, "limit": limit, "after": after}
    page = ask(
        data,
        Request("GET", "/waiting", query),
        lambda service: service.waiting.page(kind=kind, overdue=overdue, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [
        (
            *(w["kind"], w["title"], w["workflow"], w["priority"]),
            *((w["due"] or "") + (" late" if w["overdue"] else ""), w["since"], w["deadline"]),
            *(w["by"], w["because"]),
            *(", ".join(w["can"]), _NEXT[w["kind"]].format(w["number"])),
        )
        for w in page["items"]
    ]
    names = (
        "what",
        "title",
        "workflow",
        "priority",
        "due",
        "since",
        "until",
        "from",
        "why you",
        "you can",
        "go on with",
    )
    table(names, rows, empty="Nothing waits for you.")
    tell_more(page)


def wishes(
    *,
    kind: Annotated[WishKind | None, Parameter(help="Only of this kind.")] = None,
    mine: Annotated[bool, Parameter(negative="", help="Only what you want yourself.")] = False,
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List what waits for anybody's approval or consent, the oldest first: for whom, and until when."""
    query = {"kind": kind, "mine": "true" if mine else None, "limit": limit, "after": after}
    page = ask(
        data,
        Request("GET", "/wishes", query),
        lambda service: service.wishes.page(kind=kind, mine=mine, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [
        (
            *(w["kind"], w["number"], w["title"], w["wantedBy"], w["wantedAt"]),
            *(", ".join(w["clock"]["asked"]), w["clock"]["reminded"], w["clock"]["nextAt"], w["clock"]["lapsesAt"]),
        )
        for w in page["items"]
    ]
    names = ("what", "number", "title", "from", "since", "waits for", "reminded", "next", "lapses")
    table(names, rows, empty="Nothing waits.")
    tell_more(page)
