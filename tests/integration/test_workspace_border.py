"""The border between workspaces of one server: every route, with everything that counts on the other side."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from tests.integration.api_support import FIRST, SCIM, YAML, choose_own, problem, scim_error
from tests.integration.service_support import document
from tests.integration.test_permissions import (
    DOCUMENT,
    OPEN,
    OPERATIONS,
    PLACES,
    account,
    body_of,
    smallest,
)
from tests.integration.workspaces_support import FRONT_TOKEN, Several, several

from segue.api.guard import COOKIE
from segue.people import hash_code
from segue.service.sso import challenge_of
from segue.store import notices
from segue.types import TaskFailure

V1 = "/api/v1"
# Names and ids on the north side hold the one, everything else of it the other.
NAMED, HELD = "zephyrine", "quartzite"
CODE = "a-code-of-the-north-that-nobody-guesses"
OWN = f"a password with {HELD}"
ASKS = document(
    f"- ask: {{call: human-task, with: {{title: 'About {HELD}', assign: {{person: {NAMED}}}, data: {{x: {HELD}}}}}}}",
    name=f"asks-{NAMED}",
)
FAILS = document(
    f"- fail: {{call: http, with: {{method: post, endpoint: 'http://127.0.0.1/{HELD}', body: {HELD}}}}}",
    name=f"fails-{NAMED}",
)
SYSTEM = (
    f'{{"openapi": "3.1.0", "info": {{"title": "{HELD}", "version": "1"}}, "paths": {{}},'
    ' "servers": [{"url": "https://crm.example"}]}'
)
RULE = f'@id("{NAMED}")\nforbid(principal, action == Action::"run.start", resource == Workflow::"{HELD}/x");'
# On the south side these make or mark something of its own, whoever else has something of that name elsewhere.
MAKES_ITS_OWN = {"putPerson", "allowSecret", "readNotice"}
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
RENAMED = [{"op": "replace", "path": "displayName", "value": "Bob"}]
EVERY = sorted(OPERATIONS)
GUARDED = sorted(set(OPERATIONS) - OPEN | {"getHealth", "getReady"})


def ok(answer: httpx.Response) -> Any:
    """Assert that it was done, and return what was answered."""
    assert answer.is_success, answer.text
    return answer.json()


async def first_exception(owner: httpx.AsyncClient) -> dict[str, Any]:
    """The failure that waits for a decision, once it does."""
    async with asyncio.timeout(10):
        while not (found := ok(await owner.get(f"{V1}/exceptions"))["items"]):  # noqa: ASYNC110 - asked over HTTP
            await asyncio.sleep(0.01)
    exception: dict[str, Any] = found[0]
    return exception


class North:
    """Everything that a workspace can hold, and everything that counts in it."""

    def __init__(self) -> None:
        self.credentials: dict[str, dict[str, str]] = {}
        self.ids: dict[str, str] = {}

    async def fill(self, served: Several) -> None:
        async with served.client("north") as owner:
            for text in (ASKS, FAILS):
                ok(await owner.post(f"{V1}/workflows", content=text, headers=YAML))
            started = {"workflow": f"demo/asks-{NAMED}", "input": {"held": HELD}}
            run = (ok(await owner.post(f"{V1}/runs", json=started)))["id"]
            ok(await owner.post(f"{V1}/runs", json={"workflow": f"demo/fails-{NAMED}"}))
            ok(await owner.post(f"{V1}/connections", json={"name": NAMED, "document": SYSTEM}))
            ok(await owner.post(f"{V1}/policies/{NAMED}", json={"text": RULE, "reason": HELD}))
            ok(await owner.post(f"{V1}/people/{NAMED}", json={"email": f"{HELD}@example.com"}))
            stop = {"kind": "connection", "name": NAMED, "reason": HELD}
            ok(await owner.post(f"{V1}/switches/stop", json=stop))
            ok(await owner.post(f"{V1}/backups", json={"name": f"{NAMED}.db"}))
            admin = await account(owner, f"{NAMED}-admin", "admin", "operator", "publisher", "approver", "auditor")
            scim = await account(owner, f"{NAMED}-scim", "provisioner", scopes=["provision"])
            added = {"id": NAMED, "kind": "person", "roles": ["admin"], "display": HELD, "password": FIRST}
            ok(await owner.post(f"{V1}/identities", json=added))
            task = (ok(await owner.get(f"{V1}/tasks")))["items"][0]["id"]
            exception = await first_exception(owner)
            token = (ok(await owner.get(f"{V1}/identities/service/{NAMED}-admin/tokens")))[0]["id"]
        async with served.client("north", scim) as directory:
            user = {"userName": f"{NAMED}-provisioned", "displayName": HELD}
            provisioned = (ok(await directory.post("/scim/v2/Users", json=user)))["id"]
            ok(await directory.post("/scim/v2/Groups", json={"displayName": f"{NAMED}-group"}))
        async with served.client("north", {}) as browser:
            await choose_own(browser, NAMED, OWN)
            browser.cookies.clear()
            session = ok(await browser.post(f"{V1}/login", json={"name": NAMED, "password": OWN}))
        self.credentials = {
            "the token of the holder of the folder": {"authorization": f"Bearer {served.token('north')}"},
            "the token of an administrator": admin,
            "the token of a directory": scim,
            "a session": {"authorization": f"Bearer {session['token']}"},
            "the cookie of a session": {"cookie": f"{COOKIE}={session['token']}", "x-csrf-token": session["csrf"]},
            "the token of the server": {"authorization": f"Bearer {FRONT_TOKEN}"},
            "a one-time code": {"authorization": f"Bearer {CODE}"},
        }
        self.ids = {
            "run": run,
            "task": str(task),
            "exception": str(exception["id"]),
            "group": "0" * 16,
            "token": token,
            "connection": NAMED,
            "identity": NAMED,
            "person": NAMED,
            "policy": NAMED,
            "secret": NAMED,
            "resource": provisioned,
            "namespace": "demo",
            "name": f"asks-{NAMED}",
            "version": "1.0.0",
            "record": "7",
            "effect": "1",
            "notice": "1",
            "publication": "1",
            "adjustment": "1",
            "consent": "1",
        }


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Several]:
    async with several(tmp_path / "all", "north", "south") as opened:
        yield opened


async def send(
    client: httpx.AsyncClient,
    operation: str,
    ids: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Ask a route, with these ids in its path and a body that it reads."""
    method, path = OPERATIONS[operation]
    places = {name: (ids or {}).get(name, value) for name, value in PLACES[operation].items()}
    path = re.sub(r"\{(\w+)\}", lambda part: places[part[1]], path)
    given = dict(headers or {})
    if operation in ("publishWorkflow", "validateWorkflow", "testWorkflow"):
        return await client.request(method, path, content=document(), headers={**given, **YAML})
    if operation == "sendEvents":
        given["content-type"] = "application/cloudevents+json"
    described = DOCUMENT["paths"][OPERATIONS[operation][1]][method.lower()]
    asked = [one for one in described.get("parameters", ()) if one["in"] == "query" and one.get("required")]
    query = {one["name"]: smallest(one["schema"]) for one in asked}
    return await client.request(method, path, params=query, json=body_of(operation), headers=given)


