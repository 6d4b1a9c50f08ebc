"""`segue serve`: a data folder over HTTP."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from segue.bootstrap import TOKEN_FILE, ServerFile, serve_workspaces
from segue.bootstrap import serve as serve_folder
from segue.cli.ask import folder_of
from segue.cli.common import AsJson, Data
from segue.cli.output import note, print_json, say
from segue.service import SHARED_NAME, ServiceError, Settings, WorkspaceView, load_settings, load_shared

LogLevel = Literal["debug", "info", "warning", "error"]


def serve(
    *,
    data: Data = None,
    workspaces: Annotated[
        Path | None, Parameter(help="Serve every workspace of this folder, instead of one data folder.")
    ] = None,
    host: Annotated[str | None, Parameter(help="Address to bind to; loopback where it is left out.")] = None,
    port: Annotated[int | None, Parameter(help="Port to bind to; 0 takes a free one.")] = None,
    tls_cert: Annotated[str | None, Parameter(help="Certificate with its chain, as PEM: speak TLS only.")] = None,
    tls_key: Annotated[str | None, Parameter(help="Private key of the certificate, as PEM.")] = None,
    behind_proxy: Annotated[
        list[str] | None, Parameter(help="Address or network of a proxy that ends TLS in front of the server.")
    ] = None,
    allow_processes: Annotated[
        bool, Parameter(negative="", help="Let documents start processes (run.script, run.shell).")
    ] = False,
    allow_loopback: Annotated[
        bool, Parameter(negative="", help="Let documents send requests to this machine.")
    ] = False,
    function: Annotated[
        list[str] | None, Parameter(help="Python function that documents call: module:name or NAME=module:name.")
    ] = None,
    log_level: Annotated[LogLevel, Parameter(help="What to write to standard error.")] = "warning",
    json: AsJson = False,
) -> None:
    """Serve a data folder until Ctrl-C or SIGTERM. It goes on with every unfinished run."""
    flags = {
        "host": host,
        "port": port,
        "tls_cert_file": tls_cert,
        "tls_key_file": tls_key,
        "behind_proxy": behind_proxy,
        "allow_processes": allow_processes or None,
        "functions": function,
        "outbound": {"allow_loopback": True} if allow_loopback else None,
    }
    # Somebody looks after a server, so a failure can wait for a decision.
    defaults = {"failures": "hold"}
    logging.getLogger().setLevel(log_level.upper())
    if workspaces is not None:
        if data is not None:
            raise ServiceError("command-refused", "Give either --data or --workspaces.")
        _serve_several(workspaces, flags, defaults, log_level=log_level, json=json)
        return
    folder = folder_of(data)
    if (folder / SHARED_NAME).is_file():
        raise ServiceError(
            "command-refused",
            f"{str(folder)!r} is a folder of workspaces.",
            remedy=f"Serve them with `segue serve --workspaces {folder}`, or one of them with --data {folder}/NAME.",
        )
    settings = load_settings(folder, flags=flags, defaults=defaults)

    def started(place: ServerFile, fresh: bool) -> None:
        if json:
            print_json({"url": place.url, "pid": place.pid, "data": str(folder)})
            return
        say(f"Segue serves {folder} at {place.url} (Ctrl-C stops it)")
        _tell_token(folder, place, fresh)

    asyncio.run(serve_folder(folder, settings, started=started, log_level=log_level))


def _serve_several(
    folder: Path, flags: dict[str, Any], defaults: dict[str, Any], *, log_level: LogLevel, json: bool
) -> None:
    settings = load_shared(folder, flags=flags, defaults=defaults)

    def started(place: ServerFile, fresh: bool, known: list[WorkspaceView]) -> None:
        broken = {one.name: one.reason for one in known if one.state != "open"}
        if json:
            served = [one.name for one in known if one.state == "open"]
            print_json({"url": place.url, "pid": place.pid, "open": served, "broken": broken})
            return
        say(f"Segue serves {len(known) - len(broken)} workspaces of {folder} at {place.url} (Ctrl-C stops it)")
        for name, reason in broken.items():
            note(f"Not served: {name}: {reason}")
        _tell_token(folder, place, fresh)

    def load(place: Path) -> Settings:
        return load_settings(place, flags=flags, defaults=defaults)

    asyncio.run(serve_workspaces(folder, settings, load, started=started, log_level=log_level))


def _tell_token(folder: Path, place: ServerFile, fresh: bool) -> None:
    if fresh:
        # The token itself goes to a person at a terminal, once; never into a log that output is sent to.
        where = folder / TOKEN_FILE
        note(f"Token, also in {where}: {place.token}" if sys.stderr.isatty() else f"The token is in {where}")
