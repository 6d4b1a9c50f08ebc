"""`segue runs data`, and how commands show values that an answer left out."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.output import clean, print_json, print_value, say
from segue.service import OMITTED


def data(
    run: Annotated[str, Parameter(help="Id of the run.")],
    /,
    *,
    task: Annotated[int | None, Parameter(help="Of this task, by its number, instead of the run.")] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Print what went in and what came out, whole, of a run or of one of its tasks."""
    path = f"/runs/{quote(run, safe='')}"
    if task is None:
        given = ask(data, Request("GET", f"{path}/input"), lambda service: service.runs.input(run))
        output = ask(data, Request("GET", f"{path}/output"), lambda service: service.runs.output(run))
        found = {"input": given, "output": output}
    else:
        seen = ask(data, Request("GET", f"{path}/tasks/{task}"), lambda service: service.runs.task(run, task))
        found = {"input": seen["input"], "output": seen["output"]}
    if json:
        print_json(found)
    else:
        print_value(found)


def show_value(value: Any, run: str | None = None) -> None:
    """A value of a run for people, or where the whole of it is."""
    left_out = _left_out(value, run)
    if left_out is None:
        print_value(value)
    else:
        say(left_out)


def value_line(value: Any, run: str) -> str:
    """The same on one line."""
    return _left_out(value, run) or clean(msgspec.json.encode(value).decode())


def _left_out(value: Any, run: str | None) -> str | None:
    said = value.get(OMITTED) if run is not None and isinstance(value, dict) else None
    if not isinstance(said, dict):
        return None
    place, _, number = str(said["whole"]).rpartition("/tasks/")
    task = f" --task {number}" if place else ""
    return f"{said['bytes']:,} bytes, left out here: `segue runs data {run}{task}`"
