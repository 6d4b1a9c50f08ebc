"""`segue workspaces`: for whoever holds the folder that several workspaces of one server are in."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from cyclopts import Parameter

from segue.bootstrap import read_server_file
from segue.cli.ask import Request, ask_server
from segue.cli.common import AsJson
from segue.cli.inputs import fitting
from segue.cli.output import note, print_json, say, table
from segue.service import (
    NewWorkspace,
    ServiceError,
    WorkspaceRemoval,
    create_workspace,
    list_workspaces,
    remove_workspace,
    require_installation,
    require_workspace,
)

Name = Annotated[str, Parameter(help="Its name: letters in lower case, digits, single hyphens between them.")]
Where = Annotated[
    Path | None,
    Parameter(name="--workspaces", help="Folder of workspaces; SEGUE_WORKSPACES where it is left out."),
]


def create(name: Name, /, *, workspaces: Where = None, json: AsJson = False) -> None:
    """Make a workspace, and the folder of workspaces where there is none. Its server opens it at once."""
    folder = _folder(workspaces)
    wanted = fitting({"name": name}, NewWorkspace)
    answer = _asked(folder, Request("POST", "/workspaces", body=msgspec.to_builtins(wanted)))
    if answer is None:
        create_workspace(folder, name)
        answer = {"name": name, "state": "found"}
    if json:
        print_json({**answer, "folder": str(folder / name)})
        return
    say(f"made the workspace {name} in {folder / name}")
    if answer["state"] == "found":
        note(f"serve it with: segue serve --workspaces {folder}")


def list_(*, workspaces: Where = None, json: AsJson = False) -> None:
    """List workspaces, and whether they are served."""
    folder = _folder(workspaces)
    require_installation(folder)
    found = _asked(folder, Request("GET", "/workspaces"))
    if found is None:
        found = msgspec.to_builtins(list_workspaces(folder))
    if json:
        print_json(found)
        return
    rows = [(one["name"], one["state"], one["address"], one.get("reason")) for one in found]
    table(("name", "state", "address", "reason"), rows, empty="There are no workspaces.")


def remove(
    name: Name,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why; written down in the workspace's own audit chain.")],
    dry_run: Annotated[bool, Parameter(negative="", help="Only say what would be done.")] = False,
    workspaces: Where = None,
    json: AsJson = False,
) -> None:
    """Close a workspace and put its folder aside, in `.removed`. Nothing of it is deleted."""
    folder = _folder(workspaces)
    require_installation(folder)
    wanted = fitting({"reason": reason}, WorkspaceRemoval)
    place = require_workspace(folder, name)
    if dry_run:
        say(f"would close {name} and move {place} to {folder / '.removed'}")
        return
    path = f"/workspaces/{quote(name, safe='')}/remove"
    answer = _asked(folder, Request("POST", path, body=msgspec.to_builtins(wanted)))
    if answer is None:
        answer = msgspec.to_builtins(asyncio.run(remove_workspace(folder, name, wanted)))
    if json:
        print_json(answer)
        return
    say(f"{name} is no workspace any more; its folder is {answer['folder']}")
    note(f"move it back to {place} and it is one again")


def _folder(given: Path | None) -> Path:
    found = given or os.environ.get("SEGUE_WORKSPACES")
    if not found:
        raise ServiceError("command-refused", "No folder of workspaces is named.", remedy="Use --workspaces DIR.")
    return Path(found)


def _asked(folder: Path, request: Request) -> Any:
    """The answer of the server of this folder; None where none serves it."""
    server = read_server_file(folder)
    if server is None:
        return None
    try:
        return ask_server(server, request)
    except ServiceError as refusal:
        # A server that was killed leaves its file behind, and its process number may be somebody else's now.
        if refusal.kind == "server-unreachable":
            return None
        raise
