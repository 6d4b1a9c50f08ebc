"""Several OpenID providers at once: two real ones in processes of their own, with people of the same subject."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.api_support import BASE, client_of, problem
from tests.integration.oidc_support import CALLBACK, Provider, provider

from segue.service import OidcSettings, OutboundSettings, Service, ServiceError, Settings, load_settings, open_service
from segue.service.settings import ScimSettings

V1 = "/api/v1"
A = '\nissuer = "https://a.example"\nclient_id = "s"\n'
SCIM = "/scim/v2/Users"
SUBJECTS = {"ann": {"preferred_username": "ann", "name": "Ann of the partners", "groups": ["ops"]}}


class House:
    """A server, a provider without a name (`oidc`) and one that is called `partners`."""

    def __init__(self, service: Service, own: Provider, partners: Provider, owner: httpx.AsyncClient) -> None:
        self.service, self.own, self.partners, self.owner = service, own, partners, owner

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self.owner._transport, base_url=BASE)

    async def back(self, name: str, through: str, browser: httpx.AsyncClient) -> str:
        begun = await browser.get(f"{V1}/login/oidc", params={"provider": through})
        assert begun.status_code == 303, begun.text
        there = self.own if through == "oidc" else self.partners
        return await there.sign_in(begun.headers["location"], name)

    async def sign_in(self, name: str, through: str) -> httpx.Response:
        browser = self.browser()
        return await browser.get(await self.back(name, through, browser))


@asynccontextmanager
async def house(folder: Path, **scim: Any) -> AsyncIterator[House]:
    async with provider() as own, provider(callback=f"{CALLBACK}/partners") as partners:
        await partners.tell("people", SUBJECTS)
        said: dict[str, Any] = {"client_id": "segue", "client_secret": "oidc"}
        said["scopes"] = ("openid", "profile", "email", "groups")
        settings = Settings(
            oidc=OidcSettings(issuer=own.issuer, roles={"ops": ["operator"]}, title="Our people", **said),
            sso={"partners": OidcSettings(issuer=partners.issuer, roles={"ops": ["viewer"]}, **said)},
            scim=ScimSettings(**scim),
            outbound=OutboundSettings(allow_loopback=True),
        )
        async with open_service(folder, settings, local=None) as service, client_of(service, settings) as owner:
            yield House(service, own, partners, owner)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_SECRET_OIDC", "provider-secret-of-segue")


async def test_the_same_subject_of_two_providers_is_two_people(tmp_path: Path) -> None:
    """A partner may call anybody `ann`; issuer and subject together tell who somebody is."""
    async with house(tmp_path) as here:
        own = (await here.sign_in("ann", "oidc")).json()["identity"]
        other = (await here.sign_in("ann", "partners")).json()["identity"]
        again = (await here.sign_in("ann", "oidc")).json()["identity"]

        assert (own["id"], own["display"], own["roles"]) == ("ann", "Ann Other", ["operator"])
        assert other["id"] != "ann"
        assert (other["display"], other["roles"]) == ("Ann of the partners", ["viewer"])
        assert (again["id"], again["roles"]) == ("ann", ["operator"])


async def test_whoever_signs_in_chooses_among_all_of_them(tmp_path: Path) -> None:
    """A page with a link for each, which takes along what a command line asked for; and a list for other pages."""
    async with house(tmp_path) as here, here.browser() as browser:
        listed = (await browser.get(f"{V1}/login/providers")).json()
        assert listed == {
            "items": [{"name": "oidc", "title": "Our people"}, {"name": "partners", "title": "partners"}]
        }
        challenge = "a" * 43
        page = await browser.get(f"{V1}/login/oidc", params={"port": 2000, "challenge": challenge, "mark": "m"})
        assert (page.status_code, page.headers["content-type"].split(";")[0]) == (200, "text/html")
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert 'name="viewport"' in page.text
        links = [unescape(link) for link in re.findall(r'href="([^"]+)"', page.text)]
        assert len(links) == 2
        assert "Our people" in page.text
        for link, there in zip(links, (here.own, here.partners), strict=True):
            assert challenge in link
            begun = await browser.get(link)
            assert begun.headers["location"].startswith(there.issuer)
        problem(await browser.get(f"{V1}/login/oidc", params={"provider": "nobody"}), 400, "request-malformed")


async def test_who_signs_in_from_a_page_goes_on_at_that_page_and_sees_no_data(tmp_path: Path) -> None:
    """Through the choice, through the provider, and where it fails; and to a page of ours, whatever was asked for."""
    async with house(tmp_path) as here, here.browser() as browser:
        page = await browser.get("/desk/sign-in", params={"next": "/desk/tasks/7"})
        links = [unescape(link) for link in re.findall(r'href="([^"]+/login/oidc[^"]+)"', page.text)]
        assert [httpx.URL(link).params["back"] for link in links] == ["/desk/tasks/7"] * 2
        begun = await browser.get(links[1])
        ended = await browser.get(await here.partners.sign_in(begun.headers["location"], "ann"))
        assert (ended.status_code, ended.headers["location"], ended.content) == (303, "/desk/tasks/7", b"")
        assert "samesite=strict" in ended.headers["set-cookie"].lower()
        assert (await browser.get("/desk/inbox")).status_code == 200

        await browser.get(f"{V1}/login/oidc", params={"provider": "oidc", "back": "//evil.example"})
        failed = await browser.get(CALLBACK, params={"state": "a", "code": "b"})
        where = httpx.URL(failed.headers["location"])
        assert (failed.status_code, where.path) == (303, "/desk/sign-in")
        assert dict(where.params) == {"next": "/desk/inbox", "told": "sso-refused"}
        assert "The sign-in did not succeed." in (await browser.get(str(where))).text


async def test_a_provider_hands_in_nothing_that_another_issued(tmp_path: Path) -> None:
    """A code of one that arrives at the other's address, and a sign-in that began at the other, are refused alike."""
    async with house(tmp_path) as here:
        for began, ends in (("oidc", "/partners"), ("partners", "")):
            async with here.browser() as browser:
                url = httpx.URL(await here.back("ann", began, browser))
                moved = url.copy_with(path=CALLBACK + ends)
                problem(await browser.get(moved), 401, "sso-refused")
                # Each sign-in is finished once, whatever came of it.
                problem(await browser.get(url), 401, "sso-refused")
        async with here.browser() as browser:
            await here.back("ann", "oidc", browser)
            stolen = httpx.URL(await here.back("ann", "partners", here.browser()))
            problem(await browser.get(stolen), 401, "sso-refused")
        problem(await here.browser().get(f"{CALLBACK}/nobody?state=a&code=b"), 401, "sso-refused")


