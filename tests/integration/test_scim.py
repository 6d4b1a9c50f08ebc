"""SCIM 2.0: what a company's directory says over HTTP counts here, and no more than that.

The bodies are in the shapes that two directories publish: Microsoft, "Develop and plan provisioning for a SCIM
endpoint in Microsoft Entra ID" and "Known issues and resolutions with SCIM 2.0 protocol compliance of the Microsoft
Entra user provisioning service"; Okta, "SCIM 2.0 protocol reference".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.integration.api_support import SCIM, client_of, problem, scim_error

from segue.service import OidcSettings, ScimSettings, Service, ServiceError, Settings, init_keys, open_service
from segue.service.identities import Outsider

V1 = "/api/v1"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ISSUER = "https://login.example.com"
TYPE = {"content-type": "application/scim+json; charset=utf-8"}


def settings_of(**scim: Any) -> Settings:
    oidc = OidcSettings(
        issuer=ISSUER,
        client_id="segue",
        roles={"Operations": ["operator"], "Boards": ["auditor"], "0f-9a": ["viewer"]},
        groups={"Operations": ["operations"]},
    )
    return Settings(oidc=oidc, scim=ScimSettings(**scim))


class Place:
    """A server, its owner, and a directory with a token of its own."""

    def __init__(self, service: Service, owner: httpx.AsyncClient, token: str) -> None:
        self.service, self.owner = service, owner
        self._headers = {"authorization": f"Bearer {token}", **TYPE}

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self._headers, **more.pop("headers", {})}
        return await self.owner.request(method, f"{SCIM}{path}", headers=headers, **more)

    async def add(self, name: str, **more: Any) -> str:
        body = {"schemas": [USER], "userName": f"{name}@example.com", "externalId": f"x-{name}", **more}
        answer = await self.ask("POST", "/Users", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def team(self, name: str, *members: str, **more: Any) -> str:
        body = {"schemas": [GROUP], "displayName": name, "members": [{"value": m} for m in members], **more}
        answer = await self.ask("POST", "/Groups", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def patch(self, path: str, *operations: Any, **headers: str) -> httpx.Response:
        body = {"schemas": [PATCH], "Operations": list(operations)}
        return await self.ask("PATCH", path, json=body, headers=headers)

    async def person(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.owner.get(f"{V1}/identities/person/{name}")).json()
        return found

    async def enter(self, subject: str, *, link: str = "", **more: Any) -> str:
        """Somebody whom the provider vouches for; the id of who they are here."""
        said: dict[str, Any] = {"name": subject, "display": "", "roles": [], "groups": [], **more}
        outsider = Outsider(subject=f"{ISSUER}#{subject}", link=link or subject, **said)
        return (await self.service.sessions.enter(outsider)).identity.id

    async def log(self, action: str, *, allowed: bool = False) -> list[dict[str, Any]]:
        found = await self.owner.get(f"{V1}/audit", params={"action": action, "limit": 200})
        return [record for record in found.json()["items"] if allowed or record["verdict"] != "allow"]


@asynccontextmanager
async def place(folder: Path, settings: Settings | None = None) -> AsyncIterator[Place]:
    settings = settings or settings_of()
    async with open_service(folder, settings, local=None) as service, client_of(service, settings) as owner:
        account = {"id": "directory", "kind": "service", "roles": ["provisioner"]}
        if (await owner.get(f"{V1}/identities/service/directory")).status_code == 404:
            await owner.post(f"{V1}/identities", json=account)
        wanted = {"label": "scim", "scopes": ["provision"]}
        made = await owner.post(f"{V1}/identities/service/directory/tokens", json=wanted)
        yield Place(service, owner, made.json()["token"])


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    async with place(tmp_path) as found:
        yield found


# -- what directories send -------------------------------------------------------------------------


async def test_what_entra_id_sends_from_first_day_to_last(here: Place) -> None:
    """Look up, add, change, put into a group, take out, lock, let in, remove: in the shapes of its documentation."""
    by_name = {"filter": 'userName eq "Test_User_ab6490ee@testuser.com"'}
    nobody = (await here.ask("GET", "/Users", params=by_name)).json()
    assert (nobody["totalResults"], nobody["Resources"]) == (0, [])
    body = {
        "schemas": [USER, ENTERPRISE],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
        "userName": "Test_User_ab6490ee@testuser.com",
        "active": True,
        "addresses": [{"primary": False, "type": "work", "country": "DE"}],
        "displayName": "lennay",
        "emails": [{"primary": True, "type": "work", "value": "test@testuser.com"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
        "roles": [],
        ENTERPRISE: {"department": "bob", "manager": {"value": "SuzzyQ"}},
    }
    added = await here.ask("POST", "/Users", json=body)
    assert added.status_code == 201
    assert added.headers["content-type"] == "application/scim+json"
    user = added.json()
    assert user["meta"]["location"] == added.headers["location"] == f"{SCIM}/Users/{user['id']}"
    assert (user["displayName"], user["active"], user["name"]) == ("lennay", True, body["name"])
    assert "addresses" not in user
    scim_error(await here.ask("POST", "/Users", json=body), 409, "uniqueness")
    found = (await here.ask("GET", "/Users", params=by_name)).json()
    assert [item["id"] for item in found["Resources"]] == [user["id"]]
    by_both = {"filter": f'externalId eq "{body["externalId"]}" and userName sw "test_"'}
    assert (await here.ask("GET", "/Users", params=by_both)).json()["totalResults"] == 1

    path = f"/Users/{user['id']}"
    changed = await here.patch(
        path,
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "updated@testuser.com"},
        {"op": "Replace", "path": "name.familyName", "value": "updatedFamilyName"},
        {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "someone"},
    )
    assert changed.status_code == 200, changed.text
    assert changed.json()["emails"][0]["value"] == "updated@testuser.com"

    group = {
        "schemas": [GROUP],
        "externalId": "0f-9a",
        "displayName": "Operations",
        "meta": {"resourceType": "Group"},
    }
    team = (await here.ask("POST", "/Groups", json=group)).json()["id"]
    again = await here.ask(
        "GET", "/Groups", params={"excludedAttributes": "members", "filter": 'displayName eq "Operations"'}
    )
    assert [item["id"] for item in again.json()["Resources"]] == [team]
    member = [{"$ref": None, "value": user["id"]}]
    assert (await here.patch(f"/Groups/{team}", {"op": "Add", "path": "members", "value": member})).status_code == 200
    told = await here.person(user["id"])
    # Known by its name and by its id there.
    assert (told["roles"], told["groups"]) == (["operator", "viewer"], ["operations"])
    gone = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": user["id"]}]}
    assert (await here.patch(f"/Groups/{team}", gone)).status_code == 200
    assert (await here.person(user["id"]))["roles"] == []

    assert not (await here.patch(path, {"op": "Replace", "path": "active", "value": "False"})).json()["active"]
    assert (await here.person(user["id"]))["state"] == "locked"
    assert (await here.patch(path, {"op": "Replace", "value": {"active": True}})).json()["active"]
    assert (await here.person(user["id"]))["state"] == "active"
    assert (await here.ask("DELETE", path)).status_code == 204
    scim_error(await here.ask("GET", path), 404)
    scim_error(await here.ask("DELETE", path), 404)
    assert (await here.ask("DELETE", f"/Groups/{team}")).status_code == 204


async def test_what_okta_sends_from_first_day_to_last(here: Place) -> None:
    """Its users are replaced as a whole and deactivated; its groups are pushed, renamed and emptied."""
    page = {"filter": 'userName eq "test.user@okta.local"', "startIndex": 1, "count": 100}
    assert (await here.ask("GET", "/Users", params=page)).json()["totalResults"] == 0
    body = {
        "schemas": [USER],
        "userName": "test.user@okta.local",
        "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": True, "value": "test.user@okta.local", "type": "work"}],
        "displayName": "Test User",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
    }
    user = (await here.ask("POST", "/Users", json=body)).json()
    assert "password" not in user
    whole = {**body, "id": user["id"], "name": {"givenName": "Another", "familyName": "User"}, "active": False}
    replaced = (await here.ask("PUT", f"/Users/{user['id']}", json=whole)).json()
    assert (replaced["name"]["givenName"], replaced["active"]) == ("Another", False)
    off = await here.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"active": False}})
    assert off.json()["meta"]["version"] == replaced["meta"]["version"], "nothing changed"
    on = await here.patch(f"/Users/{user['id']}", {"op": "replace", "value": {"active": True}})
    assert on.json()["active"] is True

    other = await here.add("other")
    team = await here.team("Boards")
    path = f"/Groups/{team}"
    value = [{"value": user["id"], "display": "test.user@okta.local"}, {"value": other}]
    pushed = await here.patch(path, {"op": "add", "path": "members", "value": value})
    assert [member["value"] for member in pushed.json()["members"]] == [user["id"], other]
    assert (await here.person(other))["roles"] == ["auditor"]
    await here.patch(path, {"op": "remove", "path": f'members[value eq "{other}"]'})
    assert (await here.person(other))["roles"] == []
    await here.patch(path, {"op": "replace", "value": {"id": team, "displayName": "Operations"}})
    assert (await here.person(user["id"]))["roles"] == ["operator"]
    empty = {"schemas": [GROUP], "id": team, "displayName": "Operations", "members": []}
    assert "members" not in (await here.ask("PUT", path, json=empty)).json()
    assert (await here.person(user["id"]))["roles"] == []


# -- what it is worth ------------------------------------------------------------------------------


async def test_whoever_is_deactivated_is_out_at_once(here: Place) -> None:
    """Who left the company at noon does nothing at one minute past."""
    name = await here.add("ann")
    await here.team("Operations", name)
    session = await here.service.sessions.enter(
        Outsider(subject=f"{ISSUER}#x-ann", name="ann", display="", roles=[], groups=[], link="x-ann")
    )
    mine = {"authorization": f"Bearer {session.token}"}
    made = await here.owner.post(f"{V1}/identities/person/{name}/tokens", json={"label": "cli"}, headers=mine)
    token = {"authorization": f"Bearer {made.json()['token']}"}
    for headers in (mine, token):
        assert (await here.owner.get(f"{V1}/runs", headers=headers)).status_code == 200

    await here.patch(f"/Users/{name}", {"op": "Replace", "value": {"active": False}})

    for headers in (mine, token):
        problem(await here.owner.get(f"{V1}/runs", headers=headers), 401, "token-refused")
    with pytest.raises(ServiceError):
        await here.enter("x-ann")
    await here.patch(f"/Users/{name}", {"op": "Replace", "value": {"active": True}})
    for headers in (mine, token):
        problem(await here.owner.get(f"{V1}/runs", headers=headers), 401, "token-refused")
    assert await here.enter("x-ann") == name


async def test_what_somebody_had_in_hand_goes_back_when_they_are_deactivated(here: Place) -> None:
    """Else nobody could decide what they had claimed, because a claim keeps all others out."""
    ann, bob = await here.add("ann"), await here.add("bob")
    await here.team("Operations", ann, bob)
    document = {
        "document": {"dsl": "1.0.3", "namespace": "demo", "name": "asks", "version": "1.0.0"},
        "do": [{"ask": {"call": "human-task", "with": {"title": "Pay?", "assign": {"group": "operations"}}}}],
    }
    await here.owner.post(f"{V1}/workflows", json=document)
    for _ in range(3):
        await here.owner.post(f"{V1}/runs", json={"workflow": "demo/asks"})
    for task, person in ((1, ann), (2, ann), (3, bob)):
        made = await here.owner.post(f"{V1}/tasks/{task}/delegate", json={"to": person})
        assert made.json()["owner"] == person

    await here.patch(f"/Users/{ann}", {"op": "Replace", "path": "active", "value": "False"})

    for _ in range(500):
        items = (await here.owner.get(f"{V1}/tasks")).json()["items"]
        if not items[1]["owner"] and not items[2]["owner"]:
            break
        await asyncio.sleep(0.02)
    assert [(item["id"], item["owner"], item["audience"]) for item in items] == [
        (3, bob, {"groups": ["operations"]}),
        (2, None, {"groups": ["operations"]}),
        (1, None, {"groups": ["operations"]}),
    ]
    record = (await here.log("task.assigned"))[0]
    assert (record["principal"], record["reason"]) == (
        "system:segue",
        f"{ann} may act no more: the directory deactivated them",
    )


async def test_a_lock_that_was_set_here_is_not_the_directorys_to_lift(here: Place) -> None:
    """Either side keeps somebody out; it takes both to let them in."""
    name = await here.add("ann")
    lock = {"state": "locked", "reason": "under investigation"}
    await here.owner.post(f"{V1}/identities/person/{name}", json=lock)
    told = await here.patch(f"/Users/{name}", {"op": "replace", "value": {"active": True, "displayName": "A"}})
    assert told.json()["active"] is False
    assert ((await here.person(name))["state"], (await here.person(name))["display"]) == ("locked", "A")

    await here.patch(f"/Users/{name}", {"op": "replace", "value": {"active": False}})
    answer = await here.owner.post(f"{V1}/identities/person/{name}", json={"state": "active"})
    problem(answer, 422, "identity-refused")
    await here.patch(f"/Users/{name}", {"op": "replace", "value": {"active": True}})
    assert (await here.person(name))["state"] == "locked"
    assert (await here.owner.post(f"{V1}/identities/person/{name}", json={"state": "active"})).status_code == 200

    await here.owner.post(f"{V1}/identities/person/{name}", json={"state": "removed", "reason": "dismissed"})
    scim_error(await here.ask("GET", f"/Users/{name}"), 404)
    body = {"userName": "ann@example.com", "externalId": "x-ann"}
    assert "administrator" in scim_error(await here.ask("POST", "/Users", json=body), 409, "uniqueness")


async def test_a_removed_name_is_never_given_again_and_what_was_said_of_them_goes(
    here: Place, tmp_path: Path
) -> None:
    """Records hold the name; the next one who is called so is somebody else."""
    first = await here.add("ann", displayName="Canary Person")
    team = await here.team("Operations", first)
    await here.enter("x-ann")
    assert (await here.ask("DELETE", f"/Users/{first}")).status_code == 204
    assert "members" not in (await here.ask("GET", f"/Groups/{team}")).json()
    told = await here.person(first)
    assert (told["state"], told["roles"]) == ("removed", [])
    with pytest.raises(ServiceError):
        await here.enter("x-ann")

    second = await here.add("ann")

    assert second != first
    # The directory told of them anew, so the same person of the provider comes in, as somebody new.
    assert await here.enter("x-ann") == second


async def test_only_the_mapping_decides_what_a_group_is_worth(here: Place) -> None:
    """A group called `owner` or `admin` in a directory is a word."""
    name = await here.add("ann", roles=[{"value": "owner"}], entitlements=[{"value": "admin"}])
    for team in ("owner", "admin", "operator", "system"):
        await here.team(team, name)
    assert ((await here.person(name))["roles"], (await here.person(name))["groups"]) == ([], [])
    await here.team("Operations", name)
    assert (await here.person(name))["roles"] == ["operator"]
    # What an administrator gives by hand lasts until the directory speaks again.
    await here.owner.post(f"{V1}/identities/person/{name}", json={"roles": ["publisher"]})
    await here.team("Boards", name)
    assert (await here.person(name))["roles"] == ["auditor", "operator"]


async def test_a_changed_mapping_counts_from_the_next_start(tmp_path: Path) -> None:
    """What the settings no longer give is gone, without the directory saying anything."""
    async with place(tmp_path) as here:
        name = await here.add("ann")
        await here.team("Operations", name)
    other = Settings(oidc=OidcSettings(issuer=ISSUER, client_id="x", roles={"Operations": ["viewer"]}))
    async with place(tmp_path, other) as here:
        assert ((await here.person(name))["roles"], (await here.person(name))["groups"]) == (["viewer"], [])


# -- who is who ------------------------------------------------------------------------------------


async def test_a_provisioned_person_takes_nobody_over(here: Place) -> None:
    """Neither by name nor by address nor by id: whoever was added here by hand is no resource."""
    local = {"id": "ann", "roles": ["admin"], "password": "correct horse battery"}
    assert (await here.owner.post(f"{V1}/identities", json=local)).status_code == 201

    name = await here.add("ann", externalId="ann", displayName="ann")

    assert name != "ann"
    assert (await here.person("ann"))["roles"] == ["admin"]
    assert not (await here.person("ann"))["provisioned"]
    for method in ("GET", "DELETE"):
        scim_error(await here.ask(method, "/Users/ann"), 404)
    scim_error(await here.ask("PUT", "/Users/ann", json={"userName": "ann"}), 404)
    scim_error(await here.patch("/Users/ann", {"op": "replace", "value": {"active": False}}), 404)
    everybody = (await here.ask("GET", "/Users")).json()
    assert [item["id"] for item in everybody["Resources"]] == [name]
    refused = await here.ask("POST", "/Groups", json={"displayName": "x", "members": [{"value": "ann"}]})
    scim_error(refused, 400, "invalidValue")
    assert await here.enter("ann") == name
    assert (await here.person("ann"))["roles"] == ["admin"]


async def test_whoever_is_reached_by_mail_alone_is_nobodys_namesake(here: Place) -> None:
    """A profile without an account decides by codes; a newcomer of the same name would have theirs sent there."""
    for name in ("bob", "eve"):
        profile = {"email": f"{name}@partner.example", "roles": ["approver"]}
        assert (await here.owner.post(f"{V1}/people/{name}", json=profile)).status_code == 200

    assert await here.add("bob") != "bob"
    assert await here.enter("s-eve", name="eve") != "eve"


async def test_the_claim_of_the_settings_links_who_signs_in_once_and_for_all(here: Place) -> None:
    """After the first time issuer and subject tell, whatever the directory writes later."""
    ann, bob = await here.add("ann"), await here.add("bob")
    await here.team("Operations", ann)

    assert await here.enter("x-ann", display="Somebody Else", roles=["auditor"]) == ann
    assert ((await here.person(ann))["roles"], (await here.person(ann))["sso"]) == (["operator"], True)
    # A directory that exchanges ids moves nobody who was here.
    await here.patch(f"/Users/{ann}", {"op": "replace", "value": {"externalId": "x-eve"}})
    await here.patch(f"/Users/{bob}", {"op": "replace", "value": {"externalId": "x-ann"}})
    assert await here.enter("x-ann") == ann
    assert await here.enter("stranger") not in (ann, bob)
    (linked,) = [record for record in await here.log("login.sso", allowed=True) if record["data"].get("linked")]
    assert linked["resource"] == f"person:{ann}"


async def test_an_address_links_only_where_the_settings_say_so(tmp_path: Path) -> None:
    """And a setting can say that nobody else comes in."""
    async with place(tmp_path, settings_of(link="email", only=True)) as here:
        mail = [{"value": "Ann@Example.com", "type": "work"}, {"value": "private@home.example", "type": "home"}]
        ann = await here.add("ann", emails=mail)
        twins = [await here.add(name, emails=[{"value": "twin@example.com"}]) for name in ("one", "two")]
        for link in ("x-ann", "private@home.example", "twin@example.com", "eve@example.com"):
            with pytest.raises(ServiceError):
                await here.enter("s-1", link=link)
        assert await here.enter("s-2", link="ann@example.com") == ann
        reasons = {record["reason"] for record in await here.log("login.sso")}
        assert any("several people" in reason for reason in reasons)
        assert any("`scim.only`" in reason for reason in reasons)
        assert len(twins) == 2


async def test_whoever_came_before_the_directory_told_of_them_stays_one_person(here: Place) -> None:
    """A person who is there twice can be locked once."""
    early = await here.enter("x-ann", name="ann", roles=["auditor"])
    assert await here.add("ann") == early
    assert (await here.person(early))["provisioned"]
    await here.patch(f"/Users/{early}", {"op": "replace", "value": {"active": False}})
    with pytest.raises(ServiceError):
        await here.enter("x-ann")

    # Where what tells them together is known at the sign-in only, the one whom the directory knows goes on.
    known = await here.enter("s-bob", name="bob", link="unknown")
    bob = await here.add("bob")
    assert bob != known
    assert await here.enter("s-bob", link="x-bob") == bob
    assert (await here.person(known))["state"] == "removed"
    # A lock of the one is not undone by becoming the other.
    eve = await here.enter("s-eve", name="eve", link="unknown")
    await here.owner.post(f"{V1}/identities/person/{eve}", json={"state": "locked", "reason": "x"})
    await here.add("eve")
    with pytest.raises(ServiceError):
        await here.enter("s-eve", link="x-eve")


# -- the protocol ----------------------------------------------------------------------------------


async def test_a_version_guards_against_changing_what_one_has_not_seen(here: Place) -> None:
    """Two directories, or two of its workers, do not undo each other unseen."""
    name = await here.add("ann")
    first = await here.ask("GET", f"/Users/{name}")
    tag = first.headers["etag"]
    assert tag == first.json()["meta"]["version"]
    known = await here.ask("GET", f"/Users/{name}", headers={"if-none-match": tag})
    assert (known.status_code, known.content) == (304, b"")

    body = {"op": "replace", "value": {"displayName": "One"}}
    assert (await here.patch(f"/Users/{name}", body, **{"if-match": tag})).status_code == 200
    late = {"op": "replace", "value": {"displayName": "Two"}}
    scim_error(await here.patch(f"/Users/{name}", late, **{"if-match": tag}), 412)
    scim_error(await here.ask("DELETE", f"/Users/{name}", headers={"if-match": tag}), 412)
    assert (await here.patch(f"/Users/{name}", late, **{"if-match": "*"})).json()["displayName"] == "Two"


async def test_lists_come_in_bounded_pages(here: Place) -> None:
    """A directory pages through everybody; nobody makes one answer of ten thousand people."""
    names = [await here.add(f"p{number:03}") for number in range(205)]

    async def page(**query: Any) -> dict[str, Any]:
        answer = await here.ask("GET", "/Users", params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        assert found["itemsPerPage"] == len(found["Resources"])
        return found

    everything = await page(count=100_000)
    assert (everything["totalResults"], everything["itemsPerPage"], everything["startIndex"]) == (205, 200, 1)
    rest = await page(startIndex=201, count=50)
    assert [item["id"] for item in rest["Resources"]] == names[200:]
    assert (await page(count=0))["Resources"] == (await page(count=-3))["Resources"] == []
    assert (await page(startIndex=-1, count=1))["Resources"][0]["id"] == names[0]
    narrow = (await page(count=1, attributes="userName"))["Resources"][0]
    assert set(narrow) == {"schemas", "id", "meta", "userName"}
    scim_error(await here.ask("GET", "/Users", params={"filter": "userName eq"}), 400, "invalidFilter")
    scim_error(await here.ask("GET", "/Users", params={"filter": "x" * 2001}), 400, "invalidSyntax")
    scim_error(await here.ask("GET", "/Users", params={"count": "many"}), 400, "invalidSyntax")


async def test_the_service_describes_itself_as_it_is(here: Place) -> None:
    """Clients configure themselves by it."""
    config = (await here.ask("GET", "/ServiceProviderConfig")).json()
    assert (config["patch"]["supported"], config["etag"]["supported"], config["bulk"]["supported"]) == (
        *(True, True),
        False,
    )
    types = (await here.ask("GET", "/ResourceTypes")).json()["Resources"]
    assert [(item["name"], item["endpoint"]) for item in types] == [("User", "/Users"), ("Group", "/Groups")]
    for item in types:
        told = (await here.ask("GET", f"/Schemas/{item['schema']}")).json()
        assert {"name", "type", "mutability"} <= set(told["attributes"][0])
        assert (await here.ask("GET", f"/ResourceTypes/{item['name']}")).json() == item
    scim_error(await here.ask("GET", "/Schemas", params={"filter": "name pr"}), 403)
    scim_error(await here.ask("GET", "/Schemas/urn:x"), 404)


async def test_a_token_of_the_directory_is_worth_nothing_else(here: Place) -> None:
    """It lies in another company's cloud."""
    headers = {"authorization": here._headers["authorization"]}
    for path in ("identities", "runs", "audit", "policies", "whoami"):
        answer = await here.owner.get(f"{V1}/{path}", headers=headers)
        assert answer.status_code == (200 if path == "whoami" else 403), path
    wanted = {"id": "eve", "roles": ["admin"]}
    problem(await here.owner.post(f"{V1}/identities", json=wanted, headers=headers), 403, "permission-denied")
    # Nor do roles of people reach it: an administrator is no directory.
    await here.owner.post(f"{V1}/identities", json={"id": "boss", "kind": "service", "roles": ["admin"]})
    made = await here.owner.post(f"{V1}/identities/service/boss/tokens", json={"label": "t"})
    other = {"authorization": f"Bearer {made.json()['token']}"}
    assert "may not" in scim_error(await here.ask("GET", "/Users", headers=other), 403)
    scim_error(await here.ask("POST", "/Users", content=b"<x/>", headers={"content-type": "text/xml"}), 415)
    scim_error(await here.ask("POST", "/Users", content=b"{"), 400, "invalidSyntax")
    scim_error(await here.ask("GET", "/Nothing"), 404)


