"""kill -9 while identities are written: everything that was asked for happened, or nothing of it."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from tests.integration.cli_support import serving

MEMBERS, KILLS = 200, 3
SETTINGS = """
requests_per_minute = 0
guesses_per_minute = 0
[oidc]
issuer = "https://login.example.com"
client_id = "segue"
[oidc.roles]
"Operations" = ["operator"]
"""


def client(data: Path, prefix: str = "/api/v1", token: str | None = None) -> httpx.Client:
    server = json.loads((data / "server.json").read_text())
    headers = {"authorization": f"Bearer {token or server['token']}"}
    return httpx.Client(base_url=server["url"] + prefix, headers=headers, timeout=20)


def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    (data / "segue.toml").write_text(SETTINGS)
    return data


def until_killed(data: Path, check: Callable[[], None], step: Callable[[int], None], rng: Random) -> None:
    """Let a server be killed in the middle of step after step, again and again; each start is checked first."""
    for _ in range(KILLS):
        with serving(data) as server:
            check()
            stop, begun = threading.Event(), threading.Event()
            thread = threading.Thread(target=_go_on, args=(step, stop, begun))
            thread.start()
            assert begun.wait(60)
            time.sleep(rng.uniform(0.1, 1.0))
            server.kill()
            server.wait()
            stop.set()
            thread.join(30)
            assert not thread.is_alive()
    with serving(data):
        check()


def _go_on(step: Callable[[int], None], stop: threading.Event, begun: threading.Event) -> None:
    number = 0
    while not stop.is_set():
        try:
            step(number)
        except (httpx.HTTPError, OSError):
            return
        begun.set()
        number += 1


@pytest.mark.full
def test_a_group_of_two_hundred_changes_as_a_whole(tmp_path: Path) -> None:
    """Half a team with rights is a team that nobody decided about."""
    data = folder(tmp_path)
    with serving(data), client(data, "/scim/v2") as scim:
        names = [scim.post("/Users", json={"userName": f"p{number}"}).json()["id"] for number in range(MEMBERS)]
        group = scim.post("/Groups", json={"displayName": "Operations"}).json()["id"]
    everybody = [{"value": name} for name in names]
    # What was acknowledged last, and what was asked for last.
    said, asked, acknowledged = 0, 0, 0

    def step(number: int) -> None:
        nonlocal said, asked, acknowledged
        full = number % 2 == 0
        operation: dict[str, Any] = {"op": "Add" if full else "Remove", "path": "members", "value": everybody}
        asked = MEMBERS if full else 0
        with client(data, "/scim/v2") as scim:
            answer = scim.patch(f"/Groups/{group}", json={"Operations": [operation]})
        assert answer.status_code == 200, answer.text
        said, acknowledged = asked, acknowledged + 1

    def check() -> None:
        nonlocal said, asked
        with client(data, "/scim/v2") as scim, client(data) as owner:
            members = scim.get(f"/Groups/{group}").json().get("members", [])
            first = owner.get("/identities", params={"limit": 200}).json()
            rest = owner.get("/identities", params={"limit": 200, "after": first["next"] or "z"}).json()
        assert len(members) in {said, asked}
        said = asked = len(members)
        roles = [person["roles"] for person in (*first["items"], *rest["items"]) if person["provisioned"]]
        assert roles == [["operator"] if members else []] * MEMBERS

    until_killed(data, check, step, Random("groups"))
    assert acknowledged >= KILLS


@pytest.mark.full
def test_a_password_is_the_old_one_or_the_new_one_and_the_sessions_fit_it(tmp_path: Path) -> None:
    """A new password with old sessions is a thief who stays."""
    data = folder(tmp_path)
    own = "password number {}"
    with serving(data), client(data) as owner:
        owner.post("/identities", json={"id": "ann", "roles": ["viewer"], "password": own.format(0)})
    said, asked = 0, 0
    tokens: dict[int, str] = {}

    def login(http: httpx.Client, number: int) -> str | None:
        answer = http.post("/login", json={"name": "ann", "password": own.format(number)})
        return str(answer.json()["token"]) if answer.status_code == 200 else None

    def step(_: int) -> None:
        nonlocal said, asked
        with client(data) as http:
            session = login(http, said)
            assert session is not None
            tokens[said] = session
            asked = said + 1
            wanted = {"old": own.format(said), "new": own.format(asked)}
            headers = {"authorization": f"Bearer {session}"}
            assert http.post("/me/password", json=wanted, headers=headers).status_code == 200
            said = asked

    def check() -> None:
        nonlocal said, asked
        with client(data) as http:
            counts = [number for number in sorted({said, asked}) if login(http, number) is not None]
            assert len(counts) == 1, (said, asked)
            said = asked = counts[0]
            for number, token in tokens.items():
                status = http.get("/whoami", headers={"authorization": f"Bearer {token}"}).status_code
                assert status == (200 if number == said else 401), (number, said)

    until_killed(data, check, step, Random("passwords"))
    assert said >= KILLS
    with closing(sqlite3.connect(data / "segue.db")) as file:
        (kept,) = file.execute("SELECT data FROM identity WHERE data LIKE '%argon2%'").fetchone()
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in kept, "no server hashes for less"


@pytest.mark.full
def test_a_token_that_was_shown_counts(tmp_path: Path) -> None:
    """It is shown once: one that does not count after all locks a program out."""
    data = folder(tmp_path)
    with serving(data), client(data) as owner:
        owner.post("/identities", json={"id": "ci", "kind": "service", "roles": ["viewer"]})
    shown: list[str] = []

    def step(_: int) -> None:
        with client(data) as owner:
            answer = owner.post("/identities/service/ci/tokens", json={"label": "t"})
        assert answer.status_code == 201
        shown.append(answer.json()["token"])

    def check() -> None:
        with client(data) as owner:
            for token in shown:
                assert owner.get("/runs", headers={"authorization": f"Bearer {token}"}).status_code == 200
            listed = len(owner.get("/identities/service/ci/tokens").json())
        assert len(shown) <= listed <= len(shown) + KILLS

    until_killed(data, check, step, Random("tokens"))
    assert len(shown) >= KILLS
