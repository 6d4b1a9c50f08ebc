"""Single sign-on against a real OpenID provider in a process of its own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from tests.integration import cli_support
from tests.integration.api_support import BASE, api, client_of, problem
from tests.integration.oidc_support import Key, Provider, free_port, provider

from segue.service import OidcSettings, OutboundSettings, Service, Settings, open_service

V1 = "/api/v1"


def settings_of(issuer: str, **more: Any) -> Settings:
    oidc: dict[str, Any] = {
        "issuer": issuer,
        "client_id": "segue",
        "client_secret": "oidc",
        "scopes": ("openid", "profile", "email", "groups"),
        "roles": {"ops": ["operator"], "boards": ["auditor"]},
        "groups": {"ops": ["operations"]},
        **more,
    }
    return Settings(oidc=OidcSettings(**oidc), outbound=OutboundSettings(allow_loopback=True))


class Place:
    """A server that people sign in to, and the provider that they do it at."""

    def __init__(self, service: Service, there: Provider, transport: Any, owner: httpx.AsyncClient) -> None:
        self.service, self.there, self._transport, self.owner = service, there, transport, owner

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self._transport, base_url=BASE)

    async def back(self, browser: httpx.AsyncClient, name: str, **replace: str) -> str:
        """Begin, sign in at the provider, and come to the address that it sends back to."""
        begun = await browser.get(f"{V1}/login/oidc")
        assert begun.status_code == 303, begun.text
        url = httpx.URL(begun.headers["location"]).copy_merge_params(replace)
        return await self.there.sign_in(str(url), name)

    async def sign_in(self, name: str, browser: httpx.AsyncClient | None = None) -> httpx.Response:
        browser = browser or self.browser()
        return await browser.get(await self.back(browser, name))


@asynccontextmanager
async def place(folder: Path, *, in_token: bool = True, **oidc: Any) -> AsyncIterator[Place]:
    async with provider(in_token=in_token) as there:
        settings = settings_of(there.issuer, **oidc)
        async with open_service(folder, settings, local=None) as service, client_of(service, settings) as owner:
            yield Place(service, there, owner._transport, owner)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_SECRET_OIDC", "provider-secret-of-segue")


@pytest.mark.parametrize("in_token", [True, False])
async def test_a_person_comes_in_with_the_roles_of_their_groups_and_no_others(tmp_path: Path, in_token: bool) -> None:
    """Claims may stand in the ID token or at the userinfo endpoint; the session is one like any other."""
    async with place(tmp_path, in_token=in_token) as here, here.browser() as browser:
        begun = await browser.get(f"{V1}/login/oidc")
        cookie = begun.headers["set-cookie"].lower()
        assert all(part in cookie for part in ("httponly", "samesite=lax", "max-age=600", "path=/api/v1/login/oidc"))
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["state"] != asked["nonce"]

        answer = await here.sign_in("ann", browser)

        assert answer.status_code == 200, answer.text
        session = answer.json()
        assert session["identity"]["id"] == "ann"
        assert session["identity"]["display"] == "Ann Other"
        assert session["identity"]["sso"]
        set_cookies = " ".join(answer.headers.get_list("set-cookie")).lower()
        assert "segue_session=ss_" in set_cookies
        assert "samesite=strict" in set_cookies
        me = (await browser.get(f"{V1}/whoami")).json()
        assert (me["roles"], me["groups"]) == (["operator"], ["operations"])
        problem(await browser.post(f"{V1}/retention/run", json={"dryRun": True}), 403, "csrf-refused")
        page = {"x-csrf-token": session["csrf"]}
        problem(await browser.post(f"{V1}/retention/run", json={}, headers=page), 403, "permission-denied")


async def test_groups_are_read_at_each_sign_in_and_bind_open_sessions_too(tmp_path: Path) -> None:
    """Whoever leaves a team keeps nothing of it, also not in the browser that is still open."""
    async with place(tmp_path) as here, here.browser() as before:
        await here.sign_in("ann", before)
        assert (await before.get(f"{V1}/whoami")).json()["roles"] == ["operator"]
        await here.there.tell("people", {"ann": {"preferred_username": "anna", "groups": ["boards", "unknown"]}})

        again = (await here.sign_in("ann")).json()

        assert (again["identity"]["id"], again["identity"]["roles"]) == ("ann", ["auditor"])
        assert again["identity"]["groups"] == []
        assert (await before.get(f"{V1}/whoami")).json()["roles"] == ["auditor"]


async def test_whoever_is_locked_here_stays_out(tmp_path: Path) -> None:
    """The provider says who somebody is; whether they may come in is decided here."""
    async with place(tmp_path) as here:
        assert (await here.sign_in("ann")).status_code == 200
        for state in ("locked", "removed"):
            wanted = {"state": state, "reason": "left"}
            assert (await here.owner.post(f"{V1}/identities/person/ann", json=wanted)).status_code == 200
            problem(await here.sign_in("ann"), 401, "sso-refused")
        records = (await here.owner.get(f"{V1}/audit?limit=200")).json()["items"]
        told = [(r["verdict"], r["reason"]) for r in records if r["action"] == "login.sso"]
        assert sorted(told) == [("allow", ""), ("deny", "the person is locked"), ("deny", "the person is removed")]


async def test_a_provisioned_person_signs_in_as_themselves_with_the_rights_of_their_groups(tmp_path: Path) -> None:
    """The directory says who there is, the provider that it is them, and the mapping what that is worth."""
    async with place(tmp_path) as here:
        body = {"userName": "ann.other@example.com", "externalId": "ann"}
        person = (await here.owner.post("/scim/v2/Users", json=body)).json()["id"]
        team = {"displayName": "boards", "members": [{"value": person}]}
        assert (await here.owner.post("/scim/v2/Groups", json=team)).status_code == 201

        async with here.browser() as browser:
            told = (await here.sign_in("ann", browser)).json()["identity"]
            assert (told["id"], told["provisioned"], told["sso"]) == (person, True, True)
            # Her groups in the claim would give `operator`.
            assert (told["roles"], told["groups"]) == (["auditor"], [])
            off = {"Operations": [{"op": "Replace", "path": "active", "value": "False"}]}
            assert (await here.owner.patch(f"/scim/v2/Users/{person}", json=off)).status_code == 200
            problem(await browser.get(f"{V1}/whoami"), 401, "token-refused")
            problem(await here.sign_in("ann", browser), 401, "sso-refused")


async def test_somebody_elses_name_is_not_to_be_had_by_asking_for_it(tmp_path: Path) -> None:
    """A name is a claim that people can often choose; only issuer and subject tell who somebody is."""
    async with place(tmp_path) as here:
        local = {"id": "ann", "roles": ["admin"], "password": "correct horse battery"}
        assert (await here.owner.post(f"{V1}/identities", json=local)).status_code == 201

        eve, ann = (await here.sign_in("eve")).json()["identity"], (await here.sign_in("ann")).json()["identity"]

        assert len({"ann", eve["id"], ann["id"]}) == 3
        assert eve["roles"] == []
        assert (await here.owner.get(f"{V1}/identities/person/ann")).json()["roles"] == ["admin"]
        assert (await here.sign_in("eve")).json()["identity"]["id"] == eve["id"]


async def test_only_verified_addresses_of_the_domains_named_come_in(tmp_path: Path) -> None:
    """A provider for the whole world vouches for the whole world."""
    async with place(tmp_path, allowed_domains=("example.com",)) as here:
        assert (await here.sign_in("ann")).status_code == 200
        for name in ("eve", "mal"):
            problem(await here.sign_in(name), 401, "sso-refused")
        people = (await here.owner.get(f"{V1}/identities")).json()["items"]
        assert [person["id"] for person in people] == ["ann"]


async def test_a_wrong_nonce_a_foreign_state_and_a_used_code_are_refused_alike(tmp_path: Path) -> None:
    """Each is a sign-in that somebody else began, or that was over already."""
    async with place(tmp_path) as here, here.browser() as browser, here.browser() as other:
        wrong = await browser.get(await here.back(browser, "ann", nonce="another-one"))
        expected = problem(wrong, 401, "sso-refused")

        mine = await here.back(browser, "ann")
        await other.get(f"{V1}/login/oidc")
        stranger = await other.get(mine)
        without = await here.browser().get(mine)
        flow = browser.cookies["segue_sso"]
        assert (await browser.get(mine)).status_code == 200
        async with here.browser() as thief:
            thief.cookies.set("segue_sso", flow)
            used = await thief.get(mine)
        answer = await here.back(browser, "ann")
        mixed = await browser.get(str(httpx.URL(answer).copy_set_param("iss", "https://another.example")))
        denied = await here.back(browser, "ann")
        error = await browser.get(str(httpx.URL(denied).copy_set_param("error", "access_denied")))
        forged = await here.back(browser, "ann")
        code = await browser.get(str(httpx.URL(forged).copy_set_param("code", "guessed")))

        for refused in (stranger, without, used, mixed, error, code):
            assert problem(refused, 401, "sso-refused") == expected
            assert "segue_session" not in refused.headers.get("set-cookie", "")


async def test_rotated_keys_are_found_and_the_old_ones_count_no_longer(tmp_path: Path) -> None:
    """Providers change keys without saying so; a key that leaked must be worthless once it is gone."""
    async with place(tmp_path) as here, here.browser() as browser:
        assert (await here.sign_in("ann")).status_code == 200
        old = here.there.key
        await here.there.rotate()

        assert (await here.sign_in("ann")).status_code == 200

        returned = await here.back(browser, "ann")
        nonce = await self_nonce(here, browser, returned)
        await here.there.tell("token", {"token": old.sign(good(here.there, nonce))})
        problem(await browser.get(returned), 401, "sso-refused")


def good(there: Provider, given: str, **claims: Any) -> dict[str, Any]:
    now = int(time.time())
    made: dict[str, Any] = {
        "iss": there.issuer,
        "aud": "segue",
        "sub": "ann",
        "nonce": given,
        "iat": now,
        "exp": now + 60,
        **claims,
    }
    return {name: value for name, value in made.items() if value is not None}


async def self_nonce(here: Place, browser: httpx.AsyncClient, returned: str) -> str:
    """The nonce of this sign-in, as only the server and the provider know it."""
    flow = here.service.sso._flow_of(browser.cookies["segue_sso"], dict(httpx.URL(returned).params))
    here.service.sso._finished.clear()
    return flow.nonce


ATTACKS: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://another.example"},
    "another client": {"aud": "another"},
    "several clients": {"aud": ["segue", "another"]},
    "another party": {"azp": "another"},
    "expired": {"exp": int(time.time()) - 3600},
    "no end": {"exp": None},
    "no nonce": {"nonce": None},
    "not yet": {"nbf": int(time.time()) + 3600},
    "nobody": {"sub": None},
}


async def test_a_tampered_token_lets_nobody_in(tmp_path: Path) -> None:
    """Each part that is checked is wrong once; the same token with nothing wrong comes in."""
    async with place(tmp_path) as here, here.browser() as browser:

        async def tried(make: Any) -> httpx.Response:
            returned = await here.back(browser, "ann")
            nonce = await self_nonce(here, browser, returned)
            await here.there.tell("token", {"token": make(nonce)})
            return await browser.get(returned)

        key, there = here.there.key, here.there
        public = key.private.public_key()
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

        def with_public_key_as_secret(nonce: str) -> str:
            import hmac

            header, body, _ = jwt.encode(good(there, nonce), "x" * 32, algorithm="HS256").split(".")
            signature = hmac.new(pem, f"{header}.{body}".encode(), hashlib.sha256).digest()
            return f"{header}.{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

        def changed_after_signing(nonce: str) -> str:
            header, _, signature = key.sign(good(there, nonce)).split(".")
            body = key.sign(good(there, nonce, sub="eve")).split(".")[1]
            return f"{header}.{body}.{signature}"

        forgeries: dict[str, Any] = {
            "none": lambda nonce: jwt.encode(good(there, nonce), None, algorithm="none"),
            "hmac": with_public_key_as_secret,
            "changed": changed_after_signing,
            "another key of this name": lambda nonce: Key(key.kid).sign(good(there, nonce)),
            "unknown key": lambda nonce: Key("unknown").sign(good(there, nonce)),
            "its own key": lambda nonce: Key("own").sign(good(there, nonce), jwk=Key("own").jwk),
            "no token": lambda nonce: "not.a.token",
            **{name: lambda n, wrong=wrong: key.sign(good(there, n, **wrong)) for name, wrong in ATTACKS.items()},
        }
        let_in = [name for name, make in forgeries.items() if (await tried(make)).status_code != 401]

        assert let_in == []
        assert (await tried(lambda nonce: key.sign(good(there, nonce)))).status_code == 200
        text = (await tried(forgeries["changed"])).text
        assert not any(word in text for word in ("signature", "eyJ", there.issuer))


async def test_a_provider_that_cannot_be_reached_is_said_so_without_saying_where(tmp_path: Path) -> None:
    """A stranger learns no addresses; and the outbound policy binds here as everywhere."""
    closed = Settings(oidc=settings_of("http://127.0.0.1:9").oidc)
    for name, settings in (("refused", settings_of("http://127.0.0.1:9")), ("policy", closed)):
        async with api(tmp_path / name, settings) as client:
            told = problem(await client.get(f"{V1}/login/oidc"), 503, "sso-unavailable")
            assert "127.0.0.1:9" not in str(told)
    async with api(tmp_path / "off") as client:
        problem(await client.get(f"{V1}/login/oidc"), 404, "sso-off")
        problem(await client.get(f"{V1}/login/oidc/callback?code=x&state=y"), 404, "sso-off")


async def test_a_command_line_gets_a_session_that_nobody_else_can_fetch(tmp_path: Path) -> None:
    """The code comes through a browser, where others may see it; without the proof it is worth nothing."""
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    async with place(tmp_path) as here, here.browser() as browser:

        async def code() -> str:
            asked = {"port": "40000", "challenge": challenge, "mark": "m"}
            begun = await browser.get(f"{V1}/login/oidc", params=asked)
            ended = await browser.get(await here.there.sign_in(begun.headers["location"], "ann"))
            assert ended.status_code == 303
            assert "segue_session" not in str(ended.headers.get_list("set-cookie"))
            url = httpx.URL(ended.headers["location"])
            assert (url.host, url.port, url.params["mark"]) == ("127.0.0.1", 40000, "m")
            return url.params["code"]

        async def fetch(code: str, verifier: str) -> httpx.Response:
            return await browser.post(f"{V1}/login/oidc/session", json={"code": code, "verifier": verifier})

        seen = await code()
        problem(await fetch(seen, "w" * 43), 401, "sso-refused")
        problem(await fetch(seen, verifier), 401, "sso-refused")
        mine = await code()
        answers = await asyncio.gather(*(fetch(mine, verifier) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]
        (session,) = [answer.json() for answer in answers if answer.status_code == 200]
        headers = {"authorization": f"Bearer {session['token']}"}
        assert (await here.browser().get(f"{V1}/whoami", headers=headers)).json()["id"] == "ann"
        problem(await browser.get(f"{V1}/login/oidc", params={"port": "40000"}), 400, "request-malformed")


@pytest.mark.parametrize("paste", [False, True])
async def test_segue_login_sso_signs_in_through_a_browser(tmp_path: Path, paste: bool) -> None:
    """Server, provider and command line are processes; the browser is played, and may be on another machine."""
    data, port = tmp_path / "data", free_port()
    address = f"http://127.0.0.1:{port}"
    async with provider(client=address) as there:
        data.mkdir()
        (data / "segue.toml").write_text(
            f"""
            [oidc]
            issuer = "{there.issuer}"
            client_id = "segue"
            client_secret = "oidc"
            scopes = ["openid", "profile", "groups"]
            roles = {{ ops = ["operator"] }}
            [outbound]
            allow_loopback = true
            """,
            encoding="utf-8",
        )
        env = cli_support.environment(SEGUE_SECRET_OIDC="provider-secret-of-segue")
        mine = cli_support.environment(XDG_CONFIG_HOME=str(tmp_path / "home"), SEGUE_URL=address, BROWSER="true")
        server = cli_support.start(["serve", "--data", data, "--port", str(port), "--json"], env=env)
        words = ["login", "--sso", *(["--paste"] if paste else [])]
        login = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "segue", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=mine,
        )
        try:
            assert server.stdout is not None
            assert await asyncio.to_thread(server.stdout.readline)
            assert login.stdout is not None
            url = (await login.stdout.readline()).decode().strip().removeprefix("sign in at ")
            async with httpx.AsyncClient() as browser:
                begun = await browser.get(url)
                ended = await browser.get(await there.sign_in(begun.headers["location"], "ann"))
                if not paste:
                    shown = await browser.get(ended.headers["location"])
                    assert "close this window" in shown.text
            brought = ended.headers["location"].encode() + b"\n" if paste else None
            told, _ = await asyncio.wait_for(login.communicate(brought), 20)
            assert login.returncode == 0, told
            assert b"as Ann Other" in told
            asked = cli_support.start(["whoami", "--json"], env=mine)
            me = json.loads((await asyncio.to_thread(asked.communicate))[0])
            assert (me["id"], me["roles"]) == ("ann", ["operator"])
        finally:
            server.terminate()
            await asyncio.to_thread(server.communicate)
