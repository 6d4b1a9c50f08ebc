"""`segue workflows …`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.output import fields, print_json, say_document, table, tell_more
from segue.service import parse_workflow


def list_(
    *,
    namespace: Annotated[str | None, Parameter(help="Only this namespace.")] = None,
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List the latest version of every workflow."""
    query = {"namespace": namespace, "limit": limit, "after": after}
    page = ask(
        data,
        Request("GET", "/workflows", query),
        lambda service: service.workflows.page(namespace=namespace, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    rows = [(f"{w['namespace']}/{w['name']}", w["version"], w["publishedAt"], w["title"]) for w in page["items"]]
    table(("workflow", "version", "published", "title"), rows, empty="Nothing is published: `segue publish FILE`.")
    tell_more(page)


def show(
    workflow: Annotated[str, Parameter(help="namespace/name or namespace/name:version.")],
    /,
    *,
    source: Annotated[bool, Parameter(negative="", help="Print the document as it was published.")] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Show one workflow: its versions, what it needs, and its document."""
    name, _, version = workflow.partition(":")
    namespace, name = parse_workflow(name)
    version = version or "latest"
    path = f"/workflows/{quote(namespace)}/{quote(name)}/versions"
    found = ask(
        data,
        Request("GET", f"{path}/{quote(version, safe='')}"),
        lambda service: service.workflows.get(namespace, name, version),
    )
    if json:
        print_json(found)
        return
    if source:
        say_document(found["source"].rstrip("\n"))
        return
    versions = ask(data, Request("GET", path), lambda service: service.workflows.versions(namespace, name))
    fields(
        [
            ("workflow", f"{found['namespace']}/{found['name']}"),
            ("version", found["version"] + (" (latest)" if found["latest"] else "")),
            ("title", found["title"]),
            ("digest", found["digest"]),
            ("published", found["publishedAt"]),
            ("scheduled", "yes" if found["scheduled"] else "no"),
            ("requires", ", ".join(found["requires"])),
            ("pinned", ", ".join(f"{k}:{v}" for k, v in found["pinned"].items())),
            ("versions", ", ".join(v["version"] for v in versions["items"])),
        ]
    )


def leaving(
    workflow: Annotated[str, Parameter(help="namespace/name or namespace/name:version.")],
    /,
    *,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Tell what each act of a workflow can send out, and where that comes from."""
    name, _, version = workflow.partition(":")
    namespace, name = parse_workflow(name)
    version = version or "latest"
    path = f"/workflows/{quote(namespace)}/{quote(name)}/versions/{quote(version, safe='')}/leaving"
    acts = ask(data, Request("GET", path), lambda service: service.workflows.leaving(namespace, name, version))
    if json:
        print_json(acts)
        return
    rows = []
    for act in acts:
        target = "/".join(part for part in (act["connection"], act["operation"]) if part) or act["handler"]
        for argument in act["arguments"]:
            labels = [*argument["classes"], *(["untrusted"] if argument["untrusted"] else [])]
            rows.append((act["task"], target, argument["argument"], argument["origin"], ", ".join(labels)))
    table(
        ("task", "sends to", "argument", "from", "labels"),
        rows,
        empty="Nothing that carries labels leaves this workflow.",
    )
