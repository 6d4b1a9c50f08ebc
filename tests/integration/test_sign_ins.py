"""Sign-ins in the audit: who came and went, who was refused and barred; and nobody fills the disk with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.api_support import FIRST, choose_own, client_of, problem
from tests.integration.service_support import TOKEN

import segue.service.attempts as attempts
from segue.service import Service, Settings, backup_of_folder, open_service, restore_folder
from segue.service.attempts import INTERVAL_MS, NAMED_MAX, FailedSignIns
from segue.service.roster import SESSIONS_MAX
from segue.service.tokens import TOKENS_MAX
from segue.store.permission import CredentialRecord, list_credentials

V1 = "/api/v1"
OWN = "correct horse battery"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path, Settings(guesses_per_minute=0), local=None) as opened:
        yield opened


@pytest.fixture
async def owner(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service, Settings(guesses_per_minute=0)) as client:
        await client.post(f"{V1}/identities", json={"id": "ann", "password": FIRST})
        await choose_own(client, "ann", OWN)
        yield client


async def login(client: httpx.AsyncClient, name: str, password: str) -> httpx.Response:
    return await client.post(f"{V1}/login", json={"name": name, "password": password})


async def told(owner: httpx.AsyncClient) -> list[dict[str, Any]]:
    found = (await owner.get(f"{V1}/audit", params={"limit": 200})).json()["items"]
    wanted = ("login.password", "login.barred", "logout")
    return [record for record in reversed(found) if record["action"] in wanted][1:]


async def test_who_came_and_went_is_recorded(owner: httpx.AsyncClient) -> None:
    """With the name of the person, and how often they failed before."""
    await login(owner, "ann", "wrong")
    await login(owner, "ann", "wrong again")
    session = (await login(owner, "ann", OWN)).json()["token"]
    await owner.post(f"{V1}/logout", headers={"authorization": f"Bearer {session}"})

    failed, came, went = await told(owner)
    assert (failed["verdict"], failed["resource"], failed["principal"]) == ("deny", "person:ann", "nobody")
    assert (failed["reason"], failed["data"]) == ("a wrong password", {"count": 1})
    assert (came["verdict"], came["principal"], came["data"]) == ("allow", "person:ann", {"failures": 1})
    assert (went["action"], went["principal"]) == ("logout", "person:ann")


async def test_a_bar_is_recorded_and_what_is_typed_is_not(owner: httpx.AsyncClient) -> None:
    """People type passwords where names belong."""
    for _ in range(40):
        await login(owner, "ann", "wrong")
        await login(owner, "my-secret-password", "x")

    records = await told(owner)
    assert [(r["action"], r["resource"]) for r in records] == [
        ("login.password", "person:ann"),
        ("login.password", "person"),
        ("login.barred", "person:ann"),
    ]
    assert records[2]["data"]["failures"] == 4
    assert "my-secret" not in str(records)


async def test_strangers_cause_few_records_however_often_they_try(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record costs disk for ever; a guess costs nothing."""
    now = 1_000_000_000
    monkeypatch.setattr(attempts, "now_ms", lambda: now)
    counting = FailedSignIns(service.store, "default")
    before = len(service.store.commit.pending.audit)
    for turn in range(20_000):
        counting.failed(None)
        counting.failed(f"person-{turn % 500}")
    first = len(service.store.commit.pending.audit) - before
    assert first == NAMED_MAX + 1
    now += INTERVAL_MS
    counting.failed(None)
    records = service.store.commit.pending.audit[before:]
    assert len(records) <= 2 * (NAMED_MAX + 1) + 1
    counted = sum(record.data["count"] for record in records if record.data)
    assert counted == 40_001


async def test_counts_that_were_not_told_are_told_when_the_folder_is_closed(tmp_path: Path) -> None:
    """A restart is no way to hide a hundred guesses."""
    async with open_service(tmp_path, Settings(), local=None) as service, client_of(service) as owner:
        for _ in range(9):
            await login(owner, "nobody", "x")
    async with open_service(tmp_path, Settings(), local=None) as service, client_of(service) as owner:
        found = (await owner.get(f"{V1}/audit", params={"action": "login.password"})).json()["items"]
        assert sum(record["data"]["count"] for record in found) == 9


