"""`segue models list`."""

from __future__ import annotations

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.output import print_json, table


def list_(*, data: Data = None, json: AsJson = False) -> None:
    """List the models that documents can name."""
    found = ask(data, Request("GET", "/models"), lambda service: service.models.all())
    if json:
        print_json(found)
        return
    rows = [
        (m["name"], m["version"], m["kind"], m["owner"], m["risk"], ", ".join(m["useCases"]), ", ".join(m["usedBy"]))
        for m in found
    ]
    names = ("model", "version", "kind", "owner", "risk", "for", "asked by")
    table(names, rows, empty="No models are registered.")