def everything_in(folder: Path) -> list[str]:
    """The whole content of a data file, but for how far it has come."""
    with closing(sqlite3.connect(folder / "segue.db")) as connection:
        return [line for line in connection.iterdump() if not line.startswith('INSERT INTO "meta"')]


async def test_nothing_that_counts_in_one_workspace_counts_in_another(served: Several) -> None:
    """Every route with every kind of credential of the other side: nobody, nothing told, nothing changed."""
    north = North()
    await north.fill(served)
    before = everything_in(served.folder / "south")

    for headers in north.credentials.values():
        async with served.client("south", headers) as there:
            for operation in GUARDED:
                answer = await send(there, operation, north.ids)
                if OPERATIONS[operation][1].startswith(SCIM):
                    scim_error(answer, 401)
                else:
                    problem(answer, 401, "token-refused")
                assert HELD not in answer.text

    assert everything_in(served.folder / "south") == before


async def test_each_credential_of_the_border_test_counts_on_its_own_side(served: Several) -> None:
    """Otherwise that test would pass for credentials that are worth nothing anywhere."""
    north = North()
    await north.fill(served)
    worth = {}
    for name, headers in north.credentials.items():
        async with served.client("north", headers) as here:
            worth[name] = (await here.get(f"{V1}/whoami")).status_code
    async with served.front() as front:
        assert (await front.get(f"{V1}/workspaces")).status_code == 200

    assert {name for name, status in worth.items() if status != 200} == {"the token of the server", "a one-time code"}