async def test_a_lock_is_not_undone_by_a_sign_in_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both write the person: what was decided last must be what is on disk, and in memory."""
    async with open_service(tmp_path, Settings(), local=None) as service, client_of(service) as owner:
        await owner.post(f"{V1}/identities", json={"id": "ann", "password": FIRST})
        roster, write = service.accounts._roster, service.store.write

        async def with_a_try_behind_it(statements: Any) -> None:
            monkeypatch.setattr(service.store, "write", write)
            locking = asyncio.create_task(write(list(statements)))
            await asyncio.sleep(0)
            # The lock is on its way to the disk, and somebody tries a password.
            await roster.wrong(roster.record("person", "ann"), 0)
            await locking

        monkeypatch.setattr(service.store, "write", with_a_try_behind_it)
        lock = {"state": "locked", "reason": "left"}
        assert (await owner.post(f"{V1}/identities/person/ann", json=lock)).status_code == 200
        assert roster.record("person", "ann").state == "locked"
        assert roster.record("person", "ann").failures == 1
    async with open_service(tmp_path, Settings(), local=None) as service, client_of(service) as owner:
        assert (await owner.get(f"{V1}/identities/person/ann")).json()["state"] == "locked"


async def test_the_old_password_lets_nobody_in_who_waited_for_their_turn(
    service: Service, owner: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking takes a while, and whoever tries all the time is always under way when another one is chosen."""
    session = (await login(owner, "ann", OWN)).json()["token"]
    mine = {"authorization": f"Bearer {session}"}
    passwords = service.sessions._passwords
    fits, checked, changed = passwords.fits, asyncio.Event(), asyncio.Event()

    async def first_waits(password: str, kept: str) -> bool:
        found = await fits(password, kept)
        if not checked.is_set():
            checked.set()
            await changed.wait()
        return found

    monkeypatch.setattr(passwords, "fits", first_waits)
    under_way = asyncio.create_task(login(owner, "ann", OWN))
    await checked.wait()
    wanted = {"old": OWN, "new": "another one of mine"}
    assert (await owner.post(f"{V1}/me/password", json=wanted, headers=mine)).status_code == 200
    changed.set()

    assert (await under_way).status_code == 401


async def test_a_stolen_session_guesses_the_password_five_times(owner: httpx.AsyncClient) -> None:
    """All tries that came before the fifth had failed were looked at, and the right one among them counted."""
    session = (await login(owner, "ann", OWN)).json()["token"]
    mine = {"authorization": f"Bearer {session}"}
    guesses = [*(f"a wrong guess {n}" for n in range(12)), OWN]
    answers = await asyncio.gather(
        *(
            owner.post(f"{V1}/me/password", json={"old": guess, "new": "taken over by now"}, headers=mine)
            for guess in guesses
        )
    )

    assert [a.status_code for a in answers].count(200) == 0, [a.text for a in answers]
    assert (await login(owner, "ann", "taken over by now")).status_code != 200


async def test_what_has_expired_is_forgotten(service: Service, owner: httpx.AsyncClient) -> None:
    """A program that signs in for every request would fill memory and disk, and make each start slower."""
    roster = service.accounts._roster
    for n in range(3):
        await roster.put_credential(_credential(f"old-{n}", expires_at=1))
        await roster.put_credential(_credential(f"token-{n}", kind="token", expires_at=1))
    assert (await login(owner, "ann", OWN)).status_code == 200

    kept = {c.id for c in roster.credentials()}
    on_disk = {c.id for c in await service.store.read(list_credentials)}
    assert kept == on_disk
    assert not {name for name in kept if name.startswith(("old", "token"))}


async def test_nobody_is_signed_in_without_end(service: Service, owner: httpx.AsyncClient) -> None:
    """Each session is in memory for twelve hours; of too many the oldest ends."""
    roster, far = service.accounts._roster, 2**53
    for n in range(SESSIONS_MAX + 5):
        await roster.put_credential(_credential(f"s-{n:03}", created_at=n, expires_at=far))
    assert len(roster.credentials_of("person", "ann")) == SESSIONS_MAX
    await login(owner, "ann", OWN)

    kept = sorted(c.id for c in roster.credentials_of("person", "ann"))
    assert len(kept) == SESSIONS_MAX == len(await service.store.read(list_credentials))
    assert "s-005" not in kept
    assert "s-006" in kept


async def test_nobody_has_tokens_without_end(service: Service, owner: httpx.AsyncClient) -> None:
    """One's own tokens need no leave, so there must be another bound."""
    for n in range(TOKENS_MAX):
        await service.accounts._roster.put_credential(_credential(f"t-{n}", kind="token", expires_at=2**53))
    session = (await login(owner, "ann", OWN)).json()["token"]
    mine = {"authorization": f"Bearer {session}"}
    made = await owner.post(f"{V1}/identities/person/ann/tokens", json={"label": "one more"}, headers=mine)
    problem(made, 422, "identity-refused")


def _credential(name: str, **more: Any) -> CredentialRecord:
    about = {"kind": "session", "digest": f"digest of {name}", "identity_kind": "person", "identity_id": "ann"}
    return CredentialRecord(**{"id": name, **about, **more})


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_restore_is_told_by_the_chain_that_it_is_about(tmp_path: Path, encrypted: bool) -> None:
    """What happened since the backup is gone; that it is gone must not be."""
    from segue.service import init_keys

    data, again, settings = tmp_path / "data", tmp_path / "again", Settings()
    if encrypted:
        init_keys(data, tmp_path / "kek")
        settings = Settings(key_file=str(tmp_path / "kek"))
    async with open_service(data, settings) as service:
        await service.store.write([])
    backup_of_folder(data, tmp_path / "monday.db")
    restore_folder(tmp_path / "monday.db", again)
    if encrypted:
        for key in data.glob("*keys*"):
            (again / key.name).write_bytes(key.read_bytes())

    for _ in range(2):
        async with open_service(again, settings, local=None) as service, client_of(service) as owner:
            assert owner.headers["authorization"].endswith(TOKEN)
            found = (await owner.get(f"{V1}/audit", params={"action": "backup.restore"})).json()["items"]
            (record,) = found
            assert record["resource"] == "backup:monday.db"
            assert record["data"]["sha256"]
