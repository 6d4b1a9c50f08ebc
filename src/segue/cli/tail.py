"""`segue runs tail`: follow a run until it ends."""

from __future__ import annotations

import sys
from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask, find_server, folder_of, follow
from segue.cli.common import AsJson, Data
from segue.cli.output import STATUS_COLOUR, clean, paint, print_json
from segue.service import EXIT_OF_STATUS, ServiceError

_PREFIX = "io.serverlessworkflow."


def tail(
    run: Annotated[str | None, Parameter(help="Id of the run; all runs where it is left out.")] = None,
    /,
    *,
    data: Data = None,
    json: AsJson = False,
) -> int:
    """Print what happens in a run until it ends, then end with its exit code. `--json`: CloudEvents, one a line."""
    server = find_server(data)
    if server is None and run is not None:
        # Nothing moves without a server: what happened so far is all there is.
        for event in ask(data, Request("GET", ""), lambda service: service.runs.lifecycle(run))["items"]:
            _show(event, json)
        return 0
    if server is None:
        raise ServiceError("server-needed", f"No server serves {str(folder_of(data))!r}.")
    path = "/stream" if run is None else f"/runs/{quote(run, safe='')}/stream"
    for event in follow(server, path):
        _show(event, json)
    if run is None:
        return 0
    ended = ask(data, Request("GET", f"/runs/{quote(run, safe='')}"), None)
    return EXIT_OF_STATUS.get(ended["status"], 0)


def _show(event: dict[str, Any], json: bool) -> None:
    if json:
        print_json(event)
    else:
        show_event(event)


def show_event(event: dict[str, Any], stream: Any = None) -> None:
    """A lifecycle event on one line."""
    subject, word = event["type"].removeprefix(_PREFIX).removesuffix(".v1").split(".", 1)
    if subject == "task" and word == "created":
        return
    shown = paint(f"{word:<10}", STATUS_COLOUR.get(word, "bold"), stream)
    place = event["data"].get("task", "run " + event["subject"])
    turn = "".join(f"[{n}]" for n in event["data"].get("iteration", ()))
    error = event["data"].get("error", {}).get("detail", "")
    print(f"{event['time']}  {shown}  {clean(place)}{turn}  {clean(error)}".rstrip(), file=stream or sys.stdout)