async def test_what_was_said_and_changed_is_in_the_audit_without_the_data(here: Place) -> None:
    """Who may what changed, by whom, when; names and addresses would stay there for ever."""
    name = await here.add("ann", displayName="Canary Person")
    await here.team("Operations", name)
    await here.ask("GET", "/Users")
    records = await here.log("identity.provision")

    assert {record["principal"] for record in records} == {"service:directory"}
    group, person = records
    assert (person["resource"], person["data"]["what"]) == (f"identity:person/{name}", "created")
    assert person["data"]["attributes"] == ["displayName", "externalId", "userName"]
    assert (group["data"]["who_added"], group["data"]["name"]) == ([name], "Operations")
    assert "Canary" not in str(records)
    assert await here.log("identity.lookup") == []


async def test_of_many_changes_at_once_none_is_lost(here: Place) -> None:
    """A directory has workers; each adds one member, and everybody is in it."""
    names = [await here.add(f"p{number}") for number in range(20)]
    team = await here.team("Operations")
    each = [{"op": "add", "path": "members", "value": [{"value": name}]} for name in names]

    answers = await asyncio.gather(*(here.patch(f"/Groups/{team}", operation) for operation in each))
    twice = await asyncio.gather(
        *(here.ask("POST", "/Users", json={"userName": "same", "externalId": "same"}) for _ in range(5))
    )

    assert {answer.status_code for answer in answers} == {200}
    found = (await here.ask("GET", f"/Groups/{team}")).json()["members"]
    assert sorted(member["value"] for member in found) == sorted(names)
    assert sorted(answer.status_code for answer in twice) == [201, 409, 409, 409, 409]


