"""`segue exceptions …`."""

from __future__ import annotations

import getpass
from typing import Annotated, Any, Literal
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.inputs import read_json
from segue.cli.output import fields, note, print_json, print_value, say, table, tell_more
from segue.cli.runs import show_tasks
from segue.service import Choice, ExceptionKind, ServiceError

Number = Annotated[int | None, Parameter(help="Number of the exception; left out with --group.")]
Group = Annotated[str | None, Parameter(name="--group", help="All open ones of this group instead of one.")]
Reason = Annotated[str, Parameter(help="Why; kept in the inbox, and in the history of a run that goes on.")]
Yes = Annotated[bool, Parameter(name="--yes", negative="", help="With --group: do it. Without, it is only counted.")]
Output = Annotated[str, Parameter(help="Output of the task: JSON, @FILE, or @- for standard input.")]


def list_(
    *,
    group: Annotated[str | None, Parameter(help="Only of this group.")] = None,
    by_cause: Annotated[bool, Parameter(negative="", help="One line for each cause, with its group.")] = False,
    workflow: Annotated[str | None, Parameter(help="Only of namespace/name.")] = None,
    kind: Annotated[ExceptionKind | None, Parameter(help="Only of this kind.")] = None,
    run: Annotated[str | None, Parameter(help="Only of this run.")] = None,
    state: Annotated[
        Literal["open", "overdue", "closed", "all"], Parameter(help="Open ones, overdue ones, closed ones, or all.")
    ] = "open",
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List failures, newest first."""
    chosen = None if state == "all" else state
    if by_cause:
        _list_causes(state, chosen, workflow, limit, data, json)
        return
    query = {"group": group, "workflow": workflow, "kind": kind, "run": run, "state": state}
    page = ask(
        data,
        Request("GET", "/exceptions", {**query, "limit": limit, "after": after}),
        lambda service: service.exceptions.page(
            state=chosen, kind=kind, workflow=workflow, group=group, run=run, limit=limit, after=after
        ),
    )
    if json:
        print_json(page)
        return
    rows = [
        (e["id"], e["kind"], _workflow(e), e["pointer"], _title(e["error"]), e["at"], e["run"], _what(e))
        for e in page["items"]
    ]
    names = (
        "id",
        "kind",
        "workflow",
        "task",
        "failure",
        "at",
        "run",
        "resolved" if state in ("closed", "all") else "deadline",
    )
    table(names, rows, empty="No exceptions.")
    tell_more(page)


def _list_causes(state: str, chosen: Any, workflow: str | None, limit: int, data: Data, json: bool) -> None:
    found = ask(
        data,
        Request("GET", "/exceptions/groups", {"state": state, "workflow": workflow, "limit": limit}),
        lambda service: service.exceptions.groups(state=chosen, workflow=workflow, limit=limit),
    )
    if json:
        print_json(found)
        return
    rows = [
        (
            g["group"],
            g["count"],
            g["workflow"],
            g["pointer"],
            _title(g["error"]),
            g["firstAt"],
            g["lastAt"],
            g["example"],
        )
        for g in found
    ]
    table(("group", "count", "workflow", "task", "failure", "first", "last", "example"), rows, empty="No exceptions.")


def show(
    exception: Annotated[int, Parameter(help="Number of the exception.")],
    /,
    *,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Show one failure: what failed, its payload, where the run is, and what it did outside."""
    found = ask(data, Request("GET", f"/exceptions/{exception}"), lambda service: service.exceptions.get(exception))
    if json:
        print_json(found)
        return
    fields(
        [
            *(("exception", found["id"]), ("kind", found["kind"]), ("state", found["state"])),
            *(("workflow", _workflow(found)), ("run", f"{found['run']} ({found['runStatus']})")),
            *(("task", found["pointer"]), ("at", found["at"]), ("group", found["group"])),
            *(("owner", found["owner"]), ("deadline", found["deadline"])),
            ("outcome", "unknown: the act may have happened" if found["outcomeUnknown"] else None),
            ("resolved", _resolved(found)),
            ("choices", ", ".join(found["choices"])),
        ]
    )
    say("\nfailure")
    print_value(found["error"])
    say("\npayload")
    print_value(found["payload"])
    if found["sent"] is not None:
        say("\nsent")
        print_value(found["sent"])
    if found["note"]:
        say(f"\n{found['note']}")
    show_tasks(found["position"], [])
    if found["outside"]:
        say()
        rows = [(o["pointer"], o["handler"], o["state"], o["attempt"], o["key"]) for o in found["outside"]]
        table(("did outside", "handler", "state", "attempt", "key"), rows, empty="")


def retry(
    exception: Number = None,
    /,
    *,
    reason: Reason,
    input: Annotated[str | None, Parameter(help="Start with this instead: JSON, @FILE or @-.")] = None,
    group: Group = None,
    yes: Yes = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Start the task again, with its payload or a corrected one."""
    more = {} if input is None else {"input": read_json(input, "--input")}
    if group is not None and more:
        raise ServiceError("command-refused", "--input and --group do not go together: each has its own payload.")
    _decide("retry", exception, group, {"reason": reason, **more}, yes, data, json)


def skip(
    exception: Number = None,
    /,
    *,
    output: Output,
    reason: Reason,
    group: Group = None,
    yes: Yes = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Give the task its output; the run goes on behind it."""
    body = {"reason": reason, "output": read_json(output, "--output")}
    _decide("skip", exception, group, body, yes, data, json)


def give_up(
    exception: Number = None,
    /,
    *,
    reason: Reason,
    group: Group = None,
    yes: Yes = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Let the failure go its way: the run faults."""
    _decide("give-up", exception, group, {"reason": reason}, yes, data, json)


def happened(
    exception: Number = None,
    /,
    *,
    output: Output,
    reason: Reason,
    group: Group = None,
    yes: Yes = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Say that an act whose outcome was unknown has happened; the run goes on with its output."""
    body = {"reason": reason, "output": read_json(output, "--output")}
    _decide("happened", exception, group, body, yes, data, json)


def repeat(
    exception: Number = None,
    /,
    *,
    reason: Reason,
    group: Group = None,
    yes: Yes = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Say that an act whose outcome was unknown has not happened; it goes out again under its key."""
    _decide("repeat", exception, group, {"reason": reason}, yes, data, json)


def _decide(
    action: Choice, number: int | None, group: str | None, body: dict[str, Any], yes: bool, data: Data, json: bool
) -> None:
    if (number is None) == (group is None):
        raise ServiceError("command-refused", "Give either the number of an exception or --group.")
    body |= {"by": who()}
    if group is None:
        found = ask(data, Request("POST", f"/exceptions/{number}/{action}", body=body), None)
        if json:
            print_json(found)
        else:
            say(f"{found['id']} {found['state']}: {_resolved(found) or action}")
        return
    path = f"/exceptions/groups/{quote(group, safe='')}/{action}"
    found = ask(data, Request("POST", path, body={**body, "dryRun": not yes}), None)
    if json:
        print_json(found)
        return
    if found["dryRun"]:
        say(f"{action} would decide {found['matched']} exceptions; nothing was done")
        note(f"See them with `segue exceptions list --group {group}`; add --yes to do it.")
        return
    say(f"{action} decided {found['done']} of {found['matched']} exceptions")
    for refused in found["refused"]:
        note(f"{refused['id']}: {refused['why']}")


def who() -> str:
    """The person at the terminal, as far as the system knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "cli"


def _workflow(found: dict[str, Any]) -> str:
    workflow = found["workflow"]
    return f"{workflow['namespace']}/{workflow['name']}:{workflow['version']}"


def _title(error: dict[str, Any]) -> str:
    return f"{error['status']} {error.get('detail') or error.get('title') or error['type']}"[:60]


def _what(found: dict[str, Any]) -> str | None:
    return found["deadline"] if found["state"] != "closed" else _resolved(found)


def _resolved(found: dict[str, Any]) -> str | None:
    said = found["resolution"]
    if said is None:
        return None
    by = f" by {said['by']}" if said["by"] else ""
    return f"{said['action']}{by}" + (f": {said['reason']}" if said["reason"] else "")
