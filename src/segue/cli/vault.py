"""`segue secrets …`."""

from __future__ import annotations

import sys
from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.output import note, print_json, say, table
from segue.service import NewSecret, SecretUsers, ServiceError

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
    """List secrets with who may use them, who names them and who used them last; never their values."""
    page = ask(data, Request("GET", "/secrets"), lambda service: service.secrets.list())
    if json:
        print_json(page)
        return
    names = ("name", "updatedAt", "usedAt", "usedBy")
    rows = [[*[s[n] for n in names], _told(s["users"]), " ".join(s["namedBy"])] for s in page["items"]]
    table(("name", "set", "last used", "by", "may use it", "named by"), rows, empty="No secrets.")


def allow(
    name: Name,
    /,
    *users: Annotated[str, Parameter(help="workflow:NAMESPACE/NAME or connection:NAME; * stands for anything.")],
    anyone: Annotated[bool, Parameter(negative="", help="Whoever names it may use it, as at the beginning.")] = False,
    data: Data = None,
) -> None:
    """Let only these workflows and connections use a secret, wherever it is kept; without any, nobody."""
    if anyone and users:
        raise ServiceError("command-refused", "Either name users, or say --anyone.")
    wanted = SecretUsers(users=None if anyone else list(users))
    request = Request("POST", f"/secrets/{quote(name, safe='')}/users", body={"users": wanted.users})
    ask(data, request, lambda service: service.secrets.allow(name, wanted))
    say(f"{name}: {_told(wanted.users)}")


def _told(users: list[str] | None) -> str:
    return "whoever names it" if users is None else " ".join(users) or "nobody"


def remove(name: Name, /, *, data: Data = None) -> None:
    """Forget a secret."""
    ask(data, Request("DELETE", f"/secrets/{quote(name, safe='')}"), lambda service: service.secrets.remove(name))
    say(f"{name} is gone")
