"""`segue secrets …`."""

from __future__ import annotations

import sys
from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.output import note, print_json, say, table
from segue.service import NewSecret

Name = Annotated[str, Parameter(help="Its name.")]


def set_(name: Name, /, *, data: Data = None) -> None:
    """Keep a secret in an encrypted data folder. Its value is read from standard input, never from the command."""
    if sys.stdin.isatty():
        import getpass

        value = getpass.getpass("value: ")
    else:
        value = sys.stdin.read().removesuffix("\n")
    wanted = NewSecret(name=name, value=value)
    request = Request("POST", "/secrets", body={"name": name, "value": value})
    ask(data, request, lambda service: service.secrets.set(wanted))
    note(f"{name} is kept")


def list_(*, data: Data = None, json: AsJson = False) -> None:
    """List secrets that are kept in the data folder; never their values."""
    page = ask(data, Request("GET", "/secrets"), lambda service: service.secrets.list())
    if json:
        print_json(page)
        return
    table(("name", "set"), [(s["name"], s["updatedAt"]) for s in page["items"]], empty="No secrets.")


def remove(name: Name, /, *, data: Data = None) -> None:
    """Forget a secret."""
    ask(data, Request("DELETE", f"/secrets/{quote(name, safe='')}"), lambda service: service.secrets.remove(name))
    say(f"{name} is gone")
