"""Attacks on the API that once worked, or nearly did. Each must stay without effect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pyotp
import pytest
from tests.integration.api_support import FIRST, YAML, choose_own, client_of, problem
from tests.integration.service_support import TOKEN

from segue.api import streams
from segue.hosts.embedded import postman
from segue.service import Service, Settings, open_service

V1 = "/api/v1"
PASSWORD = "correct horse battery"


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path, Settings(), local=None) as opened:
        yield opened


@pytest.fixture
async def owner(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client


@asynccontextmanager
async def stranger_of(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token."""
    async with client_of(service) as client:
        del client.headers["authorization"]
        yield client


async def program(owner: httpx.AsyncClient, name: str, *roles: str) -> dict[str, str]:
    """Headers of a service account with these roles."""
    added = await owner.post(f"{V1}/identities", json={"id": name, "kind": "service", "roles": list(roles)})
    assert added.status_code == 201, added.text
    made = await owner.post(f"{V1}/identities/service/{name}/tokens", json={"label": "t"})
    return {"authorization": f"Bearer {made.json()['token']}"}


async def signed_in(owner: httpx.AsyncClient, name: str, *roles: str) -> dict[str, str]:
    """Headers of a person with these roles who signed in just now."""
    added = await owner.post(f"{V1}/identities", json={"id": name, "roles": list(roles), "password": FIRST})
    assert added.status_code == 201, added.text
    await choose_own(owner, name, PASSWORD)
    session = (await owner.post(f"{V1}/login", json={"name": name, "password": PASSWORD})).json()
    return {"authorization": f"Bearer {session['token']}"}


@pytest.mark.parametrize("code", ["１２３４５６", "é", "🔑", "12 34 5", "", "000000000000"])
async def test_a_code_of_any_letters_is_a_wrong_code(owner: httpx.AsyncClient, code: str) -> None:
    """Comparing text beyond ASCII raised, and the answer was a fault of the server."""
    ann = await signed_in(owner, "ann")
    secret = (await owner.post(f"{V1}/me/totp", headers=ann)).json()["secret"]
    now = {"code": pyotp.TOTP(secret).now()}
    assert (await owner.post(f"{V1}/me/totp/confirm", json=now, headers=ann)).status_code == 200

    given = {"name": "ann", "password": PASSWORD, "code": code}
    problem(await owner.post(f"{V1}/login", json=given), 401, "login-refused")


async def test_the_bar_after_wrong_passwords_does_not_tell_who_exists(owner: httpx.AsyncClient) -> None:
    """Only names of somebody were barred once, so five tries told whether there is somebody."""
    await owner.post(f"{V1}/identities", json={"id": "ann", "password": PASSWORD})

    async def answers(name: str) -> list[tuple[int, str, bool]]:
        tries = [await owner.post(f"{V1}/login", json={"name": name, "password": "wrong"}) for _ in range(7)]
        return [(t.status_code, t.text.replace(name, "NAME"), "retry-after" in t.headers) for t in tries]

    of_ann = await answers("ann")
    assert of_ann == await answers("bob")
    assert [status for status, _, _ in of_ann] == [401] * 5 + [429] * 2
    assert of_ann[-1][2]


async def test_nobody_makes_tokens_of_other_people(owner: httpx.AsyncClient) -> None:
    """An administrator could approve under another's name, and the record would say that the other one did."""
    admin, ann = await program(owner, "boss", "admin"), await signed_in(owner, "ann", "approver")
    path, wanted = f"{V1}/identities/person/ann/tokens", {"label": "mine now"}

    problem(await owner.post(path, json=wanted, headers=admin), 422, "identity-refused")
    assert (await owner.post(path, json=wanted, headers=ann)).status_code == 201


GROWTH = {
    "by role": '@id("x") permit (principal in Role::"admin", action, resource);',
    "by name": '@id("x") permit (principal == Account::"boss", action in Action::"approve", resource);',
    "by kind": '@id("x") permit (principal is Account, action == Action::"task.decide", resource);',
    "by a condition": '@id("x") permit (principal, action, resource) when { resource.workspace == "default" };',
}


