"""Passwords that somebody else set: they count once, for choosing another, and their person hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from tests.integration.api_support import FIRST, choose_own, client_of, problem
from tests.integration.test_permissions import GUARDED, ONESELF, V1, account, is_scim, send
from tests.integration.test_telling import Mailbox, mailbox  # noqa: F401 - a fixture

from segue.service import Service, Settings, open_service
from segue.service.accounts import ONE_TIME_MS

OWN = "correct horse battery"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path, Settings(), local=None) as opened:
        yield opened


@pytest.fixture
async def owner(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client


async def login(client: httpx.AsyncClient, password: str, **more: Any) -> httpx.Response:
    return await client.post(f"{V1}/login", json={"name": "ann", "password": password, **more})


def bearer(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['token']}"}


async def records(owner: httpx.AsyncClient, *actions: str) -> list[tuple[str, str, dict[str, Any]]]:
    found = (await owner.get(f"{V1}/audit", params={"limit": 200})).json()["items"]
    return [(r["action"], r["verdict"], r["data"]) for r in reversed(found) if r["action"] in actions]


async def test_such_a_sign_in_is_worth_nothing_but_choosing_a_password(owner: httpx.AsyncClient) -> None:
    """Whoever set it knows it, so nothing may be done with it under the name of its person; every route is tried."""
    await owner.post(f"{V1}/identities", json={"id": "ann", "roles": ["admin", "operator"], "password": FIRST})

    answer = await login(owner, FIRST)

    assert answer.json()["identity"]["mustChange"]
    once = bearer(answer)
    for operation in GUARDED:
        refused = await send(owner, operation, once)
        if is_scim(refused):
            assert refused.status_code == 403, operation
        elif operation not in ("makeToken", "changeIdentity", "addIdentity", "revokeToken"):
            problem(refused, 403, "password-due")
        else:
            assert refused.status_code in (403, 404), operation
    mine = {"label": "t"}
    problem(await owner.post(f"{V1}/identities/person/ann/tokens", json=mine, headers=once), 403, "password-due")
    for operation in ONESELF - {"setOwnPassword", "logout", "whoAmI"}:
        assert (await send(owner, operation, once)).status_code in (400, 401), operation
    assert (await owner.get(f"{V1}/whoami", headers=once)).json()["actions"] == []

    same = {"old": FIRST, "new": FIRST}
    problem(await owner.post(f"{V1}/me/password", json=same, headers=once), 422, "identity-refused")
    own = {"old": FIRST, "new": OWN}
    assert (await owner.post(f"{V1}/me/password", json=own, headers=once)).status_code == 200
    problem(await owner.get(f"{V1}/whoami", headers=once), 401, "token-refused")
    problem(await login(owner, FIRST), 401, "login-refused")
    free = bearer(await login(owner, OWN))
    assert (await owner.get(f"{V1}/runs", headers=free)).status_code == 200


async def test_who_set_it_who_used_it_and_who_changed_it_is_recorded(owner: httpx.AsyncClient) -> None:
    """An administrator who acts as somebody else leaves their own name at each step."""
    admin = await account(owner, "ada", "admin")
    await owner.post(f"{V1}/identities", json={"id": "ann", "roles": ["operator"], "password": FIRST})
    await choose_own(owner, "ann", OWN)
    before = bearer(await login(owner, OWN))

    changed = await owner.post(f"{V1}/identities/person/ann", json={"password": FIRST}, headers=admin)

    assert changed.json()["mustChange"]
    problem(await owner.get(f"{V1}/runs", headers=before), 401, "token-refused")
    await choose_own(owner, "ann", OWN)
    told = await records(owner, "password.set", "password.change", "login.password")
    steps = [(action, data) for action, _, data in told if data and "service:ada" in str(data)]
    setters = (await owner.get(f"{V1}/audit", params={"action": "password.set"})).json()["items"]
    assert [record["principal"] for record in setters] == ["service:ada", "person:owner"]
    assert [action for action, _ in steps] == ["password.set", "login.password", "password.change"]
    assert steps[1][1]["one_time"] is True
    assert steps[2][1] == {"instead_of": "service:ada"}


async def test_it_counts_for_three_days_and_survives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was never used would lie in a mail for ever."""
    import segue.service.sessions as sessions

    async with open_service(tmp_path, Settings(), local=None) as service, client_of(service) as owner:
        await owner.post(f"{V1}/identities", json={"id": "ann", "roles": ["viewer"], "password": FIRST})
    async with open_service(tmp_path, Settings(), local=None) as service, client_of(service) as owner:
        answer = await login(owner, FIRST)
        problem(await owner.get(f"{V1}/runs", headers=bearer(answer)), 403, "password-due")
        now = sessions.now_ms()
        monkeypatch.setattr(sessions, "now_ms", lambda: now + ONE_TIME_MS)
        problem(await login(owner, FIRST), 401, "login-refused")


async def test_one_time_codes_stay_when_a_password_is_set(owner: httpx.AsyncClient) -> None:
    """Whoever sets a password does not have the second factor by that."""
    await owner.post(f"{V1}/identities", json={"id": "ann", "password": FIRST})
    await choose_own(owner, "ann", OWN)
    mine = bearer(await login(owner, OWN))
    secret = (await owner.post(f"{V1}/me/totp", headers=mine)).json()["secret"]
    code = {"code": pyotp.TOTP(secret).now()}
    assert (await owner.post(f"{V1}/me/totp/confirm", json=code, headers=mine)).status_code == 200
    await owner.post(f"{V1}/identities/person/ann", json={"password": FIRST})

    problem(await login(owner, FIRST), 401, "login-refused")
    problem(await login(owner, FIRST, code=code["code"]), 401, "login-refused")


async def test_the_person_is_told_by_mail_of_what_was_done_to_their_password(
    tmp_path: Path,
    mailbox: tuple[Mailbox, int],  # noqa: F811
) -> None:
    """Whoever did not ask for it should hear of it from somebody else than the one who did it."""
    box, port = mailbox
    mail = {"host": "127.0.0.1", "port": port, "sender": "segue@example.com", "tls": "none"}
    async with open_service(tmp_path, Settings(mail=mail), local=None) as service, client_of(service) as owner:
        await owner.post(f"{V1}/identities", json={"id": "ann", "password": FIRST})
        await choose_own(owner, "ann", OWN)
        await owner.post(f"{V1}/people/ann", json={"email": "ann@example.com"})
        admin = await account(owner, "ada", "admin")
        await owner.post(f"{V1}/identities/person/ann", json={"password": FIRST}, headers=admin)
        await choose_own(owner, "ann", OWN)
    told_of = {str(message["subject"]): str(message.get_content()) for message in box.messages}
    assert set(told_of) == {"Somebody set your password in Segue", "Your password in Segue was changed"}
    text = told_of["Somebody set your password in Segue"]
    assert "service:ada" in text
    assert FIRST not in text
    async with open_service(tmp_path, Settings(), local=None) as service, client_of(service) as owner:
        told = [verdict for _, verdict, _ in await records(owner, "notice.account")]
        assert sorted(told) == ["sent", "sent", "unsent"]
