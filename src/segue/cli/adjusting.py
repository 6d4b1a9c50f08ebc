"""`segue workflows adjust`, `segue workflows adjustable`, `segue adjustments …`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit, Why
from segue.cli.deciding import decide
from segue.cli.inputs import fitting
from segue.cli.output import note, print_json, say, table, tell_more
from segue.service import AdjustmentDecision, NewAdjustment, ServiceError, parse_workflow

Workflow = Annotated[str, Parameter(help="namespace/name.")]
Number = Annotated[int, Parameter(help="Number of the adjustment.")]


def adjustable(workflow: Workflow, /, *, data: Data = None, json: AsJson = False) -> None:
    """Show the values that may be adjusted without a new version: what they are, and what they may be."""
    namespace, name = parse_workflow(workflow)
    request = Request("GET", f"/workflows/{quote(namespace)}/{quote(name)}/adjustable")
    found = ask(data, request, lambda service: service.adjusting.show(namespace, name))
    if json:
        print_json(found)
        return
    rows = [
        (
            v["name"],
            _json(v["value"]),
            _json(v["default"]),
            _json(v["schema"]),
            v["role"],
            v["by"],
            v["at"],
            v["title"],
        )
        for v in found["values"]
    ]
    names = ("value", "is", "default", "may be", "role", "adjusted by", "at", "title")
    table(names, rows, empty=f"{workflow}:{found['version']} declares no adjustable values.")


def adjust(
    workflow: Workflow,
    /,
    *values: Annotated[str, Parameter(help="NAME=VALUE, as JSON; what is no JSON is text.")],
    reason: Why,
    reset: Annotated[list[str] | None, Parameter(help="Back to its default; may be repeated.")] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Change values within what the document allows. Runs that start from then on get them."""
    namespace, name = parse_workflow(workflow)
    body = {"values": dict(map(_pair, values)), "reset": reset or [], "reason": reason}
    wanted = fitting(body, NewAdjustment, remedy="Give values and a reason.")
    request = Request("POST", f"/workflows/{quote(namespace)}/{quote(name)}/adjust", body=body)
    found = ask(data, request, lambda service: service.adjusting.adjust(namespace, name, wanted))
    if json:
        print_json(found)
        return
    for change in found["changes"]:
        say(f"{change['name']}: {_change(change)}")
    note(f"adjustment {found['number']}; runs that are under way keep what they began with")


def list_(
    *,
    workflow: Annotated[str | None, Parameter(help="Only of namespace/name.")] = None,
    state: Annotated[
        Literal["made", "waiting", "approved", "refused", "lapsed", "all"], Parameter(help="Only these.")
    ] = "all",
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List changes of adjustable values, newest first."""
    chosen = None if state == "all" else state
    query = {"workflow": workflow, "state": state, "limit": limit, "after": after}
    page = ask(
        data,
        Request("GET", "/adjustments", query),
        lambda service: service.adjusting.page(workflow=workflow, state=chosen, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [
        (
            a["number"],
            a["workflow"],
            _changes(a),
            a["state"],
            a["by"],
            a["at"],
            a["approver"],
            a["decidedBy"],
            a["reason"],
        )
        for a in page["items"]
    ]
    names = ("number", "workflow", "changes", "state", "by", "at", "needs", "decided by", "reason")
    table(names, rows, empty="Nothing was adjusted.")
    tell_more(page)


def approve(number: Number, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Let a change count that waits. Whoever wanted it does not approve it."""
    _decide(number, True, reason, data, json)


def refuse(number: Number, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Do not let it count."""
    _decide(number, False, reason, data, json)


def _decide(number: int, approved: bool, reason: str, data: Any, json: bool) -> None:
    wanted = fitting({"approve": approved, "reason": reason}, AdjustmentDecision, remedy="Give a reason.")
    decide(
        f"/adjustments/{number}/decide",
        wanted,
        lambda service: service.adjusting.decide(number, wanted),
        lambda found: f"{found['state']} {found['workflow']} {_changes(found)}",
        data,
        json,
    )


def _pair(given: str) -> tuple[str, Any]:
    name, mark, value = given.partition("=")
    if not mark:
        raise ServiceError("command-refused", f"{given!r} is no NAME=VALUE.", remedy="For example threshold=0.7.")
    try:
        return name, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return name, value


def _changes(adjustment: dict[str, Any]) -> str:
    return "; ".join(f"{change['name']}: {_change(change)}" for change in adjustment["changes"])


def _change(change: dict[str, Any]) -> str:
    return f"{_json(change['old'])} → {'its default' if change['reset'] else _json(change['new'])}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
