"""`segue backup` and `segue restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from segue.cli.ask import Request, ask, find_server, folder_of
from segue.cli.common import AsJson, Data
from segue.cli.output import fields, note, print_json, say
from segue.service import backup_of_folder, restore_folder


def backup(
    file: Annotated[Path, Parameter(help="File to write; it must not exist. Its manifest is written beside it.")],
    /,
    *,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Back up a data folder, also while a server works with it."""
    server = find_server(data)
    if server is not None and not server.pid:
        # A server that is only known by its address: FILE is the name of a file in its own `backups`.
        made = ask(data, Request("POST", "/backups", body={"name": str(file)}), None)
    else:
        made = msgspec.to_builtins(backup_of_folder(folder_of(data), file))
    _tell(made, "backed up to", as_json=json)
    if made.get("sealed") is False:
        note(
            "This backup is not encrypted: whoever gets the file reads every value in it, also the secrets of"
            " one-time codes, and hashes of passwords. Keep it as you keep passwords, or run `segue keys encrypt`"
            " for the folder and back that up."
        )


def restore(
    file: Annotated[Path, Parameter(help="The backup.")],
    /,
    *,
    data: Data = None,
    force: Annotated[
        bool, Parameter(negative="", help="The folder may hold data; it is kept there under another name.")
    ] = False,
    without_manifest: Annotated[
        bool, Parameter(negative="", help="Take a file without its manifest; only its inner integrity is checked.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make a data folder from a backup, after verifying it."""
    found = restore_folder(file, folder_of(data), force=force, need_manifest=not without_manifest)
    _tell(msgspec.to_builtins(found), f"restored to {folder_of(data)} from", as_json=json)
    if not json:
        note("Acts on other systems since that backup are not known to it; `segue serve` goes on from there.")


def _tell(made: dict[str, Any], what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    say(f"{what} {made['file']}")
    pairs = [
        ("as of", made["madeAt"]),
        ("release", made["segue"]),
        ("bytes", made["bytes"]),
        ("sha256", made["sha256"]),
    ]
    fields(pairs)