async def test_ids_of_one_workspace_are_nothing_in_another(served: Several) -> None:
    """Also to whoever may do everything there: what is not in their folder is not there."""
    north = North()
    await north.fill(served)
    wrong = []
    async with served.client("south") as owner:
        for operation in GUARDED:
            if not PLACES[operation] or operation in MAKES_ITS_OWN:
                continue
            # An empty folder has the records of its opening, and what comes with every release.
            if operation in ("getAuditRecord", "reviewControl", "scimResourceType", "scimSchema"):
                continue
            answer = await send(owner, operation, north.ids)
            if answer.status_code not in (404, 409, 422):
                wrong.append(f"{operation}: {answer.status_code} {answer.text[:200]}")
            assert HELD not in answer.text, operation

    assert not wrong, "\n".join(wrong)


async def test_no_answer_of_one_workspace_holds_anything_of_another(served: Several) -> None:
    """Whatever is listed, described, reported or exported there; with the same process below both."""
    async with served.client("south") as owner:
        ok(await owner.post(f"{V1}/workflows", content=document(), headers=YAML))
    north = North()
    await north.fill(served)
    async with served.client("south") as owner:
        for operation in EVERY:
            if operation == "streamAll":
                continue  # It has no end; what it follows is the feed of one host.
            if OPERATIONS[operation][0] == "GET" and not PLACES[operation]:
                answer = await send(owner, operation)
                told = answer.text + str(answer.headers)
                assert NAMED not in told, operation
                assert HELD not in told, operation
        whole = ok(await owner.post(f"{V1}/audit/verify", json={}))
        assert whole["problems"] == []
    for name in ("segue.db", "segue.db-wal", "audit.checkpoints"):
        path = served.folder / "south" / name
        if path.exists():
            assert HELD.encode() not in path.read_bytes()
            assert NAMED.encode() not in path.read_bytes()


async def test_a_name_that_nobody_has_answers_as_one_that_somebody_has(served: Several) -> None:
    """Which workspaces there are is itself something to know."""

    async def told(name: str, operation: str, headers: dict[str, str]) -> tuple[int, str, dict[str, str]]:
        async with served.client(name, headers) as stranger:
            answer = await send(stranger, operation)
        return answer.status_code, answer.text.replace(name, "NAME"), dict(answer.headers)

    for operation in EVERY:
        for headers in ({}, {"authorization": "Bearer sg_guessed"}, {"host": "elsewhere.example"}):
            for other in ("nowhere", "north-1"):
                known = await told("north", operation, headers)
                strange = await told(other, operation, headers)
                # Its length is that of the name.
                for answer in (known, strange):
                    answer[2].pop("content-length", None)
                assert known == strange, operation


async def test_wrong_passwords_bar_a_name_alike_where_there_is_a_workspace_and_where_there_is_none(
    served: Several,
) -> None:
    """Six guesses would otherwise tell; and a bar in one place must not be one in the next."""
    tried: dict[str, list[int]] = {}
    for name in ("north", "nowhere", "elsewhere"):
        async with served.client(name, {}) as stranger:
            body = {"name": "whoever", "password": "wrong and long enough"}
            tried[name] = [(await stranger.post(f"{V1}/login", json=body)).status_code for _ in range(6)]

    assert tried["north"] == [401, 401, 401, 401, 401, 429]
    assert tried["nowhere"] == tried["elsewhere"] == tried["north"]


async def test_a_password_and_a_one_time_code_open_one_workspace_only(served: Several) -> None:
    """The same name with another password may be somebody else elsewhere."""
    north = North()
    await north.fill(served)
    service = served.workspaces.service("north")
    assert service is not None
    task = int(north.ids["task"])
    now = service.host.now_ms() if service.host is not None else 0
    await service.store.write([notices.put_code(hash_code(CODE), task, NAMED, now, now + 60_000)])

    async with served.client("south", {}) as there:
        body = {"name": NAMED, "password": OWN}
        problem(await there.post(f"{V1}/login", json=body), 401, "login-refused")
        problem(await there.get(f"{V1}/task-code", params={"code": CODE}), 403, "code-refused")
        said = {"code": CODE, "outcome": "approve", "seen": "x"}
        problem(await there.post(f"{V1}/task-code", json=said), 403, "code-refused")
    async with served.client("north", {}) as here:
        page = ok(await here.get(f"{V1}/task-code", params={"code": CODE}))
        assert page["title"] == f"About {HELD}"


class Provider:
    """A provider that both workspaces use, which lets everybody in as the same person: the best case for a thief."""

    issuer = "https://login.example"

    async def authorization_url(self, asked: dict[str, str]) -> str:
        return f"{self.issuer}/?{urlencode(asked)}"

    async def exchange(self, code: str, **_: Any) -> dict[str, str]:
        return {"id_token": code}

    async def claims(self, id_token: str, **_: Any) -> dict[str, Any]:
        return {"sub": "1", "preferred_username": NAMED, "groups": []}


