"""`segue waiting`: everything that waits for whoever asks."""

from __future__ import annotations

from typing import Annotated, Final

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.output import print_json, table, tell_more
from segue.service import WaitingKind

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
            *((w["due"] or "") + (" late" if w["overdue"] else ""), w["since"], w["by"], w["because"]),
            *(", ".join(w["can"]), _NEXT[w["kind"]].format(w["number"])),
        )
        for w in page["items"]
    ]
    names = ("what", "title", "workflow", "priority", "due", "since", "from", "why you", "you can", "go on with")
    table(names, rows, empty="Nothing waits for you.")
    tell_more(page)
