"""The renewal job on the stage: its connections, its documents, starting it, and what its runs say of themselves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from scripts.demo.stage import TEMPLATES, Practice, Server, StageError

THRESHOLD = 0.43
"""Where the model's card puts it: precision 0.62 and recall 0.65 on customers it has not seen."""

ACTIONS = {"crm": "task", "billing": "alert", "support": "outreach"}
CONNECTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "crm": (
        "oauth2=env:PRACTICE_CRM_CLIENT_ID,env:PRACTICE_CRM_CLIENT_SECRET",
        {
            "paging": [
                {
                    "operation": "listAccounts",
                    "kind": "cursor",
                    "items": "/items",
                    "parameter": "cursor",
                    "next": "/nextCursor",
                }
            ]
        },
    ),
    "billing": ("basic=env:PRACTICE_BILLING_USERNAME,env:PRACTICE_BILLING_PASSWORD", {}),
    "usage": ("bearer=env:PRACTICE_USAGE_TOKEN", {}),
    "support": (
        "apiKey=env:PRACTICE_SUPPORT_KEY",
        {
            "lookups": [
                {
                    "operation": "startOutreach",
                    "reference": "external_ref",
                    "find": "listOutreach",
                    "by": "external_ref",
                    "items": "/outreach",
                }
            ]
        },
    ),
}


DOCUMENTS = (TEMPLATES / "renewal-risk.yaml", TEMPLATES / "renewal-job.yaml")


def prepare(practice: Practice, server: Server, documents: Iterable[Path] = DOCUMENTS) -> Iterator[str]:
    """Add the connections and publish the documents; yields what was done, line by line."""
    for name, (auth, settings) in CONNECTIONS.items():
        address = practice.systems[name]["openapi"]
        answer = server.command(
            "connections", "add", name, "--openapi", address, "--auth", auth, "--setting", json.dumps(settings)
        )
        yield answer.strip().splitlines()[0]
    for document in documents:
        server.command("publish", str(document))
        yield f"published {document.name}"


def start_job(server: Server, days: int) -> str:
    """Start it over every customer whose contract renews within so many days; returns the id of its run."""
    today = date.fromisoformat(json.loads((server.folder.parent / "practice" / "practice.json").read_text())["today"])
    wanted = {
        "renewalBefore": str(today + timedelta(days=days)),
        "threshold": THRESHOLD,
        "freshSince": f"{today - timedelta(days=2)}T00:00:00Z",
    }
    return start_run(server, "sales/renewal-job", wanted)


def start_run(server: Server, workflow: str, given: Any) -> str:
    """Start a run at the command line; returns its id."""
    printed = server.command("runs", "start", workflow, "--input", json.dumps(given), "--json")
    return str(json.loads(printed)["id"])


def customers(server: Server, job: str) -> int | None:
    """How many customers the job found; None while it is still looking."""
    run = server.get(f"/runs/{job}")
    if run["status"] == "completed":
        return int(run["output"]["customers"])
    if run["status"] in ("faulted", "cancelled"):
        raise StageError(f"the job {job} {run['status']}: {run.get('error')}")
    return None


def runs(server: Server, job: str) -> Iterator[dict[str, Any]]:
    """Every run that the job started, with its output."""
    after = None
    while True:
        query = {"parent": job, "limit": 500, "include": "output"} | ({"after": after} if after else {})
        page = server.get("/runs", **query)
        yield from page["items"]
        after = page.get("next")
        if not after:
            return
