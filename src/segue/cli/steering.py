"""`segue runs retry`, `skip`, `terminate` and `fork`."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.exceptions import who
from segue.cli.inputs import read_json
from segue.cli.output import print_json, say

RunId = Annotated[str, Parameter(help="Id of the run.")]
Reason = Annotated[str, Parameter(help="Why; kept in the history of the run.")]
From = Annotated[str, Parameter(name="--from", help="JSON Pointer of the task, as `runs show` prints it.")]
Input = Annotated[str | None, Parameter(help="Its raw input: JSON, @FILE or @-; left out, what it got before.")]


def retry(
    run: RunId, /, *, start: From, reason: Reason, input: Input = None, data: Data = None, json: AsJson = False
) -> None:
    """Let a run go back to a task, or start a live one again."""
    body = {"pointer": start, "reason": reason, **_given(input)}
    _post(run, "retry", body, data, json)


def skip(
    run: RunId,
    pointer: Annotated[str, Parameter(help="JSON Pointer of the task, as `runs show` prints it.")],
    /,
    *,
    output: Annotated[str, Parameter(help="What the next task gets: JSON, @FILE or @-.")],
    reason: Reason,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Give a task its output; the run goes on behind it."""
    body = {"pointer": pointer, "output": read_json(output, "--output"), "reason": reason}
    _post(run, "skip", body, data, json)


def terminate(run: RunId, /, *, reason: Reason, data: Data = None, json: AsJson = False) -> None:
    """End a run and everything below it, saying why."""
    _post(run, "terminate", {"reason": reason}, data, json)


def fork(
    run: RunId,
    /,
    *,
    start: From,
    input: Input = None,
    workflow_version: Annotated[str | None, Parameter(help="Go on with this version of the workflow.")] = None,
    reason: Annotated[str, Parameter(help="Why; kept with the new run.")] = "",
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Start a run that has this one's past up to a task. Prints the new run's id."""
    version = {} if workflow_version is None else {"version": workflow_version}
    _post(run, "fork", {"pointer": start, "reason": reason, **_given(input), **version}, data, json)


def _given(input: str | None) -> dict[str, Any]:
    return {} if input is None else {"input": read_json(input, "--input")}


def _post(run: str, action: str, body: dict[str, Any], data: Data, json: bool) -> None:
    found = ask(data, Request("POST", f"/runs/{quote(run, safe='')}/{action}", body={**body, "by": who()}), None)
    if json:
        print_json(found)
    elif action == "fork":
        say(found["id"])
    else:
        say(f"{found['id']} {found['status']}")