async def test_a_stolen_folder_tells_nothing_of_the_directory(tmp_path: Path) -> None:
    """Names, addresses and who is in which team are sealed like all that is said of people."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    settings = msgspec.structs.replace(settings_of(), key_file=str(key))
    async with place(data, settings) as here:
        name = await here.add("kanarienvogel-ann", displayName="Kanarienvogel")
        await here.team("Kanarienvogel-Team", name)
        await here.patch(f"/Users/{name}", {"op": "replace", "path": "name.givenName", "value": "Kanarienvogel"})
        files = [path for path in data.rglob("*") if path.is_file()]
        shown = [path.name for path in files if b"Kanarienvogel" in path.read_bytes()]
    assert (data / "segue.db").exists()
    assert shown == []


async def test_people_and_groups_of_a_directory_survive_a_restart(tmp_path: Path) -> None:
    """As they were, to the version."""
    async with place(tmp_path) as here:
        name = await here.add("ann")
        team = await here.team("Operations", name)
        before = [(await here.ask("GET", path)).json() for path in (f"/Users/{name}", f"/Groups/{team}")]
    async with place(tmp_path) as here:
        after = [(await here.ask("GET", path)).json() for path in (f"/Users/{name}", f"/Groups/{team}")]
        assert after == before
        assert (await here.person(name))["roles"] == ["operator"]


async def test_a_large_change_of_a_group_holds_nobody_else_up(here: Place) -> None:
    """A thousand operations on thousands of members took seconds in which nothing else was answered."""
    ann = await here.add("ann")
    teams = here.service.scim_groups._teams
    team = await here.team("Everybody", ann)
    known = teams.find(team)
    assert known is not None
    teams.hold(msgspec.structs.replace(known, members=[ann, *(f"gone-{n}" for n in range(3000))]))
    removed = [{"op": "remove", "path": f'members[value eq "gone-{n}"]'} for n in range(600)]
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    answer = await here.patch(f"/Groups/{team}", *removed)
    ticking.cancel()

    assert answer.status_code == 200, answer.text
    assert len(answer.json()["members"]) == 2401
    assert ticks > 10
