"""Approvals over real sockets while the server is killed: what was approved happens once, and nothing else does."""

from __future__ import annotations

import http.server
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.integration.cli_support import serving, wait_until
from tests.integration.service_support import document
from tests.integration.test_human_tasks_killed import client

RULE = '@id("eyes") @approval("approver") forbid (principal, action == Action::"act.perform", resource);'
RUNS = 8


class Outside:
    """A server that remembers what it was asked to pay, and by which key."""

    def __init__(self) -> None:
        self.paid: list[tuple[str, bytes]] = []
        self.port = 0


@contextmanager
def paying() -> Iterator[Outside]:
    outside = Outside()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            outside.paid.append((self.path, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    outside.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield outside
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def decide(approver: httpx.Client, task: int, outcome: str) -> int:
    seen = approver.get(f"/tasks/{task}").json()["seen"] or "closed"
    body = {"outcome": outcome, "seen": seen, "comment": "so"}
    return approver.post(f"/tasks/{task}/decide", json=body).status_code


def test_approved_acts_happen_refused_ones_do_not_whenever_the_server_dies(tmp_path: Path) -> None:
    """Killed while all wait, and killed right after the last approval."""
    data = tmp_path / "data"
    with paying() as outside:
        uri = f"http://127.0.0.1:{outside.port}/payments/"
        text = document(
            "- pay: {call: http, with: {method: put, endpoint: {uri: '${ \""
            + uri
            + "\\(.n)\" }'}, body: {n: '${ .n }'}}}"
        )
        with serving(data, "--allow-loopback") as first:
            with client(data) as owner:
                owner.post("/workflows", content=text, headers={"content-type": "application/yaml"})
                owner.post("/identities", json={"kind": "person", "id": "ann", "roles": ["approver"]})
                made = owner.post("/identities/person/ann/tokens", json={"label": "test", "days": 1}).json()
                assert owner.post("/policies/eyes", json={"text": RULE, "reason": "a test"}).status_code == 200
                runs = [owner.post("/runs", json={"workflow": "demo/flow", "input": {"n": n}}) for n in range(RUNS)]
                ids = [run.json()["id"] for run in runs]
                wait_until(lambda: len(waiting(owner)) == RUNS, 30)
            first.kill()
            first.wait()
        assert outside.paid == []
        approved = set()
        with serving(data, "--allow-loopback") as second:
            with client(data, made["token"]) as ann:
                numbers = waiting(ann)
                assert len(numbers) == RUNS
                for run, number in numbers.items():
                    outcome = "approve" if len(approved) < RUNS // 2 else "refuse"
                    assert decide(ann, number, outcome) == 200
                    if outcome == "approve":
                        approved.add(str(ids.index(run)))
            second.kill()
            second.wait()
        with serving(data, "--allow-loopback"), client(data) as owner:
            wait_until(lambda: len(asked(outside)) == len(approved), 30)
            assert waiting(owner) == {}
            wait_until(lambda: states_of(owner, ids)["completed"] == len(approved), 30)
            assert states_of(owner, ids)["suspended"] == RUNS - len(approved)
        assert asked(outside) == approved


def waiting(person: httpx.Client) -> dict[str, int]:
    """Numbers of the acts that wait, by run."""
    items = person.get("/tasks", params={"kind": "approval", "limit": 200}).json()["items"]
    return {item["run"]: item["id"] for item in items}


def states_of(owner: httpx.Client, ids: list[str]) -> Counter[str]:
    return Counter(owner.get(f"/runs/{run}").json()["status"] for run in ids)


def asked(outside: Outside) -> set[str]:
    """Which payments were asked for. A request that may be repeated can come twice around a crash."""
    return {path.rpartition("/")[2] for path, _ in outside.paid}


def test_a_deadline_that_passes_around_a_kill_refuses_once_and_tells_once(tmp_path: Path) -> None:
    """Killed before the clock is through, started after it is: each reminder once, each act refused, none done."""
    data = tmp_path / "data"
    rule = RULE.replace("forbid", '@remind("PT0.5S 2") @deadline("PT3S") forbid')
    with paying() as outside:
        uri = f"http://127.0.0.1:{outside.port}/payments/1"
        text = document(f"- pay: {{call: http, with: {{method: put, endpoint: {{uri: '{uri}'}}, body: {{}}}}}}")
        with serving(data, "--allow-loopback") as first, client(data) as owner:
            owner.post("/workflows", content=text, headers={"content-type": "application/yaml"})
            owner.post("/identities", json={"kind": "person", "id": "ann", "roles": ["approver"]})
            made = owner.post("/identities/person/ann/tokens", json={"label": "test", "days": 1}).json()
            assert owner.post("/policies/eyes", json={"text": rule, "reason": "a test"}).status_code == 200
            ids = [owner.post("/runs", json={"workflow": "demo/flow"}).json()["id"] for _ in range(RUNS)]
            wait_until(lambda: len(waiting(owner)) == RUNS, 30)
            wait_until(lambda: "reminded" in changes_of(owner, 1), 30)
            first.kill()
            first.wait()
        time.sleep(3)
        with serving(data, "--allow-loopback") as second, client(data) as owner:
            wait_until(lambda: waiting(owner) == {}, 30)
            second.kill()
            second.wait()
        with serving(data, "--allow-loopback"), client(data) as owner, client(data, made["token"]) as ann:
            assert states_of(owner, ids) == Counter(suspended=RUNS)
            for number in range(1, RUNS + 1):
                assert changes_of(owner, number) == ["offered", "reminded", "reminded", "expired"]
                assert decide(ann, number, "approve") == 409
            told = ann.get("/me/notices", params={"limit": 200}).json()["items"]
            # What nobody had been told of when the act was refused is not told any more.
            offered = [n["task"] for n in told if n["kind"] == "offered"]
            assert offered
            assert len(set(offered)) == len(offered)
            reminded = Counter(n["task"] for n in told if n["kind"] == "reminded")
            assert max(reminded.values(), default=0) <= 2
            records = owner.get("/audit", params={"action": "task.expired", "limit": 100}).json()["items"]
            assert len(records) == RUNS
        assert outside.paid == []


def changes_of(owner: httpx.Client, number: int) -> list[str]:
    return [change["change"] for change in owner.get(f"/tasks/{number}").json()["changes"]]