async def test_a_sign_in_of_one_workspace_is_not_finished_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same provider and client: neither what the browser holds, nor what a command line was given."""
    monkeypatch.setattr("segue.connectors.OpenIdProvider", lambda *_: Provider(), raising=False)
    oidc = {"issuer": Provider.issuer, "client_id": "segue"}
    verifier = "v" * 43
    async with several(tmp_path / "all", "north", "south", flags={"oidc": oidc}) as served:

        async def began(**asked: str) -> tuple[str, dict[str, str]]:
            async with served.client("north", {}) as browser:
                answer = await browser.get(f"{V1}/login/oidc", params=asked)
                assert answer.status_code == 303, answer.text
                assert "Path=/w/north/api/v1/login/oidc" in answer.headers["set-cookie"]
                sent = parse_qs(urlsplit(answer.headers["location"]).query)
                assert sent["redirect_uri"] == ["http://127.0.0.1:8420/w/north/api/v1/login/oidc/callback"]
                cookie = answer.headers["set-cookie"].partition(";")[0]
                return cookie, {"state": sent["state"][0], "code": "c"}

        cookie, given = await began()
        async with served.client("south", {"cookie": cookie}) as there:
            problem(await there.get(f"{V1}/login/oidc/callback", params=given), 401, "sso-refused")
        async with served.client("north", {"cookie": cookie}) as here:
            session = ok(await here.get(f"{V1}/login/oidc/callback", params=given))
        async with served.client("south", {"authorization": f"Bearer {session['token']}"}) as there:
            problem(await there.get(f"{V1}/whoami"), 401, "token-refused")

        cookie, given = await began(port="50000", challenge=challenge_of(verifier), mark="m")
        async with served.client("north", {"cookie": cookie}) as here:
            ended = await here.get(f"{V1}/login/oidc/callback", params=given)
            code = parse_qs(urlsplit(ended.headers["location"]).query)["code"][0]
        body = {"code": code, "verifier": verifier}
        async with served.client("south", {}) as there:
            problem(await there.post(f"{V1}/login/oidc/session", json=body), 401, "sso-refused")
        async with served.client("north", {}) as here:
            assert ok(await here.post(f"{V1}/login/oidc/session", json=body))["identity"]["id"] == NAMED


async def test_a_secret_in_the_environment_is_for_one_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process has one environment; a document of one team must not name its way to what is another's."""
    for variable in ("SEGUE_SECRET_NORTH__CRM", "SEGUE_SECRET_CRM", "SEGUE_SECRET_NORTH_EU__CRM"):
        monkeypatch.setenv(variable, f"{HELD} of {variable}")
    async with several(tmp_path / "all", "north", "north-eu", "south") as served:
        found = {}
        for name in ("north", "north-eu", "south"):
            service = served.workspaces.service(name)
            assert service is not None
            for secret in ("crm", "north__crm", "eu__crm", "NORTH__CRM", "_crm", "north-eu--crm"):
                try:
                    found[name, secret] = await service.sso._secrets.read(secret)
                except TaskFailure:
                    continue

    assert found == {
        ("north", "crm"): f"{HELD} of SEGUE_SECRET_NORTH__CRM",
        ("north-eu", "crm"): f"{HELD} of SEGUE_SECRET_NORTH_EU__CRM",
    }


async def test_the_same_key_starts_different_runs_in_two_workspaces(tmp_path: Path) -> None:
    """Keys of effects follow from it: a system that both speak to would take the act of one for that of the other."""
    key = {"idempotency-key": "order-7"}
    async with several(tmp_path / "all", "north", "south", "default") as served:
        ids = {}
        for name in ("north", "south", "default"):
            async with served.client(name) as owner:
                ok(await owner.post(f"{V1}/workflows", content=document(), headers=YAML))
                first = await owner.post(f"{V1}/runs", json={"workflow": "demo/flow"}, headers=key)
                again = await owner.post(f"{V1}/runs", json={"workflow": "demo/flow"}, headers=key)
                assert (first.status_code, again.status_code) == (201, 200)
                assert first.json()["id"] == again.json()["id"]
                ids[name] = first.json()["id"]
    assert len(set(ids.values())) == 3

    # What a release before started is found again, and starts nothing twice.
    async with several(tmp_path / "all") as served, served.client("north") as owner:
        service = served.workspaces.service("north")
        assert service is not None
        assert service.host is not None
        (workflow,) = ok(await owner.get(f"{V1}/workflows"))["items"]
        await service.host.begin(
            workflow["digest"], {"n": 1}, run_id="k-" + blake2b(b"old", digest_size=15).hexdigest()
        )
        body = {"workflow": "demo/flow", "input": {"n": 1}}
        found = await owner.post(f"{V1}/runs", json=body, headers={"idempotency-key": "old"})
        assert (found.status_code, found.json()["id"]) == (200, "k-" + blake2b(b"old", digest_size=15).hexdigest())


