"""`segue policy …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit, Why
from segue.cli.inputs import fitting, read_file, read_json
from segue.cli.output import clean, fields, note, paint, print_json, say, say_document, table, tell_more
from segue.service import EXIT_COMPLETED, EXIT_FAULTED, NewPolicy, PolicyQuestion, PolicyTest, ServiceError

Name = Annotated[str, Parameter(help="Name of the policy file.")]


def list_(*, data: Data = None, json: AsJson = False) -> None:
    """List the policy files in force, and rules that contradict each other."""
    found = _all(data)
    if json:
        print_json(found)
        return
    rows = [(f["name"], f["origin"], ", ".join(f["rules"]), f["changedBy"], f["changedAt"]) for f in found["files"]]
    table(("file", "origin", "rules", "changed by", "at"), rows, empty="There are no policies: everything is denied.")
    _tell_findings(found)
    note(f"version {found['version']}")


def show(
    name: Name,
    /,
    *,
    at: Annotated[
        int | None, Parameter(help="As it was set then: a number of `segue policy history`, to go back to.")
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Print one policy file as it is in force, or as it was."""
    if at is not None:
        _show_change(_change_of(name, at, data), json)
        return
    found = next((file for file in _all(data)["files"] if file["name"] == name), None)
    if found is None:
        raise ServiceError("policy-unknown", f"There is no policy file {name!r}.")
    if json:
        print_json(found)
    else:
        say_document(found["text"].rstrip())


def _change_of(name: str, number: int, data: Path | None) -> dict[str, Any]:
    after = str(number + 1)
    page = ask(
        data,
        Request("GET", "/policies/history", {"limit": 1, "after": after}),
        lambda s: s.permissions.history(limit=1, after=after),
    )
    found: dict[str, Any] | None = next(iter(page["items"]), None)
    if found is None or (found["number"], found["name"]) != (number, name):
        raise ServiceError("policy-unknown", f"Change {number} was none of the policy file {name!r}.")
    return found


def _show_change(found: dict[str, Any], json: bool) -> None:
    if json:
        print_json(found)
    elif found["text"] is None:
        raise ServiceError("policy-unknown", f"With change {found['number']}, {found['name']!r} was taken back.")
    else:
        say_document(found["text"].rstrip())


def set_(
    name: Name,
    file: Annotated[Path, Parameter(help="Cedar rules; `-` is standard input.")],
    /,
    *,
    reason: Why,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Set a policy file; a shipped one of the same name gives way to it. It counts at once."""
    _change(name, read_file(file).decode("utf-8", "replace"), reason, data, json)


def reset(name: Name, /, *, reason: Why, data: Data = None, json: AsJson = False) -> None:
    """Go back to what ships; a file that does not ship is removed."""
    _change(name, None, reason, data, json)


def history(*, limit: Limit = 50, after: After = None, data: Data = None, json: AsJson = False) -> None:
    """Every change of a policy, newest first."""
    page = ask(
        data,
        Request("GET", "/policies/history", {"limit": limit, "after": after}),
        lambda s: s.permissions.history(limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [
        (c["number"], c["name"], "taken back" if c["text"] is None else "set", c["by"], c["at"], c["reason"])
        for c in page["items"]
    ]
    table(("number", "file", "what", "by", "at", "reason"), rows, empty="The policies are those that ship.")
    tell_more(page)


def explain(
    who: Annotated[
        str,
        Parameter(
            help="person:NAME, service:NAME, role:NAME, workflow:NAMESPACE/NAME, connection:NAME or agent:NAME."
        ),
    ],
    action: Annotated[str, Parameter(help="Such as run.start; docs/permissions.md lists them.")],
    what: Annotated[str, Parameter(help="Of what, such as sales/renewal.")] = "",
    /,
    *,
    attribute: Annotated[
        list[str] | None, Parameter(help="NAME=TEXT of the resource, such as connection=crm; may be repeated.")
    ] = None,
    context: Annotated[
        list[str] | None, Parameter(help="NAME=VALUE of the request, as JSON or text; may be repeated.")
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> int:
    """Say whether somebody may do something, and which rules decide: 0 where they may, 1 where not."""
    body = {
        "who": who if ":" in who else f"person:{who}",
        "action": action,
        "what": what,
        "attributes": dict(_pair(given) for given in attribute or ()),
        "context": {name: _value(value) for name, value in map(_pair, context or ())},
    }
    wanted = fitting(body, PolicyQuestion, problem="policy-refused")
    found = ask(data, Request("POST", "/policies/explain", body=body), lambda s: s.permissions.explain(wanted))
    if json:
        print_json(found)
    else:
        colour = "green" if found["verdict"] == "allow" else "red"
        say(f"{paint(found['verdict'], colour)}: {clean(found['reason'])}")
        fields([("roles that may", ", ".join(found["roles"])), ("policy", found["policy"])])
        for text in found["rules"].values():
            say()
            say(clean(text).rstrip())
    return EXIT_COMPLETED if found["verdict"] == "allow" else EXIT_FAULTED


def _pair(given: str) -> tuple[str, str]:
    name, mark, value = given.partition("=")
    if not mark:
        raise ServiceError("command-refused", f"{given!r} is no NAME=VALUE.", remedy="For example connection=crm.")
    return name, value


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def try_(
    cases: Annotated[str, Parameter(help="JSON list of {who, action, what, want}, or @FILE.")],
    /,
    *,
    file: Annotated[
        list[str] | None, Parameter(name="--with", help="NAME=FILE to try before it is set; may be repeated.")
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> int:
    """Try a table of cases: 0 where every answer is the one wanted, 1 otherwise."""
    files = {}
    for given in file or []:
        name, _, path = given.partition("=")
        files[name] = read_file(Path(path)).decode("utf-8", "replace")
    body: dict[str, Any] = {"cases": read_json(cases, "CASES"), "files": files}
    wanted = fitting(body, PolicyTest, problem="policy-refused")
    found = ask(data, Request("POST", "/policies/test", body=body), lambda s: s.permissions.test(wanted))
    if json:
        print_json(found)
    else:
        for case in found["cases"]:
            if not case["passed"]:
                rules = f" by {', '.join(case['rules'])}" if case["rules"] else ""
                what = f"{case['who']} {case['action']} {case['what']}".rstrip()
                say(f"{paint('wrong', 'red')}: {what}: wanted {case['want']}, got {case['got']}{rules}")
        say(f"{found['passed']} right, {found['failed']} wrong")
    return EXIT_FAULTED if found["failed"] else EXIT_COMPLETED


def _all(data: Any) -> dict[str, Any]:
    found: dict[str, Any] = ask(data, Request("GET", "/policies"), lambda service: service.permissions.show())
    return found


def _change(name: str, text: str | None, reason: str, data: Any, json: bool) -> None:
    body = {"text": text, "reason": reason}
    wanted = fitting(body, NewPolicy, problem="policy-refused")
    request = Request("POST", f"/policies/{quote(name, safe='')}", body=body)
    found = ask(data, request, lambda service: service.permissions.change(name, wanted))
    if json:
        print_json(found)
        return
    say(f"{'took back' if text is None else 'set'} {name}: version {found['version']}")
    _tell_findings(found)


def _tell_findings(found: dict[str, Any]) -> None:
    for finding in found["findings"]:
        note(f"{paint(finding['kind'], 'yellow')}: {clean(finding['message'])} ({', '.join(finding['actions'])})")