@pytest.mark.parametrize("text", GROWTH.values(), ids=GROWTH.keys())
async def test_nobody_permits_themselves_what_they_may_not(owner: httpx.AsyncClient, text: str) -> None:
    """Who writes the rules would hold every role else, and separation of duties would be a courtesy."""
    admin = await program(owner, "boss", "admin")
    wanted = {"text": text, "reason": "because"}

    problem(await owner.post(f"{V1}/policies/mine", json=wanted, headers=admin), 422, "policy-refused")
    published = await owner.post(f"{V1}/workflows", content="{}", headers={**admin, **YAML})
    problem(published, 403, "permission-denied")


@pytest.mark.parametrize("name", ["separation", "border"])
async def test_nobody_lifts_a_rule_that_binds_them(owner: httpx.AsyncClient, name: str) -> None:
    """Replacing the file that forbids to raise oneself was the first step of raising oneself."""
    admin = await program(owner, "boss", "admin")
    emptied = {"text": '@id("no-more") forbid (principal is Agent, action, resource);', "reason": "tidying up"}

    problem(await owner.post(f"{V1}/policies/{name}", json=emptied, headers=admin), 422, "policy-refused")

    raised = await owner.post(f"{V1}/identities/service/boss", json={"roles": ["publisher"]}, headers=admin)
    problem(raised, 403, "permission-denied")


async def test_an_administrator_still_decides_about_others(owner: httpx.AsyncClient) -> None:
    """A right for another role, and a rule that binds everybody: both are their work."""
    admin = await program(owner, "boss", "admin")
    for text in (
        '@id("x") permit (principal in Role::"helper", action == Action::"run.control", resource);',
        '@id("x") forbid (principal, action == Action::"run.start", resource);',
    ):
        told = await owner.post(f"{V1}/policies/more", json={"text": text, "reason": "agreed"}, headers=admin)
        assert told.status_code == 200, told.text


@pytest.mark.parametrize(
    "reference", ["env:SEGUE_KEY", "env:SEGUE_AUDIT_KEY", "env:SEGUE_TOKEN", "env:HOME", "file:data/token"]
)
async def test_a_connection_carries_no_key_of_the_server_away(owner: httpx.AsyncClient, reference: str) -> None:
    """An administrator could send the folder's own keys, as a credential, to a system of theirs, and be its owner."""
    admin = await program(owner, "boss", "admin")
    document = '{"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {}}'
    for auth in (f"bearer={reference}", f"basic=text:x, {reference}"):
        wanted = {"name": "mine", "document": document, "source": "https://mine.example/api", "auth": auth}
        problem(await owner.post(f"{V1}/connections", json=wanted, headers=admin), 422, "connection-refused")

    fine = {**wanted, "auth": "bearer=secret:crm-token"}
    assert (await owner.post(f"{V1}/connections", json=fine, headers=admin)).status_code == 201


