"""`segue runs …`, except `tail`."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

import msgspec
from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.inputs import read_json
from segue.cli.output import STATUS_COLOUR, clean, fields, note, paint, print_json, print_value, say, table, tell_more
from segue.cli.values import show_value, value_line
from segue.cli.waits import Waits
from segue.service import EXIT_HELD, EXIT_OF_STATUS, Action, RunFilter, RunStatusName, ServiceError, parse_workflow

RunId = Annotated[str, Parameter(help="Id of the run.")]
Why = Annotated[str, Parameter(help="Why; kept in the history of the run.")]
WAIT_SECONDS: Final = 0.2
_KEY: Final = re.compile(r"[!-~]{1,200}")


def start(
    workflow: Annotated[str, Parameter(help="namespace/name or namespace/name:version.")],
    /,
    *,
    input: Annotated[str | None, Parameter(help="JSON, @FILE, or @- for standard input.")] = None,
    key: Annotated[str | None, Parameter(help="Starts with the same key start one run.")] = None,
    wait: Annotated[
        bool, Parameter(negative="", help="Wait for the end, and end with its exit code; 4 where a failure is held.")
    ] = False,
    data: Data = None,
    json: AsJson = False,
) -> int:
    """Start a run on the server of the data folder."""
    name, _, version = workflow.partition(":")
    parse_workflow(name)
    body = {"workflow": name, "version": version or "latest", "input": read_json(input, "--input")}
    if key is not None and not _KEY.fullmatch(key):
        raise ServiceError("command-refused", f"{key!r} cannot be a key.", remedy="Use 1 to 200 visible characters.")
    headers = {} if key is None else {"Idempotency-Key": key}
    run = ask(data, Request("POST", "/runs", body=body, headers=headers), None)
    waits = Waits(data)
    # A held failure waits for a person, who may come next week: a script should hear of it now.
    while wait and run["endedAt"] is None and run["held"] is None:
        time.sleep(WAIT_SECONDS)
        run = ask(data, Request("GET", f"/runs/{quote(run['id'], safe='')}"), None)
        waits.look(run)
    if json:
        print_json(run)
    else:
        say(run["id"])
        where = "" if data is None else f" --data {data}"
        if run["held"] is not None:
            number = run["held"]["exception"]
            note(f"held: {_held(run)}; `segue exceptions show {number}{where}` tells what can be decided")
        else:
            note(f"{run['status']}: `segue runs show {run['id']}{where}` tells more")
    if not wait:
        return 0
    return EXIT_HELD if run["endedAt"] is None else EXIT_OF_STATUS[run["status"]]


def list_(
    *,
    workflow: Annotated[str | None, Parameter(help="Only runs of namespace/name.")] = None,
    status: Annotated[RunStatusName | None, Parameter(help="Only runs in this status.")] = None,
    parent: Annotated[str | None, Parameter(help="Only runs that this run started.")] = None,
    since: Annotated[datetime | None, Parameter(help="Only runs started at this time or later.")] = None,
    until: Annotated[datetime | None, Parameter(help="Only runs started before this time.")] = None,
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List runs, newest first."""
    wanted = RunFilter(workflow=workflow, status=status, parent=parent, since=since, until=until)
    query = {
        "workflow": workflow,
        "status": status,
        "parent": parent,
        "since": since and since.isoformat(),
        "until": until and until.isoformat(),
        "limit": limit,
        "after": after,
    }
    page = ask(
        data,
        Request("GET", "/runs", query),
        lambda service: service.runs.page(wanted, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [
        (
            run["id"],
            _name(run),
            run["status"],
            run["startedAt"],
            _duration(run["durationMs"]),
            run["cause"].get("kind"),
            _held(run),
        )
        for run in page["items"]
    ]
    names = ["run", "workflow", "status", "started", "took", "cause", "held"]
    if not any(run["held"] for run in page["items"]):
        names.pop()
    table(names, [row[: len(names)] for row in rows], empty="No runs.")
    tell_more(page)


def show(
    run: RunId,
    /,
    *,
    at: Annotated[
        int | None, Parameter(help="As it was after this event, from 1; `runs history` counts them.")
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Show one run: what started it, its tasks, decisions, output or failure, and what it waits for."""
    path = f"/runs/{quote(run, safe='')}"
    if at is None:
        found = ask(data, Request("GET", path), lambda service: service.runs.get(run))
    else:
        found = ask(data, Request("GET", f"{path}/at/{at}"), lambda service: service.steering.at(run, at))
    if json:
        print_json(found)
        return
    if at is not None:
        say(f"after event {found['event']} of {found['of']}: {found['eventKind']}, {found['at']}\n")
    fields(
        [
            ("run", found["id"]),
            ("workflow", _name(found)),
            ("status", found["status"]),
            ("started", found["startedAt"]),
            ("ended", found["endedAt"]),
            ("took", _duration(found["durationMs"])),
            ("cause", _cause(found["cause"])),
            ("held", None if at is not None else _held(found)),
            ("history", _recorded(found["history"])),
            ("queued", _queued(found.get("queued"))),
            ("adjusted", ", ".join(f"{n}={msgspec.json.encode(v).decode()}" for n, v in found["adjustable"].items())),
        ]
    )
    say("\ninput")
    show_value(found["input"], found["id"])
    show_tasks(found["tasks"], found["skipped"])
    if found["omitted"]:
        say("… and before them, left out here: " + ", ".join(f"{n} {what}" for what, n in found["omitted"].items()))
    _show_decisions(found)
    for waiting in found["open"]:
        say(f"waits for {waiting['kind']} at {waiting['pointer']}" + _what(waiting))
    if at is not None:
        _show_data(found)
    show_ending(found)


def _show_data(found: dict[str, Any]) -> None:
    """What went into each task and came out of it, up to that moment."""
    for task in found["data"]:
        say(f"\n{task['pointer']}{_turn(task)} {task['status']}")
        say(f"  in  {value_line(task['input'], found['id'])}")
        if task["status"] == "completed":
            say(f"  out {value_line(task['output'], found['id'])}")
    if found["context"] is not None:
        say("\ncontext")
        print_value(found["context"])


def _recorded(history: dict[str, Any]) -> str:
    """How long the history is, and what of it is gone."""
    words = f"{history['events']} events"
    if history["folded"]:
        words += f"; history before event {history['folded'] + 1} was folded"
    return "; ".join([words, *history["notes"]])


def _held(run: dict[str, Any]) -> str:
    held = run["held"]
    if held is None:
        return ""
    others = f" and {held['count'] - 1} more" if held["count"] > 1 else ""
    return f"{held['title']} at {held['pointer']}{others} (exception {held['exception']})"


def _queued(queued: dict[str, Any] | None) -> str:
    if queued is None:
        return ""
    return f"waits for its turn: {queued['ahead']} go before it, {queued['underWay']} are under way"


def show_tasks(tasks: list[dict[str, Any]], skipped: list[dict[str, Any]]) -> None:
    """The tasks in the order in which they started; skipped ones at the time at which they were passed."""
    rows = [
        (t["startedAt"], t["pointer"] + _turn(t), t["status"], _duration(t["durationMs"]), _again(t)) for t in tasks
    ]
    rows += [(s["at"], s["pointer"] + _turn(s), "skipped", "", "") for s in skipped]
    # A stable sort: what started in the same millisecond stays in order.
    rows.sort(key=lambda row: row[0])
    if rows:
        say()
        table(("task", "status", "took", "attempt"), [row[1:] for row in rows], empty="")


def show_ending(found: dict[str, Any]) -> None:
    """Output or error, and the status."""
    if found["error"] is not None:
        say("\nerror")
        print_value(found["error"])
    elif found["status"] == "completed":
        say("\noutput")
        show_value(found["output"], found.get("id"))
    say()
    say(paint(found["status"], STATUS_COLOUR.get(found["status"], "bold")))


def history(
    run: RunId, /, *, limit: Limit = 500, after: After = None, data: Data = None, json: AsJson = False
) -> None:
    """Print the events of a run, one a line."""
    page = ask(
        data,
        Request("GET", f"/runs/{quote(run, safe='')}/history", {"limit": limit, "after": after}),
        lambda service: service.runs.history(run, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    for event in page["items"]:
        at = datetime.fromtimestamp(event["at"] / 1000).astimezone().isoformat(timespec="milliseconds")
        rest = {name: value for name, value in event.items() if name not in ("e", "at")}
        say(f"{at}  {event['e']:<12}  {clean(msgspec.json.encode(rest).decode())}")
    if page["folded"]:
        note(f"History before event {page['first']} was folded.")
    tell_more(page)


def tasks(run: RunId, /, *, limit: Limit = 200, after: After = None, data: Data = None, json: AsJson = False) -> None:
    """List the tasks of a run, in the order in which they started."""
    page = ask(
        data,
        Request("GET", f"/runs/{quote(run, safe='')}/tasks", {"limit": limit, "after": after}),
        lambda service: service.runs.tasks(run, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    show_tasks(page["items"], [])
    tell_more(page)


def pause(run: RunId, /, *, reason: Why = "", data: Data = None, json: AsJson = False) -> None:
    """Let a run start nothing new; what is under way may finish."""
    _control(run, "pause", reason, data, json)


def resume(run: RunId, /, *, reason: Why = "", data: Data = None, json: AsJson = False) -> None:
    """Let a paused run go on."""
    _control(run, "resume", reason, data, json)


def cancel(run: RunId, /, *, reason: Why = "", data: Data = None, json: AsJson = False) -> None:
    """End a run and everything below it."""
    _control(run, "cancel", reason, data, json)


def _control(run: str, action: Action, reason: str, data: Data, json: bool) -> None:
    request = Request("POST", f"/runs/{quote(run, safe='')}/{action}", body={"reason": reason})
    found = ask(data, request, None)
    if json:
        print_json(found)
    else:
        say(f"{found['id']} {found['status']}")


def _show_decisions(found: dict[str, Any]) -> None:
    if found["decisions"]:
        say("\ndecisions")
    for made in found["decisions"]:
        say(f"{made['pointer']}{_turn(made)} chose {made['case'] or 'none'}")
        say(f"  saw {value_line(made['saw'], found['id'])}")


def _name(run: dict[str, Any]) -> str:
    workflow = run["workflow"]
    return f"{workflow['namespace']}/{workflow['name']}:{workflow['version']}"


def _cause(cause: dict[str, Any]) -> str:
    more = ", ".join(f"{name} {value}" for name, value in cause.items() if name != "kind")
    return str(cause.get("kind", "")) + (f": {more}" if more else "")


def _turn(task: dict[str, Any]) -> str:
    return "".join(f"[{n}]" for n in task["iteration"])


def _again(task: dict[str, Any]) -> str:
    return str(task["attempt"]) if task["attempt"] > 1 else ""


def _what(waiting: dict[str, Any]) -> str:
    if waiting["dueAt"]:
        return f", due {waiting['dueAt']}"
    if waiting["kind"] == "message":
        return f", {', '.join(waiting['types']) or 'any event'}"
    return f", {waiting['handler']}" if waiting["handler"] else ""


def _duration(ms: int | None) -> str:
    if ms is None:
        return ""
    if ms < 1000:
        return f"{ms} ms"
    return f"{ms / 1000:.1f} s" if ms < 120_000 else f"{ms / 60_000:.1f} min"
