"""`segue stop`, `segue release`, `segue switches`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.inputs import fitting
from segue.cli.output import note, print_json, say, table, tell_more
from segue.service import NewSwitch

_Kinds = Literal["agent", "model", "tool", "connection", "workflow", "workspace"]
Kind = Annotated[_Kinds, Parameter(help="What it is.")]
_NAMES = "Its name: namespace/name for a workflow, CONNECTION/OPERATION for a tool, `default` for the workspace."
Name = Annotated[str, Parameter(help=_NAMES)]
Why = Annotated[str, Parameter(help="Why; written down, and told to everything that is stopped.")]


def stop(kind: Kind, name: Name, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Stop it now, also what is under way. Its tasks fail, so what documents declare for failures happens."""
    wanted = _switch(kind, name, reason)
    request = Request("POST", "/switches/stop", body=msgspec.to_builtins(wanted))
    answer = ask(data, request, lambda service: service.switches.stop(wanted))
    if json:
        print_json(answer)
    else:
        say(f"stopped {kind} {name}; {answer['stopped']} acts were under way")
        if answer["warning"]:
            note(f"warning: {answer['warning']}")
        note(f"let it go on with: segue release {kind} {name} --reason …")


def release(kind: Kind, name: Name, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Let it go on. What failed meanwhile stays failed; retry it from the exception inbox."""
    wanted = _switch(kind, name, reason)
    request = Request("POST", "/switches/release", body=msgspec.to_builtins(wanted))
    answer = ask(data, request, lambda service: service.switches.release(wanted))
    if json:
        print_json(answer)
    else:
        say(f"{kind} {name} goes on")


def list_(
    *,
    all: Annotated[bool, Parameter(negative="", help="Also what goes on again.")] = False,
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List what is stopped, newest first."""
    page = ask(
        data,
        Request("GET", "/switches", {"all": "true" if all else None, "limit": limit, "after": after}),
        lambda service: service.switches.page(all=all, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [(s["kind"], s["name"], s["by"], s["at"], s["reason"], s["releasedAt"]) for s in page["items"]]
    table(("kind", "name", "by", "at", "reason", "released"), rows, empty="Nothing is stopped.")
    tell_more(page)


def _switch(kind: str, name: str, reason: str) -> NewSwitch:
    return fitting({"kind": kind, "name": name, "reason": reason}, NewSwitch, remedy="Give a name and a reason.")
