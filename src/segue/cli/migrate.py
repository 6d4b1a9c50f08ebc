"""`segue runs migrate`."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.exceptions import who
from segue.cli.inputs import read_json
from segue.cli.output import print_json, say, table
from segue.service import ServiceError


def migrate(
    run: Annotated[str | None, Parameter(help="Id of the run.")] = None,
    /,
    *,
    to: Annotated[str, Parameter(help="Version to go on under.")],
    workflow: Annotated[str | None, Parameter(help="namespace/name: all its live runs, instead of one.")] = None,
    since: Annotated[
        str | None, Parameter(help="With --workflow: only runs that are under this version now.")
    ] = None,
    mapping: Annotated[
        str | None, Parameter(name="--map", help="Pointers of tasks to their counterparts: JSON, @FILE or @-.")
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Only tell what would happen.")] = False,
    reason: Annotated[str, Parameter(help="Why; kept in the history of the run.")] = "",
    data: Data = None,
    json: AsJson = False,
) -> int:
    """Let live runs go on under another version. Ends with 1 where something stands against it."""
    if (run is None) == (workflow is None):
        raise ServiceError("command-refused", "Name a run, or --workflow for all its live ones.")
    body: dict[str, Any] = {"version": to, "reason": reason, "dryRun": dry_run, "by": who()}
    if mapping is not None:
        body["mapping"] = read_json(mapping, "--map")
    if run is not None:
        found = ask(data, Request("POST", f"/runs/{quote(run, safe='')}/migrate", body=body), None)
        refused = [found] if found["obstacles"] else []
    else:
        body |= {"workflow": workflow} | ({} if since is None else {"since": since})
        found = ask(data, Request("POST", "/migrations", body=body), None)
        refused = found["refused"]
    if json:
        print_json(found)
    elif run is None:
        could = "could be migrated" if dry_run else "migrated"
        say(f"{found['migrated']} of {found['matched']} runs {could} to {found['to']}")
        _tell_obstacles(refused)
    else:
        _tell(found)
        _tell_obstacles(refused)
    return 1 if refused or (run is None and found["migrated"] < found["matched"]) else 0


def _tell(found: dict[str, Any]) -> None:
    rows = [_row(move) for move in found["position"]]
    table(("task", "kind", "now at", "then at"), rows, empty="no task is under way that has a counterpart")
    if not found["obstacles"]:
        done = "migrated" if found["migrated"] else "can be migrated"
        say(f"{found['run']} {done} from {found['before']} to {found['after']}")


def _row(move: dict[str, Any]) -> tuple[str, ...]:
    return str(move["task"]), move["kind"], move["before"], move["after"]


def _tell_obstacles(refused: list[dict[str, Any]]) -> None:
    for one in refused:
        for obstacle in one["obstacles"]:
            say(f"{one['run']} {obstacle['pointer'] or 'as a whole'}: {obstacle['message']}")
            say(f"    {obstacle['remedy']}")
