"""`segue users …` and `segue tokens …`: who may sign in, and what programs hold."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Annotated, Any, Literal
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit, Why
from segue.cli.deciding import decide
from segue.cli.inputs import fitting
from segue.cli.output import fields, note, print_json, say, table, tell_more
from segue.service import AccountDecision, IdentityChange, NewIdentity, NewToken, ServiceError

Name = Annotated[str, Parameter(help="Name of the person or account.")]
Account = Annotated[bool, Parameter(negative="", help="A service account, not a person.")]
Roles = Annotated[list[str] | None, Parameter(name="--role", help="viewer, operator, approver …; may be repeated.")]
Teams = Annotated[list[str] | None, Parameter(name="--group", help="A team; may be repeated.")]
Limits = Annotated[
    list[str] | None, Parameter(name="--limit", help="NAME=NUMBER, up to where they decide alone; may be repeated.")
]
Ask = Annotated[bool, Parameter(negative="", help="Ask for a password at the terminal, or read SEGUE_NEW_PASSWORD.")]


def add(
    name: Name,
    /,
    *,
    role: Roles = None,
    group: Teams = None,
    limit: Limits = None,
    display: Annotated[str, Parameter(help="Full name.")] = "",
    service: Account = False,
    password: Ask = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Add a person, or a service account."""
    body: dict[str, Any] = {"id": name, "kind": _kind(service), "display": display, "roles": role or []}
    body |= {"groups": group or [], "limits": _limits(limit)}
    if password:
        body["password"] = new_password()
    wanted = fitting(body, NewIdentity, problem="identity-refused")
    answer = ask(data, Request("POST", "/identities", body=body), lambda s: s.accounts.add(wanted))
    _tell(answer, json, "added")