async def test_a_stream_ends_with_the_right_to_follow_it(
    owner: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one request that lasts for weeks: whoever was locked out would go on reading."""
    monkeypatch.setattr(streams, "PING_SECONDS", 0.02)
    viewer = await program(owner, "vic", "viewer")
    following = asyncio.create_task(owner.get(f"{V1}/stream", headers=viewer))
    await asyncio.sleep(0.1)
    assert not following.done()

    locked = {"state": "locked", "reason": "left the company"}
    assert (await owner.post(f"{V1}/identities/service/vic", json=locked)).status_code == 200

    assert (await asyncio.wait_for(following, 10)).status_code == 200


async def test_types_of_events_that_are_over_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends events makes their types up, and each one stayed in memory for good."""
    monkeypatch.setattr(postman, "_TYPES_MIN", 50)
    async with open_service(tmp_path, Settings(early_events_ms=1)) as service:
        assert service.host is not None
        for n in range(6):
            await asyncio.sleep(0.005)
            about = {"specversion": "1.0", "source": "/s", "data": n}
            await service.events.send([{**about, "id": f"{n}-{m}", "type": f"t-{n}-{m}"} for m in range(40)])
            # A batch is delivered a moment after it is on disk.
            await asyncio.sleep(0.005)
        assert len(service.host._engine.postman._latest) <= 100


async def test_nobody_follows_without_end(owner: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens to each run is read anew for each stream, so a viewer with some hundreds took the server."""
    monkeypatch.setattr(streams, "PING_SECONDS", 0.02)
    viewer, other = await program(owner, "vic", "viewer"), await program(owner, "pat", "viewer")
    mine = [asyncio.create_task(owner.get(f"{V1}/stream", headers=viewer)) for _ in range(streams.STREAMS_MAX)]
    await asyncio.sleep(0.5)
    refused = await owner.get(f"{V1}/stream", headers=viewer)
    problem(refused, 429, "too-many-requests")
    assert refused.headers["retry-after"]
    theirs = asyncio.create_task(owner.get(f"{V1}/stream", headers=other))
    await asyncio.sleep(0.1)
    assert not theirs.done()

    for one in mine[5:]:
        one.cancel()
    await asyncio.gather(*mine[5:], return_exceptions=True)
    again = asyncio.create_task(owner.get(f"{V1}/stream", headers=viewer))
    await asyncio.sleep(0.1)
    assert not again.done()
    for task in (*mine, theirs, again):
        task.cancel()


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": "segue_session=; segue_session=x"},
        {"cookie": "=;;;"},
        {"authorization": "Bearer " + "x" * 20_000},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer  "},
        {"x-forwarded-for": "127.0.0.1", "x-original-url": "/api/v1/health", "x-http-method-override": "GET"},
    ],
)
async def test_no_header_stands_in_for_a_token(service: Service, headers: dict[str, str]) -> None:
    """What proxies and frameworks believe elsewhere is nothing here."""
    async with stranger_of(service) as stranger:
        problem(await stranger.get(f"{V1}/runs", headers=headers), 401, "token-refused")


async def test_a_token_in_the_query_is_no_token(service: Service) -> None:
    """Addresses stand in logs and histories."""
    async with stranger_of(service) as stranger:
        for name in ("token", "access_token", "api_key"):
            problem(await stranger.get(f"{V1}/runs", params={name: TOKEN}), 401, "token-refused")


async def test_a_page_elsewhere_signs_nobody_in(service: Service) -> None:
    """A form can send text and forms without being asked; a session must not be planted with them, or taken over."""
    async with client_of(service) as client, stranger_of(service) as browser:
        for media in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            sent = await browser.post(f"{V1}/login", content=b"{}", headers={"content-type": media})
            problem(sent, 415, "media-type-refused")
        await client.post(f"{V1}/identities", json={"id": "ann", "password": FIRST})
        await choose_own(client, "ann", PASSWORD)
        browser.cookies.set("segue_session", "ss_planted")
        session = await browser.post(f"{V1}/login", json={"name": "ann", "password": PASSWORD})
        assert session.json()["token"] != "ss_planted"
        assert "access-control-allow-origin" not in session.headers


@pytest.mark.parametrize(
    "name", ["../x", "/etc/cron.d/x", "..", "a/../../x", "a\x00b", ".hidden", "a\nb", "%2e%2e%2fx", "C:\\x"]
)
async def test_a_backup_is_written_in_its_folder_and_nowhere_else(owner: httpx.AsyncClient, name: str) -> None:
    """Its name comes over the network."""
    problem(await owner.post(f"{V1}/backups", json={"name": name}), 409, "backup-refused")


DEEP = 100_000
BOMBS = {
    "aliases": "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "nesting in flow": "[" * DEEP,
    "nesting by indentation": "\n".join(" " * n + "a:" for n in range(1500)),
    "an object": "!!python/object/apply:os.system ['true']",
    "a recursive alias": "a: &a [*a]",
    "a number": "a: " + "9" * 200_000,
}


@pytest.mark.parametrize("route", ["workflows", "validate"])
@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
async def test_a_small_document_cannot_become_large_work(owner: httpx.AsyncClient, text: str, route: str) -> None:
    """A thousand million values from one kilobyte of aliases, or a stack as deep as the text is long."""
    async with asyncio.timeout(10):
        answer = await owner.post(f"{V1}/{route}", content=text, headers={"content-type": "application/yaml"})

    assert answer.status_code in (200, 400, 413, 422), answer.text[:300]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("route", ["runs", "events", "connections", "identities", "policies/x", "login", "backups"])
@pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, '"\\ud800"', "1e999999", "9" * 10_000, "\x00", "NaN"])
async def test_no_json_breaks_a_route(owner: httpx.AsyncClient, route: str, text: str) -> None:
    """Each reads what strangers send."""
    answer = await owner.post(f"{V1}/{route}", content=text, headers={"content-type": "application/json"})

    assert 400 <= answer.status_code < 500, answer.text[:300]
