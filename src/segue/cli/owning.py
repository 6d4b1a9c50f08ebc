"""`segue connections own`, `segue models own`, `segue consents …`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit, Why
from segue.cli.deciding import decide
from segue.cli.inputs import fitting
from segue.cli.output import note, print_json, say, table, tell_more
from segue.service import ConsentDecision, NewOwner

Number = Annotated[int, Parameter(help="Number of the consent.")]
NOBODY = "nobody"


def own(
    name: Annotated[str, Parameter(help="Name of the connection.")],
    owner: Annotated[str, Parameter(help="person:NAME, group:NAME, or nobody.")],
    /,
    *,
    reason: Why,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Say whom a connection belongs to: their consent is needed for new uses. What uses it already goes on."""
    wanted, body = _wanted(owner, reason)
    request = Request("POST", f"/connections/{quote(name, safe='')}/owner", body=body)
    _tell(name, ask(data, request, lambda service: service.owning.own(name, wanted)), json)


def own_model(
    name: Annotated[str, Parameter(help="Name of the model.")],
    owner: Annotated[str, Parameter(help="person:NAME, group:NAME, or nobody.")],
    /,
    *,
    reason: Why,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Say whom a model belongs to: their consent is needed before another workflow asks it. What asks it goes on."""
    wanted, body = _wanted(owner, reason)
    request = Request("POST", f"/models/{quote(name, safe='')}/owner", body=body)
    _tell(name, ask(data, request, lambda service: service.owning.own_model(name, wanted)), json)


def _wanted(owner: str, reason: str) -> tuple[NewOwner, dict[str, Any]]:
    body = {"owner": None if owner == NOBODY else owner, "reason": reason}
    return fitting(body, NewOwner, remedy="Write person:NAME, and a reason."), body


def _tell(name: str, found: dict[str, Any], json: bool) -> None:
    if json:
        print_json(found)
        return
    say(f"{name} belongs to {found['owner'] or NOBODY}")
    for use in found["kept"]:
        note(f"goes on: {use}")


def list_(
    *,
    connection: Annotated[str | None, Parameter(help="Only of this connection, or model:NAME.")] = None,
    state: Annotated[
        Literal["waiting", "granted", "refused", "revoked", "lapsed", "all"], Parameter(help="Only these.")
    ] = "all",
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List uses of connections and models that have an owner, newest first."""
    chosen = None if state == "all" else state
    query = {"connection": connection, "state": state, "limit": limit, "after": after}
    page = ask(
        data,
        Request("GET", "/consents", query),
        lambda service: service.owning.page(connection=connection, state=chosen, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [
        (
            c["number"],
            c["connection"],
            c["owner"],
            c["workflow"],
            c["access"],
            c["state"],
            c["wantedBy"],
            c["decidedBy"],
            c["reason"],
        )
        for c in page["items"]
    ]
    names = ("number", "connection", "owner", "workflow", "access", "state", "wanted by", "decided by", "reason")
    table(names, rows, empty="Nothing that has an owner is used.")
    tell_more(page)


def grant(number: Number, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Consent to a use of what you own. What waited for nothing else is published."""
    _decide(number, True, reason, data, json)


def revoke(number: Number, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Refuse a use, or take a consent back: acts of the workflow on it are refused from then on."""
    _decide(number, False, reason, data, json)


def _decide(number: int, granted: bool, reason: str, data: Any, json: bool) -> None:
    wanted = fitting({"grant": granted, "reason": reason}, ConsentDecision, remedy="Give a reason.")
    decide(
        f"/consents/{number}/decide",
        wanted,
        lambda service: service.owning.decide(number, wanted),
        lambda found: f"{found['state']}: {found['workflow']} {found['access']} {found['connection']}",
        data,
        json,
    )
