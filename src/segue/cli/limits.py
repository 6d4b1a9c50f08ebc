"""`segue limits`."""

from __future__ import annotations

from typing import Any

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.output import print_json, table


def list_(*, data: Data = None, json: AsJson = False) -> None:
    """List the limits on what workflows do by themselves, and how much of each is used."""
    found = ask(data, Request("GET", "/limits"), lambda service: service.limits.all())
    if json:
        print_json(found)
        return
    rows = [
        (
            limit["name"],
            ", ".join(f"{key} {name}" for key, name in limit["about"].items()) or "all acts",
            _of(limit["hour"], limit["perHour"]),
            _of(limit["day"], limit["perDay"]),
            _of(limit["sumHour"], limit["sumPerHour"]),
            _of(limit["sumDay"], limit["sumPerDay"]),
            "" if limit["amountMax"] is None else f"{limit['amountMax']:g}",
            limit["exceeded"],
        )
        for limit in found
    ]
    names = ("limit", "about", "last hour", "last 24 h", "sum of hour", "sum of 24 h", "single", "beyond")
    table(names, rows, empty="There are no limits; see `limits` in docs/settings.md.")


def _of(used: Any, most: Any) -> str:
    return f"{used:g}" if most is None else f"{used:g} of {most:g}"
