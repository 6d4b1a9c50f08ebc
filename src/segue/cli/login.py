"""`segue login`, `segue logout`, `segue whoami`."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from segue.bootstrap import ServerFile
from segue.cli.ask import Request, ask, ask_server, find_server, keep_session, kept_session
from segue.cli.common import AsJson, Data
from segue.cli.output import fields, note, print_json, say
from segue.cli.users import new_password
from segue.service import ServiceError


def login(
    name: Annotated[str | None, Parameter(help="Your name; not with --sso.")] = None,
    /,
    *,
    url: Annotated[str | None, Parameter(help="Address of the server; SEGUE_URL where it is left out.")] = None,
    code: Annotated[str, Parameter(help="One-time code, where you have those.")] = "",
    sso: Annotated[
        bool, Parameter(help="Sign in through a browser, at the server's OpenID provider.", negative="")
    ] = False,
    provider: Annotated[
        str, Parameter(help="With --sso: which one, where the server has several; the browser asks otherwise.")
    ] = "",
    paste: Annotated[
        bool, Parameter(help="With --sso: the browser runs on another machine; paste its last address.", negative="")
    ] = False,
    data: Data = None,
) -> None:
    """Sign in to a server. The session is kept in a file that only you can read, and ends after twelve hours."""
    address = url or os.environ.get("SEGUE_URL") or _address(data)
    if sso == (name is not None):
        raise ServiceError("command-refused", "Give either your name or --sso.")
    if sso:
        from segue.cli.sso import sign_in

        answer = sign_in(address, provider=provider, paste=paste)
    else:
        body = {"name": name, "password": _password(), "code": code}
        nobody = ServerFile(url=address, token="", pid=0)
        answer = ask_server(nobody, Request("POST", "/login", body=body))
        if answer["identity"]["mustChange"]:
            answer = _choose_own(nobody, body, answer["token"])
    keep_session(address, answer["token"])
    say(f"signed in to {address} as {answer['identity']['display']} until {answer['expiresAt']}")


def logout(
    *, url: Annotated[str | None, Parameter(help="Address of the server; SEGUE_URL where it is left out.")] = None
) -> None:
    """End the session at a server."""
    address = url or os.environ.get("SEGUE_URL") or ""
    token = kept_session(address)
    if token is None:
        raise ServiceError("not-signed-in", f"Nobody is signed in to {address or 'any server'} here.")
    ask_server(ServerFile(url=address, token=token, pid=0), Request("POST", "/logout"))
    keep_session(address, None)
    say(f"signed out of {address}")


def whoami(*, data: Data = None, json: AsJson = False) -> None:
    """Show who you are to the server, or to the data folder, and what you may do."""
    found: dict[str, Any] = ask(data, Request("GET", "/whoami"), lambda service: service.sessions.whoami())
    if json:
        print_json(found)
        return
    fields(
        [
            ("name", f"{found['kind']}:{found['id']}"),
            ("display", found["display"]),
            ("workspace", found["workspace"]),
            ("roles", ", ".join(found["roles"])),
            ("groups", ", ".join(found["groups"])),
            ("token for", None if found["scopes"] is None else ", ".join(found["scopes"])),
            ("may", ", ".join(found["actions"])),
        ]
    )


def _choose_own(nobody: ServerFile, body: dict[str, Any], session: str) -> dict[str, Any]:
    """A session with a password of one's own, instead of the one that somebody else set."""
    note("somebody else set this password, and it counts once: choose your own")
    own = new_password()
    once = ServerFile(url=nobody.url, token=session, pid=0)
    ask_server(once, Request("POST", "/me/password", body={"old": body["password"], "new": own}))
    note("the password is changed")
    # A one-time code counts once, so the next one is needed.
    code = getpass.getpass("Next one-time code: ") if body["code"] else ""
    again: dict[str, Any] = ask_server(
        nobody, Request("POST", "/login", body={**body, "password": own, "code": code})
    )
    return again


def _address(data: Any) -> str:
    server = find_server(data)
    if server is None:
        raise ServiceError("server-needed", "No server is named, and none serves the data folder.")
    return server.url


def _password() -> str:
    given = os.environ.get("SEGUE_PASSWORD")
    if given:
        return given
    if not sys.stdin.isatty():
        raise ServiceError(
            "command-refused", "There is no terminal to ask at.", remedy="Set SEGUE_PASSWORD for this command."
        )
    return getpass.getpass("Password: ")