async def test_a_directory_means_the_people_of_one_provider(tmp_path: Path) -> None:
    """Its `externalId` is a subject of that provider; a partner who gives somebody the same one takes nobody over."""
    async with house(tmp_path) as here:
        made = await here.owner.post(
            SCIM,
            json={"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "boss", "externalId": "ann"},
        )
        assert made.status_code == 201, made.text
        other = (await here.sign_in("ann", "partners")).json()["identity"]
        assert (other["id"], other["provisioned"]) == ("ann", False)
        meant = (await here.sign_in("ann", "oidc")).json()["identity"]
        assert (meant["id"], meant["provisioned"]) == ("boss", True)


async def test_where_only_provisioned_people_come_in_no_partner_is_let_in(tmp_path: Path) -> None:
    """`scim.only` holds for every provider."""
    async with house(tmp_path, only=True) as here:
        problem(await here.sign_in("ann", "partners"), 401, "sso-refused")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"[oidc]{A}[sso.b]{A}", "same"),
        (f"[sso.oidc]{A}", "name"),
        (f'[sso."A b"]{A}', "name"),
        ('[sso.b]\nissuer = "http://a.example"\nclient_id = "s"', "sso.b.issuer"),
        ('[sso.b]\nissuer = "https://a.example"\nclient_id = "s"\nroles = { x = ["owner"] }', "sso.b.roles"),
        ('[scim]\nprovider = "b"', "scim.provider"),
    ],
)
def test_settings_that_would_mix_people_are_refused(tmp_path: Path, text: str, why: str) -> None:
    """Two names of one issuer would be two ways to be one person; a name is part of an address."""
    (tmp_path / "segue.toml").write_text(text)
    with pytest.raises(ServiceError, match=re.escape(why)):
        load_settings(tmp_path, environment={})


def test_one_named_provider_needs_no_choice(tmp_path: Path) -> None:
    """And it is the one that a directory means."""
    (tmp_path / "segue.toml").write_text('[sso.b]\nissuer = "https://a.example"\nclient_id = "s"')
    settings = load_settings(tmp_path, environment={})
    assert list(settings.providers) == ["b"]
    assert settings.provisioned_through == "b"
