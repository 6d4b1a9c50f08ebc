"""`segue connections …`."""

from __future__ import annotations

import sys
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.inputs import read_file, read_json
from segue.cli.output import fields, note, paint, print_json, print_value, say, table, tell_more
from segue.service import EXIT_FAULTED, NewConnection, ServiceError

Name = Annotated[str, Parameter(help="Name of the connection.")]
"""What workflows call it."""


def add(
    name: Name,
    /,
    *,
    openapi: Annotated[str, Parameter(help="OpenAPI document: a file, `-`, or an http address.")],
    auth: Annotated[
        str,
        Parameter(
            help="none, basic=USER,PASSWORD, bearer=TOKEN, apiKey=KEY or oauth2=ID,SECRET; each part is env:NAME,"
            " file:PATH or secret:NAME."
        ),
    ] = "none",
    base_url: Annotated[str | None, Parameter(help="Where the system is, instead of the document's server.")] = None,
    setting: Annotated[
        str | None, Parameter(help="Further settings as a JSON object, or @FILE: limits, paging, lookups, probe …")
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Add a connection. Credentials are references; none is stored."""
    settings: Any = {} if setting is None else read_json(setting, "--setting")
    if not isinstance(settings, dict):
        raise ServiceError(
            "command-refused", "--setting must be a JSON object.", remedy='For example \'{"probe": "list"}\'.'
        )
    if base_url is not None:
        settings["base_url"] = base_url
    body: dict[str, Any] = {"name": name, "auth": auth, "settings": settings}
    if openapi.startswith(("http://", "https://")):
        body["source"] = openapi
    else:
        body["document"] = read_file(openapi).decode("utf-8", "replace")

    try:
        wanted = msgspec.convert(body, NewConnection)
    except msgspec.ValidationError as error:
        raise ServiceError("connection-refused", f"{name!r}: {error}.") from None
    answer = ask(
        data,
        Request("POST", "/connections", body=body),
        lambda service: service.connections.add_from(wanted),
    )
    if json:
        print_json(answer)
    else:
        say(f"added {answer['name']}: {answer['title'] or 'untitled'}, {answer['operations']} operations")
        for warning in answer["warnings"]:
            note(f"{paint('warning', 'yellow', sys.stderr)}: {warning}")
        note(f"try it: segue connections test {answer['name']}" + ("" if data is None else f" --data {data}"))


def list_(*, limit: Limit = 50, after: After = None, data: Data = None, json: AsJson = False) -> None:
    """List connections."""
    page = ask(
        data,
        Request("GET", "/connections", {"limit": limit, "after": after}),
        lambda service: service.connections.page(limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [
        (c["name"], c["kind"], c["auth"], (c["circuit"] or {}).get("state"), c["operations"], c["owner"], c["title"])
        for c in page["items"]
    ]
    columns = ("name", "kind", "auth", "circuit", "operations", "owner", "title")
    table(columns, rows, empty="No connections: `segue connections add`.")
    tell_more(page)


def try_(name: Name, /, *, data: Data = None, json: AsJson = False) -> int:
    """Call one harmless operation. Ends with 1 where that fails."""
    found = ask(
        data,
        Request("POST", f"/connections/{quote(name, safe='')}/test"),
        lambda service: service.connections.test(name),
    )
    if json:
        print_json(found)
    else:
        verdict = paint("ok", "green") if found["reachable"] else paint("failed", "red")
        say(f"{found['name']}: {verdict}: {found['detail']}")
    return 0 if found["reachable"] else EXIT_FAULTED


def describe(
    name: Name,
    operation: Annotated[str | None, Parameter(help="Show this operation with its schemas.")] = None,
    /,
    *,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Show the operations of a connection, or one of them with its arguments and result."""
    found = ask(
        data,
        Request("GET", f"/connections/{quote(name, safe='')}"),
        lambda service: service.connections.get(name),
    )
    chosen = [o for o in found["described"] if operation in (None, o["operation"])]
    if operation is not None and not chosen:
        known = ", ".join(o["operation"] for o in found["described"][:20])
        raise ServiceError("command-refused", f"{name!r} has no operation {operation!r}.", remedy=f"It has: {known}.")
    if json:
        print_json(found if operation is None else chosen[0])
    elif operation is None:
        _show_circuit(found["circuit"])
        rows = [(o["operation"], o["method"], o["path"], o["summary"]) for o in chosen]
        table(("operation", "method", "path", "summary"), rows, empty="It has no operations.")
    else:
        fields([("operation", operation), ("request", f"{chosen[0]['method']} {chosen[0]['path']}")])
        say("\narguments")
        print_value(chosen[0]["arguments"])
        say("\nresult")
        print_value(chosen[0]["result"])


def _show_circuit(circuit: dict[str, Any] | None) -> None:
    """Since when the circuit stands as it does, and why; nothing where nothing ever failed."""
    if circuit is None or circuit["lastFailure"] is None:
        return
    fields(
        [
            ("circuit", circuit["state"]),
            ("since", circuit["since"]),
            ("last failure", f"{circuit['lastFailure']} at {circuit['lastFailureAt']}"),
            ("tried again", circuit["retryAt"]),
            ("waiting", circuit["waiting"] or None),
        ]
    )
    say()


def remove(name: Name, /, *, data: Data = None, json: AsJson = False) -> None:
    """Remove a connection. Runs that name it fail at their next call."""
    found = ask(
        data,
        Request("DELETE", f"/connections/{quote(name, safe='')}"),
        lambda service: service.connections.remove(name),
    )
    if json:
        print_json(found)
    else:
        say(f"removed {found['name']}")
