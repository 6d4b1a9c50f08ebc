"""The clocks go on when the server is killed: nobody is told twice, nobody is forgotten, each step has its record."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

from tests.integration.cli_support import serving, wait_until
from tests.integration.test_human_tasks_killed import client
from tests.integration.test_owning import CRM, flow

WISHES, KILLS = 4, 4
CLOCK = """
[wishes]
remind = "PT0.4S 12"
escalate = "PT2S admin"
deadline = "PT9S"
"""


def test_each_step_is_told_once_and_recorded_once(tmp_path: Path) -> None:
    """Killed four times in the middle of its reminders; the mails' rows and the chain's records must agree."""
    data, rng = tmp_path / "data", Random(7)
    data.mkdir()
    (data / "segue.toml").write_text(CLOCK)
    for round_ in range(KILLS):
        with serving(data) as server:
            if round_ == 0:
                _want(data)
            time.sleep(0.8 + rng.random())
            server.kill()
            server.wait()
    with serving(data):
        wait_until(lambda: _states(data) == {"lapsed": WISHES}, 60)
        with client(data) as owner:
            found = [r for r in _records(owner) if r["action"].startswith("wish.")]
            assert owner.post("/audit/verify", json={}).json()["sound"]
    lapsed = [r for r in found if r["action"] == "wish.lapsed"]
    assert sorted(r["resource"] for r in lapsed) == [f"consent:{n + 1}" for n in range(WISHES)]
    steps = {"asked": None, "reminded": "wish-reminded", "escalated": "wish-escalated"}
    said = Counter(
        (r["resource"], person, steps[word] or "consent")
        for r in found
        if (word := r["action"].removeprefix("wish.")) in steps
        # Who may decide for the first time is told that, and not reminded as well.
        for person in r["data"]["told"]
        if not (word == "reminded" and person == "ada" and _escalated_with(found, r))
    )
    assert _notices(data) == said
    assert all(said[f"consent:{n + 1}", "ann", "consent"] == 1 for n in range(WISHES))
    assert all(said[f"consent:{n + 1}", "ada", "wish-escalated"] == 1 for n in range(WISHES))


def _want(data: Path) -> None:
    with client(data) as owner:
        for name, role in (("ann", "viewer"), ("ada", "admin")):
            owner.post("/identities", json={"kind": "person", "id": name, "roles": [role]})
        assert owner.post("/connections", json={"name": "crm", "document": CRM}).status_code in (200, 201)
        owned = {"owner": "person:ann", "reason": "a test"}
        assert owner.post("/connections/crm/owner", json=owned).status_code == 200
        owner.post("/identities", json={"kind": "person", "id": "rita", "roles": ["publisher"]})
        made = owner.post("/identities/person/rita/tokens", json={"label": "test", "days": 1}).json()
    with client(data, made["token"]) as rita:
        for n in range(WISHES):
            answer = rita.post(
                "/workflows", content=flow("list", name=f"w{n}"), headers={"content-type": "application/yaml"}
            )
            assert answer.json()["type"].endswith("approval-needed"), answer.text


def _escalated_with(found: list[dict[str, Any]], reminder: dict[str, Any]) -> bool:
    return any(
        r["action"] == "wish.escalated" and r["resource"] == reminder["resource"] and r["at"] == reminder["at"]
        for r in found
    )


def _records(owner: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = None
    while True:
        query = {"limit": 200, **({} if after is None else {"after": after})}
        page = owner.get("/audit", params=query).json()
        found += page["items"]
        after = page.get("next")
        if not after:
            return found


def _states(data: Path) -> dict[str, int]:
    return dict(_rows(data, "SELECT state, count(*) FROM consent GROUP BY state"))


def _notices(data: Path) -> Counter[tuple[str, str, str]]:
    sql = "SELECT about, person, kind FROM notice WHERE channel = 'app' AND kind <> 'wish-lapsed'"
    return Counter(_rows(data, sql))


def _rows(data: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(data / "segue.db")) as connection:
        return connection.execute(sql).fetchall()