async def test_a_browser_sends_the_session_of_one_workspace_to_that_one_only(served: Several) -> None:
    """The cookie says so; a browser that is signed in to both has two."""
    north = North()
    await north.fill(served)
    async with served.client("north", {}) as browser:
        answer = await browser.post(f"{V1}/login", json={"name": NAMED, "password": OWN})
        assert "Path=/w/north/;" in answer.headers["set-cookie"] + ";"
        assert (await browser.get(f"{V1}/whoami")).status_code == 200
        for other in ("south", "north-1", "nort", "northern"):
            away = await browser.get(str(browser.base_url).replace("/w/north", f"/w/{other}") + "api/v1/whoami")
            assert away.status_code == 401
            assert "cookie" not in away.request.headers
        out = {"x-csrf-token": answer.json()["csrf"]}
        ended = await browser.post(f"{V1}/logout", headers=out)
        assert "Path=/w/north/" in ended.headers["set-cookie"]
        assert (await browser.get(f"{V1}/whoami")).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        *("/w/south/../north/api/v1/runs", "/w/south/%2e%2e/north/api/v1/runs", "/w/south%2F..%2Fnorth/api/v1/runs"),
        *("/w//north/api/v1/runs", "//w/north/api/v1/runs", "/w/NORTH/api/v1/runs", "/w/north%00/api/v1/runs"),
        *(
            "/w/south/w/north/api/v1/runs",
            "/w/.removed/api/v1/runs",
            "/w/%6eorth/api/v1/runs",
            "/W/north/api/v1/runs",
        ),
        *(
            "/w/north",
            "/w/",
            "/w",
            "/W/north/api/v1/runs",
            "/api/v1/w/north/runs",
            "/w/south/api/v1/../../../north/api/v1/runs",
        ),
    ],
)
async def test_no_way_of_writing_an_address_leads_past_the_guard(served: Several, path: str) -> None:
    """What picks the workspace and what its routes read must be the same text."""
    south = {"authorization": f"Bearer {served.token('south')}"}
    async with served.client("south", south) as there:
        request = there.build_request("GET", "http://127.0.0.1:8420/")
        request.url = httpx.URL("http://127.0.0.1:8420").copy_with(raw_path=path.encode())
        answer = await there.send(request)

    assert answer.status_code in (401, 404)


async def test_where_something_is_includes_its_workspace(served: Several) -> None:
    """A client that follows `Location` must come to the thing, and stay on its side."""
    async with served.client("north") as owner:
        published = await owner.post(f"{V1}/workflows", content=document(), headers=YAML)
        started = await owner.post(f"{V1}/runs", json={"workflow": "demo/flow"})
        added = await owner.post("/scim/v2/Users", json={"userName": "bob"})
        for answer in (published, started, added):
            place = answer.headers["location"]
            assert place.startswith("/w/north/")
            followed = await owner.get("http://127.0.0.1:8420" + place)
            assert followed.status_code == 200, followed.text
        told = [added, await owner.get(added.headers["location"].removeprefix("/w/north"))]
        told += [await owner.patch("/scim/v2/Users/bob", json={"schemas": [PATCH], "Operations": RENAMED})]
        assert [answer.json()["meta"]["location"] for answer in told] == ["/w/north/scim/v2/Users/bob"] * 3
        assert told[2].headers["content-location"] == "/w/north/scim/v2/Users/bob"
        assert told[2].headers["content-type"] == "application/scim+json"
        listed = ok(await owner.get("/scim/v2/Users"))["Resources"]
        assert [one["meta"]["location"] for one in listed] == ["/w/north/scim/v2/Users/bob"]
        described = ok(await owner.get(f"{V1}/openapi.json"))
        assert described["servers"] == [{"url": "/w/north"}]
    async with served.client("south") as other:
        assert (ok(await other.get(f"{V1}/openapi.json")))["servers"] == [{"url": "/w/south"}]