def list_(*, limit: Limit = 50, after: After = None, data: Data = None, json: AsJson = False) -> None:
    """List people and service accounts."""
    page = ask(
        data,
        Request("GET", "/identities", {"limit": limit, "after": after}),
        lambda s: s.accounts.page(limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [
        (who["kind"], who["id"], who["display"], ", ".join(who["roles"]), ", ".join(who["groups"]), who["state"])
        for who in page["items"]
    ]
    table(("kind", "name", "display", "roles", "groups", "state"), rows, empty="There is nobody but the owner.")
    tell_more(page)


def show(name: Name, /, *, service: Account = False, data: Data = None, json: AsJson = False) -> None:
    """Show one person or account."""
    kind = _kind(service)
    answer = ask(data, Request("GET", _path(kind, name)), lambda s: s.accounts.get(kind, name))
    _tell(answer, json, None)


def change(
    name: Name,
    /,
    *,
    role: Roles = None,
    group: Teams = None,
    limit: Limits = None,
    display: Annotated[str | None, Parameter(help="Full name.")] = None,
    service: Account = False,
    password: Ask = False,
    reset_totp: Annotated[bool, Parameter(negative="", help="Ask for no one-time code any more.")] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Change what is named; roles, groups and limits replace those before. `--role none` takes all away."""
    body: dict[str, Any] = {"reset_totp": reset_totp}
    given = {"roles": role, "groups": group, "display": display}
    body |= {key: value for key, value in given.items() if value is not None}
    for key in ("roles", "groups"):
        body[key] = [] if body.get(key) == ["none"] else body.get(key)
    body = {key: value for key, value in body.items() if value is not None}
    if limit is not None:
        body["limits"] = _limits(limit)
    if password:
        body["password"] = new_password()
    _change(name, service, body, data, json, "changed")


def lock(name: Name, /, *, reason: Why, service: Account = False, data: Data = None, json: AsJson = False) -> None:
    """Lock somebody out at once: every session and token ends."""
    _change(name, service, {"state": "locked", "reason": reason}, data, json, "locked")


def unlock(name: Name, /, *, service: Account = False, data: Data = None, json: AsJson = False) -> None:
    """Let somebody in again. Tokens and sessions do not come back."""
    _change(name, service, {"state": "active"}, data, json, "unlocked")


def remove(name: Name, /, *, reason: Why, service: Account = False, data: Data = None, json: AsJson = False) -> None:
    """Remove somebody. The name is never given again: records hold it."""
    _change(name, service, {"state": "removed", "reason": reason}, data, json, "removed")


def changes(
    *,
    state: Annotated[
        Literal["waiting", "approved", "refused", "lapsed", "all"], Parameter(help="Only these.")
    ] = "waiting",
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List changes of people that wait for a second administrator, newest first."""
    chosen = None if state == "all" else state
    page = ask(
        data,
        Request("GET", "/identity-changes", {"state": state, "limit": limit, "after": after}),
        lambda s: s.account_changes.page(state=chosen, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [
        (
            *(c["number"], c["what"], c["whom"], ", ".join(c["takesOver"]), "; ".join(c["changes"])),
            *(c["wantedBy"], c["wantedAt"], c["state"], c["decidedBy"], c["reason"]),
        )
        for c in page["items"]
    ]
    names = ("number", "what", "whom", "takes over", "changes", "wanted by", "at", "state", "decided by", "reason")
    table(names, rows, empty="Nothing waits for a second administrator.")
    tell_more(page)


Number = Annotated[int, Parameter(help="Number of the change.")]


def approve(number: Number, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Make a change of somebody that another administrator wants. Neither they nor whom it is about may."""
    _decide(number, True, reason, data, json)


def refuse(number: Number, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Do not make it."""
    _decide(number, False, reason, data, json)


def _decide(number: int, approved: bool, reason: str, data: Any, json: bool) -> None:
    wanted = fitting({"approve": approved, "reason": reason}, AccountDecision, problem="identity-refused")
    decide(
        f"/identity-changes/{number}/decide",
        wanted,
        lambda s: s.account_changes.decide(number, wanted),
        lambda found: f"{found['state']}: {found['what']} {found['whom']}",
        data,
        json,
    )


def make_token(
    name: Name,
    /,
    *,
    label: Annotated[str, Parameter(help="What the token is for.")],
    scope: Annotated[
        list[str] | None, Parameter(help="Group of actions, or an action; may be repeated. All where left out.")
    ] = None,
    days: Annotated[int, Parameter(help="How long it counts, 1 to 366.")] = 90,
    person: Annotated[bool, Parameter(negative="", help="For a person, not a service account.")] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Make a token. It is shown this once."""
    kind = _kind(not person)
    body = {"label": label, "scopes": scope, "days": days}
    wanted = fitting(body, NewToken, problem="identity-refused")
    answer = ask(
        data,
        Request("POST", _path(kind, name) + "/tokens", body=body),
        lambda s: s.tokens.make(kind, name, wanted),
    )
    if json:
        print_json(answer)
        return
    say(answer["token"])
    note(f"token {answer['id']} of {kind} {name}, until {answer['expiresAt']}; it is not shown again")


def list_tokens(
    name: Name,
    /,
    *,
    person: Annotated[bool, Parameter(negative="", help="Of a person, not a service account.")] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List the tokens of a service account, or of a person."""
    kind = _kind(not person)
    found = ask(data, Request("GET", _path(kind, name) + "/tokens"), lambda s: s.tokens.of(kind, name))
    if json:
        print_json(found)
        return
    rows = [
        (t["id"], t["label"], "all" if t["scopes"] is None else ", ".join(t["scopes"]), t["expiresAt"], t["usedAt"])
        for t in found
    ]
    table(("id", "label", "scopes", "expires", "last used"), rows, empty="There are none.")


def revoke_token(
    token: Annotated[str, Parameter(help="Id of the token.")], /, *, data: Data = None, json: AsJson = False
) -> None:
    """End a token at once."""
    answer = ask(data, Request("DELETE", f"/tokens/{quote(token, safe='')}"), lambda s: s.tokens.revoke(token))
    if json:
        print_json(answer)
    else:
        say(f"ended {answer['id']}: {answer['label']}")


def new_password() -> str:
    """A password from the terminal, or from SEGUE_NEW_PASSWORD; never from the command line, which others can see.

    Raises:
        ServiceError: There is neither, or the two entries differ.
    """
    given = os.environ.get("SEGUE_NEW_PASSWORD")
    if given:
        return given
    if not sys.stdin.isatty():
        raise ServiceError(
            "command-refused", "There is no terminal to ask at.", remedy="Set SEGUE_NEW_PASSWORD for this command."
        )
    first = getpass.getpass("New password: ")
    if first != getpass.getpass("Again: "):
        raise ServiceError("command-refused", "The two entries differ.", remedy="Try again.")
    return first


def _change(name: str, service: bool, body: dict[str, Any], data: Any, json: bool, done: str) -> None:
    kind = _kind(service)
    wanted = fitting(body, IdentityChange, problem="identity-refused")
    answer = ask(data, Request("POST", _path(kind, name), body=body), lambda s: s.accounts.change(kind, name, wanted))
    _tell(answer, json, done)


def _kind(service: bool) -> str:
    return "service" if service else "person"


def _path(kind: str, name: str) -> str:
    return f"/identities/{kind}/{quote(name, safe='')}"


def _limits(given: list[str] | None) -> dict[str, float]:
    found = {}
    for text in given or []:
        name, _, number = text.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            raise ServiceError(
                "command-refused", f"--limit {text!r} is no NAME=NUMBER.", remedy="For example amount=5000."
            ) from None
    return found


def _tell(answer: dict[str, Any], json: bool, done: str | None) -> None:
    if json:
        print_json(answer)
        return
    if done is not None:
        say(f"{done} {answer['kind']} {answer['id']}")
    fields(
        [
            ("name", None if done else answer["id"]),
            ("display", answer["display"]),
            ("roles", ", ".join(answer["roles"])),
            ("groups", ", ".join(answer["groups"])),
            ("limits", ", ".join(f"{name} {number:g}" for name, number in answer["limits"].items())),
            ("state", answer["state"]),
            ("reason", answer["reason"]),
            ("one-time codes", "yes" if answer["totp"] else None),
            ("password", "set by somebody else; counts once" if answer["mustChange"] else None),
            ("provisioned", "by the directory" if answer["provisioned"] else None),
            ("barred until", answer["barredUntil"]),
        ]
    )
