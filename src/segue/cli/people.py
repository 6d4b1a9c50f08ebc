"""`segue people …`."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.inputs import read_json
from segue.cli.output import print_json, say, table, tell_more

Person = Annotated[str, Parameter(help="Id of the person.")]
Said = Annotated[str, Parameter(help="The profile: JSON, @FILE or @-.")]


def list_(*, data: Data = None, json: AsJson = False) -> None:
    """List how people are reached, and which tasks reach them."""
    found = ask(data, Request("GET", "/people"), lambda service: service.profiles.list())
    if json:
        print_json(found)
        return
    rows = [
        (
            *(p["id"], p["name"], p["email"], ", ".join(sorted(p["roles"])), ", ".join(sorted(p["groups"]))),
            *(p["manager"], _away(p)),
        )
        for p in found
    ]
    table(("id", "name", "e-mail", "roles", "groups", "manager", "away"), rows, empty="No profiles.")


def set_(person: Person, /, *, profile: Said, data: Data = None, json: AsJson = False) -> None:
    """Say how somebody is reached and which tasks reach them, in place of what was said before."""
    said = read_json(profile, "--profile")
    request = Request("POST", f"/people/{quote(person, safe='')}", body=said)
    _answer(ask(data, request, lambda service: service.profiles.put(person, said)), json)


def me(*, profile: Said, data: Data = None, json: AsJson = False) -> None:
    """Say how you are reached, and when you are away; what is not named stays."""
    said = read_json(profile, "--profile")
    request = Request("POST", "/me/profile", body=said)
    _answer(ask(data, request, lambda service: service.profiles.put_own(said)), json)


def remove(person: Person, /, *, data: Data = None) -> None:
    """Forget how somebody is reached."""
    request = Request("DELETE", f"/people/{quote(person, safe='')}")
    ask(data, request, lambda service: service.profiles.remove(person))
    say(f"{person} is forgotten")


def notices(*, limit: Limit = 50, after: After = None, data: Data = None, json: AsJson = False) -> None:
    """List what you were told, newest first."""
    found = ask(
        data,
        Request("GET", "/me/notices", {"limit": limit, "after": after}),
        lambda service: service.profiles.notices(limit=limit, after=after),
    )
    if json:
        print_json(found)
        return
    rows = [(n["id"], n["kind"], _about(n), n["title"], n["sentAt"], n["readAt"]) for n in found["items"]]
    table(("id", "what", "about", "title", "at", "read"), rows, empty="No notices.")
    tell_more(found)


def _answer(found: dict[str, Any], json: bool) -> None:
    if json:
        print_json(found)
    else:
        say(f"{found['id']} is told by {', '.join(found['channels'])}")


def _away(profile: dict[str, Any]) -> str:
    absent = profile.get("absent")
    if not absent:
        return ""
    deputy = f", for them {absent['deputy']}" if absent.get("deputy") else ""
    return f"from {absent['since']} to {absent.get('until') or 'further notice'}{deputy}"


def _about(notice: dict[str, Any]) -> str:
    if notice["about"]:
        return str(notice["about"]).replace(":", " ")
    return f"task {notice['task']}" if notice["task"] else f"exception {notice['exception']}"
