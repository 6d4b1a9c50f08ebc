"""`segue serve`: a data folder over HTTP."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from segue.bootstrap import TOKEN_FILE, ServerFile
from segue.bootstrap import serve as serve_folder
from segue.cli.ask import folder_of
from segue.cli.common import AsJson, Data
from segue.cli.output import note, print_json, say
from segue.service import load_settings

LogLevel = Literal["debug", "info", "warning", "error"]


def serve(
    *,
    data: Data = None,
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
    folder = folder_of(data)
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
    settings = load_settings(folder, flags=flags, defaults={"failures": "hold"})
    logging.getLogger().setLevel(log_level.upper())

    def started(place: ServerFile, fresh: bool) -> None:
        if json:
            print_json({"url": place.url, "pid": place.pid, "data": str(folder)})
            return
        say(f"Segue serves {folder} at {place.url} (Ctrl-C stops it)")
        if fresh:
            # The token itself goes to a person at a terminal, once; never into a log that output is sent to.
            where = Path(folder) / TOKEN_FILE
            note(f"Token, also in {where}: {place.token}" if sys.stderr.isatty() else f"The token is in {where}")

    asyncio.run(serve_folder(folder, settings, started=started, log_level=log_level))
