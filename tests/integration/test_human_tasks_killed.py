"""People decide over real sockets while the server is killed: what was acknowledged counts, nothing counts twice."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import httpx
from tests.integration.cli_support import serving, wait_until
from tests.integration.service_support import document

TWO = document(
    """
    - ask:
        call: human-task
        with: {title: '${ "Task \\(.n)" }', assign: {role: approver}, approvals: 2, data: '${ .n }'}
    - done: {set: {n: '${ .data }', outcome: '${ .outcome }'}}
    """,
    name="two",
)
PEOPLE, TASKS = 4, 16


def client(data: Path, token: str | None = None) -> httpx.Client:
    server = json.loads((data / "server.json").read_text())
    headers = {"authorization": f"Bearer {token or server['token']}"}
    return httpx.Client(base_url=server["url"] + "/api/v1", headers=headers, timeout=20, verify=False)


def decide_all(data: Path, name: str, token: str, said: list[tuple[int, str, str]], stop: threading.Event) -> None:
    """One person, who decides what they see until nothing is left; a server that is gone is waited for."""
    rng = Random(name)
    while not stop.is_set():
        try:
            with client(data, token) as person:
                items = person.get("/tasks", params={"mine": True}).json()["items"]
                if not items:
                    return
                task = rng.choice(items)["id"]
                outcome = rng.choice(["approve", "approve", "reject"])
                seen = person.get(f"/tasks/{task}").json()["seen"]
                body = {"outcome": outcome, "seen": seen or "closed"}
                if person.post(f"/tasks/{task}/decide", json=body).status_code == 200:
                    said.append((task, name, outcome))
        except (httpx.HTTPError, json.JSONDecodeError, OSError, KeyError):
            stop.wait(0.1)


def test_what_was_acknowledged_counts_and_nothing_counts_twice(tmp_path: Path) -> None:
    """Four people press at once, and the process dies under their fingers."""
    data, tokens = tmp_path / "data", {}
    said: list[tuple[int, str, str]] = []
    stop = threading.Event()
    with serving(data) as first:
        with client(data) as owner:
            yaml = {"content-type": "application/yaml"}
            assert owner.post("/workflows", content=TWO, headers=yaml).status_code in (200, 201)
            for n in range(PEOPLE):
                owner.post("/identities", json={"kind": "person", "id": f"p{n}", "roles": ["approver"]})
                made = owner.post(f"/identities/person/p{n}/tokens", json={"label": "test", "days": 1}).json()
                tokens[f"p{n}"] = made["token"]
            for n in range(TASKS):
                owner.post("/runs", json={"workflow": "demo/two", "input": {"n": n}})
        arguments = [(data, name, token, said, stop) for name, token in tokens.items()]
        threads = [threading.Thread(target=decide_all, args=given) for given in arguments]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(said) > TASKS // 2, 60)
        first.kill()
        first.wait()
    with serving(data):
        wait_until(lambda: not any(thread.is_alive() for thread in threads), 90)
        stop.set()
        with client(data) as owner:
            tasks = owner.get("/tasks", params={"state": "all", "limit": 200}).json()["items"]
            assert len(tasks) == TASKS
            for task in tasks:
                _require_one_result(owner, task, said)


def _require_one_result(owner: httpx.Client, task: dict[str, Any], said: list[tuple[int, str, str]]) -> None:
    voices = [(v["by"], v["outcome"]) for v in owner.get(f"/tasks/{task['id']}").json()["decisions"]]
    acknowledged = [(name, outcome) for number, name, outcome in said if number == task["id"]]
    assert set(acknowledged) <= set(voices)
    assert max(Counter(name for name, _ in voices).values()) == 1
    outcomes = [outcome for _, outcome in voices]
    assert task["outcome"] == ("reject" if "reject" in outcomes else "approve")
    assert outcomes in (["approve", "approve"], ["reject"], ["approve", "reject"])
    run = owner.get(f"/runs/{task['run']}").json()
    assert (run["status"], run["output"]["outcome"]) == ("completed", task["outcome"])
