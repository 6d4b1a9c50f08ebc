"""An administrator takes nobody over alone: every way to act under another's name needs a second pair of eyes."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from tests.integration.api_support import FIRST, choose_own, client_of, problem
from tests.integration.cli_support import Cli
from tests.integration.test_owning import CRM
from tests.integration.test_scim import PATCH, SCIM, TYPE, USER, settings_of
from tests.integration.wishes_support import age

from segue.service import NewIdentity, Service, Settings, open_service
from segue.store.personal import acts_of

V1 = "/api/v1"
OWN = "correct horse battery {}"


class House:
    """A server, its owner, and people who sign in."""

    def __init__(self, service: Service, owner: httpx.AsyncClient) -> None:
        self.service, self.owner = service, owner

    async def add(self, name: str, *roles: str, **more: Any) -> dict[str, str]:
        """Somebody who signs in with a password of their own; what they send with each request."""
        body = {"id": name, "roles": list(roles), "password": FIRST, **more}
        assert (await self.owner.post(f"{V1}/identities", json=body)).status_code == 201
        await choose_own(self.owner, name, OWN.format(name))
        return await self.enter(name)

    async def enter(self, name: str, password: str = "", **more: Any) -> dict[str, str]:
        body = {"name": name, "password": password or OWN.format(name), **more}
        answer = await self.owner.post(f"{V1}/login", json=body)
        assert answer.status_code == 200, answer.text
        return {"authorization": f"Bearer {answer.json()['token']}"}

    async def change(self, name: str, who: dict[str, str], **body: Any) -> httpx.Response:
        return await self.owner.post(f"{V1}/identities/person/{name}", json=body, headers=who)

    async def profile(self, name: str, who: dict[str, str], **body: Any) -> httpx.Response:
        return await self.owner.post(f"{V1}/people/{name}", json=body, headers=who)

    async def new(self, who: dict[str, str], **body: Any) -> httpx.Response:
        return await self.owner.post(f"{V1}/identities", json=body, headers=who)

    async def decide(self, number: int, who: dict[str, str], *, approve: bool = True) -> httpx.Response:
        body = {"approve": approve, "reason": "called them"}
        return await self.owner.post(f"{V1}/identity-changes/{number}/decide", json=body, headers=who)

    async def waiting(self, state: str = "waiting") -> list[dict[str, Any]]:
        answer = await self.owner.get(f"{V1}/identity-changes", params={"state": state})
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def waits(self, answer: httpx.Response, *ways: str) -> int:
        """It waits for a second administrator, because of these ways."""
        problem(answer, 403, "approval-needed")
        newest = (await self.waiting())[0]
        assert newest["takesOver"] == list(ways), newest
        return int(newest["number"])


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_service(tmp_path / "data", settings_of(), local=None) as service, client_of(service) as owner:
        yield House(service, owner)


async def test_a_password_of_an_approver_counts_when_a_second_administrator_approved_it(house: House) -> None:
    """The thin line: it waits, nothing has changed, somebody else approves, it counts once."""
    adam, eve = await house.add("adam", "admin"), await house.add("eve", "admin")
    await house.add("ann", "approver")

    number = await house.waits(await house.change("ann", adam, password=FIRST), "password")

    await house.enter("ann")
    problem(await house.owner.post(f"{V1}/login", json={"name": "ann", "password": FIRST}), 401, "login-refused")
    assert [w["title"] for w in await waiting_for(house, eve)] == ["change person/ann: sets a password"]
    assert await waiting_for(house, adam) == []
    done = (await house.decide(number, eve)).json()
    assert (done["state"], done["decidedBy"], done["wantedBy"]) == ("approved", "person:eve", "person:adam")
    once = await house.owner.post(f"{V1}/login", json={"name": "ann", "password": FIRST})
    assert once.json()["identity"]["mustChange"]
    found = (await house.owner.get(f"{V1}/audit", params={"limit": 200})).json()["items"]
    told = {(r["action"], r["verdict"], r["principal"]) for r in found}
    assert ("identity.change", "needs-approval", "person:adam") in told
    assert ("identity.second", "approved", "person:eve") in told
    (set_by,) = [r["data"] for r in found if r["action"] == "password.set" and r["resource"] == "person:ann"][:1]
    assert set_by["by"] == "person:adam"
    assert (await house.owner.post(f"{V1}/audit/verify", json={})).json()["sound"]


async def waiting_for(house: House, who: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await house.owner.get(f"{V1}/waiting", headers=who)).json()["items"]
    return found


async def test_neither_who_wants_it_nor_whom_it_is_about_nor_anybody_else_approves(house: House) -> None:
    """One pair of eyes is not two, whoever's they are."""
    adam, eve = await house.add("adam", "admin"), await house.add("eve", "admin")
    others = [await house.add(name, role) for name, role in (("pia", "publisher"), ("aud", "auditor"))]
    number = await house.waits(await house.change("eve", adam, password=FIRST), "password")
    for who in (adam, eve, *others):
        problem(await house.decide(number, who), 403, "permission-denied")
        problem(await house.decide(number, who, approve=False), 403, "permission-denied")
    assert (await house.decide(number, {})).json()["state"] == "approved"  # the holder of the folder


async def test_the_holder_of_the_folder_needs_nobody(house: House, tmp_path: Path) -> None:
    """A company with one administrator must not be locked out of itself."""
    await house.add("adam", "admin")
    await house.add("ann", "approver")
    assert (await house.change("ann", {}, password=FIRST)).status_code == 200
    assert (await house.change("adam", {}, password=FIRST, reset_totp=True)).status_code == 200
    assert await house.waiting("all") == []


async def test_a_second_factor_of_anybody_needs_a_second_administrator(house: House) -> None:
    """Also of a viewer; where there is none, nothing is reset."""
    adam, eve = await house.add("adam", "admin"), await house.add("eve", "admin")
    vera = await house.add("vera", "viewer")
    assert (await house.change("vera", adam, reset_totp=True)).status_code == 200
    secret = (await house.owner.post(f"{V1}/me/totp", headers=vera)).json()["secret"]
    code = {"code": pyotp.TOTP(secret).now()}
    assert (await house.owner.post(f"{V1}/me/totp/confirm", json=code, headers=vera)).status_code == 200
    number = await house.waits(await house.change("vera", adam, reset_totp=True), "second factor")
    assert (await house.owner.get(f"{V1}/identities/person/vera")).json()["totp"]
    assert (await house.decide(number, eve)).status_code == 200
    assert not (await house.owner.get(f"{V1}/identities/person/vera")).json()["totp"]


async def test_a_password_of_who_decides_nothing_needs_one(house: House) -> None:
    """Somebody forgot a password on Sunday; and locking somebody out never waits."""
    adam = await house.add("adam", "admin")
    for name, role in (("vera", "viewer"), ("olaf", "operator"), ("bill", "builder")):
        await house.add(name, role)
        assert (await house.change(name, adam, password=FIRST)).status_code == 200
    await house.add("ann", "approver")
    assert (await house.change("ann", adam, state="locked", reason="a thief")).status_code == 200
    assert (await house.change("ann", adam, state="active")).status_code == 200
    assert (await house.change("ann", adam, roles=["approver", "operator"])).status_code == 200


@pytest.mark.parametrize(
    ("roles", "groups"),
    [(["auditor"], []), (["publisher"], []), (["finance-lead"], []), ([], ["sales"]), ([], ["board"])],
)
async def test_whoever_decides_about_anything_is_meant(house: House, roles: list[str], groups: list[str]) -> None:
    """By a role that ships, one of one's own, a connection of their group, or a rule about their group."""
    rule = '@id("b") permit (principal in Group::"board", action == Action::"task.decide", resource);'
    rule += ' @id("f") forbid (principal in Role::"finance-lead", action == Action::"backup.make", resource);'
    await house.owner.post(f"{V1}/policies/b", json={"text": rule, "reason": "a test"})
    await house.owner.post(f"{V1}/connections", json={"name": "crm", "document": CRM})
    said = {"owner": "group:sales", "reason": "a test"}
    assert (await house.owner.post(f"{V1}/connections/crm/owner", json=said)).status_code == 200
    adam = await house.add("adam", "admin")
    await house.add("zoe", *(roles or ["viewer"]), groups=groups)
    await house.waits(await house.change("zoe", adam, password=FIRST), "password")


async def test_rights_for_somebody_whose_password_one_has_set_are_the_same_in_another_order(house: House) -> None:
    """Reset the viewer, then make them an approver; or take the role away first, and give it back."""
    adam = await house.add("adam", "admin")
    await house.add("vera", "viewer")
    await house.add("ann", "approver")
    assert (await house.change("vera", adam, password=FIRST)).status_code == 200
    await choose_own(house.owner, "vera", OWN.format("adam knows"))
    await house.waits(await house.change("vera", adam, roles=["approver"]), "rights")
    assert (await house.change("ann", adam, roles=["viewer"])).status_code == 200
    assert (await house.change("ann", adam, password=FIRST)).status_code == 200
    await house.waits(await house.change("ann", adam, roles=["viewer", "approver"]), "rights")
    await house.waits(await house.change("ann", adam, groups=["x"], roles=["auditor"]), "rights")
    # Somebody who never set anything of theirs may.
    bert = await house.add("bert", "admin")
    assert (await house.change("vera", bert, roles=["approver"])).status_code == 200


async def test_nobody_invents_the_second_administrator(house: House) -> None:
    """A new one, a promoted one, an account with a token: each would be oneself with another hat."""
    adam = await house.add("adam", "admin")
    vera = await house.add("vera", "viewer")
    problem(await house.new(adam, id="sock", roles=["admin"], password=FIRST), 403, "approval-needed")
    problem(await house.new(adam, id="sock", roles=["admin"]), 403, "approval-needed")
    problem(await house.new(adam, id="sock", roles=["approver"], password=FIRST), 403, "approval-needed")
    problem(await house.change("vera", adam, roles=["admin"]), 403, "approval-needed")
    problem(await house.new(adam, id="robot", kind="service", roles=["admin"]), 403, "approval-needed")
    problem(await house.new(adam, id="dir", kind="service", roles=["provisioner"]), 403, "approval-needed")
    for one in await house.waiting():
        problem(await house.decide(one["number"], vera), 403, "permission-denied")
        problem(await house.decide(one["number"], adam), 403, "permission-denied")
    # A plain account for programs is nobody's second pair of eyes.
    assert (await house.new(adam, id="ci", kind="service", roles=["publisher"])).status_code == 201


async def test_an_account_of_a_program_neither_asks_nor_approves(house: House) -> None:
    """Its token is made by an administrator, who would be asking and approving alone."""
    adam, eve = await house.add("adam", "admin"), await house.add("eve", "admin")
    await house.add("ann", "approver")
    assert (await house.new({}, id="robot", kind="service", roles=["admin"])).status_code == 201
    tokens = f"{V1}/identities/service/robot/tokens"
    problem(await house.owner.post(tokens, json={"label": "t"}, headers=adam), 422, "identity-refused")
    made = (await house.owner.post(tokens, json={"label": "t"})).json()["token"]
    robot = {"authorization": f"Bearer {made}"}
    problem(await house.change("ann", robot, password=FIRST), 403, "permission-denied")
    number = await house.waits(await house.change("ann", adam, password=FIRST), "password")
    problem(await house.decide(number, robot), 403, "permission-denied")
    assert (await house.decide(number, eve)).status_code == 200


async def test_the_address_that_codes_go_to_is_as_good_as_a_password(house: House) -> None:
    """Also of somebody without an account, and of one who gets the account afterwards."""
    adam, eve = await house.add("adam", "admin"), await house.add("eve", "admin")
    await house.add("ann", "approver")
    vera = await house.add("vera", "viewer")
    number = await house.waits(await house.profile("ann", adam, email="adam@example.com"), "address")
    assert "ann" not in {p["id"] for p in (await house.owner.get(f"{V1}/people")).json() if p["email"]}
    assert (await house.decide(number, eve)).status_code == 200
    assert {p["id"]: p["email"] for p in (await house.owner.get(f"{V1}/people")).json()}["ann"] == "adam@example.com"
    await house.waits(await house.profile("zed", adam, email="adam@example.com", roles=["approver"]), "address")
    assert (await house.profile("yan", adam, email="adam@example.com", roles=["viewer"])).status_code == 200
    await house.waits(await house.profile("yan", adam, email="adam@example.com", roles=["approver"]), "address")
    await house.waits(await house.new(adam, id="yan", roles=["approver"]), "address")
    assert (await house.profile("vera", adam, email="adam@example.com")).status_code == 200
    await house.waits(await house.change("vera", adam, roles=["approver"]), "rights")
    # One's own address is one's own, and taking one away gives nobody anything.
    own = {"email": "vera@example.com"}
    assert (await house.owner.post(f"{V1}/me/profile", json=own, headers=vera)).status_code == 200
    assert (await house.profile("ann", adam, chat="http://127.0.0.1:9")).status_code == 200


async def test_by_way_of_the_directory_nobody_is_taken_over(house: House) -> None:
    """What SCIM says may give rights tomorrow, so a password for somebody from there always needs a second."""
    adam = await house.add("adam", "admin")
    await house.new({}, id="directory", kind="service", roles=["provisioner"])
    path = f"{V1}/identities/service/directory/tokens"
    problem(await house.owner.post(path, json={"label": "t"}, headers=adam), 422, "identity-refused")
    made = (await house.owner.post(path, json={"label": "t"})).json()["token"]
    headers = {"authorization": f"Bearer {made}", **TYPE}
    body = {"schemas": [USER], "userName": "dan@example.com", "password": FIRST}
    added = await house.owner.post(f"{SCIM}/Users", json=body, headers=headers)
    assert added.status_code == 201
    problem(await house.owner.post(f"{V1}/login", json={"name": "dan", "password": FIRST}), 401, "login-refused")
    await house.waits(await house.change("dan", adam, password=FIRST), "password")
    await house.waits(await house.profile("dan", adam, email="adam@example.com"), "address")
    operation = {"op": "replace", "path": "password", "value": FIRST}
    patch = {"schemas": [PATCH], "Operations": [operation]}
    await house.owner.patch(f"{SCIM}/Users/dan", json=patch, headers=headers)
    problem(await house.owner.post(f"{V1}/login", json={"name": "dan", "password": FIRST}), 401, "login-refused")


async def test_the_rule_cannot_be_changed_by_those_whom_it_binds(house: House) -> None:
    """Nor switched off by a file of the same name."""
    adam = await house.add("adam", "admin")
    for name in ("takeover", "separation"):
        text = f'@id("x-{name}") permit (principal, action, resource) when {{ false }};'
        answer = await house.owner.post(
            f"{V1}/policies/{name}", json={"text": text, "reason": "a test"}, headers=adam
        )
        problem(answer, 422, "policy-refused")


async def test_of_two_who_decide_at_once_one_counts(house: House) -> None:
    """Approved and refused at the same moment is one of the two, and the password agrees."""
    adam = await house.add("adam", "admin")
    eve, fay = await house.add("eve", "admin"), await house.add("fay", "admin")
    await house.add("ann", "approver")
    for round_ in range(6):
        password = f"{FIRST} {round_} and longer"
        number = await house.waits(await house.change("ann", adam, password=password), "password")
        answers = await asyncio.gather(house.decide(number, eve), house.decide(number, fay, approve=False))
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        login = await house.owner.post(f"{V1}/login", json={"name": "ann", "password": password})
        assert login.status_code == (200 if answers[0].status_code == 200 else 401)


async def test_a_wish_is_over_when_it_is_replaced_lapsed_or_its_author_locked_out(house: House) -> None:
    """Nobody approves what they did not read, what is long forgotten, or what a thief asked for."""
    adam, eve = await house.add("adam", "admin"), await house.add("eve", "admin")
    await house.add("ann", "approver")
    first = await house.waits(await house.change("ann", adam, password=FIRST), "password")
    second_ = await house.waits(await house.change("ann", adam, password=FIRST + " anew"), "password")
    problem(await house.decide(first, eve), 409, "account-change-decided")
    await house.change("adam", eve, state="locked", reason="stolen")
    problem(await house.decide(second_, eve), 422, "identity-refused")
    assert (await house.decide(second_, eve, approve=False)).json()["state"] == "refused"
    await house.change("adam", eve, state="active")
    third = await house.waits(await house.change("ann", await house.enter("adam"), password=FIRST), "password")
    await age(house.service, 72 * 3_600_000 + 1)
    problem(await house.decide(third, eve), 409, "account-change-decided")
    assert [w["state"] for w in await house.waiting()] == ["lapsed"]
    problem(await house.decide(99, eve), 404, "account-change-unknown")


async def test_what_waits_survives_a_restart_and_keeps_no_password(tmp_path: Path) -> None:
    """The hash waits as the others do, and goes when it is decided."""
    folder = tmp_path / "data"
    async with open_service(folder, Settings(), local=None) as service, client_of(service) as owner:
        house = House(service, owner)
        adam = await house.add("adam", "admin")
        await house.add("eve", "admin")
        await house.add("ann", "approver")
        number = await house.waits(await house.change("ann", adam, password="a very secret password"), "password")
    async with open_service(folder, Settings(), local=None) as service, client_of(service) as owner:
        house = House(service, owner)
        shown = str(await house.waiting())
        assert "argon2" not in shown
        assert "secret" not in shown
        assert (await house.decide(number, await house.enter("eve"))).status_code == 200
        await house.enter("ann", "a very secret password")
    with sqlite3.connect(folder / "segue.db") as connection:
        assert connection.execute("SELECT wish FROM account_change").fetchall() == [("{}",)]
        for names in (["person:adam"], ["person:eve"], ["ann"]):
            (row,) = acts_of(connection, names)["accountChanges"]
            assert (row["whom"], row["wanted_by"], row["decided_by"]) == ("person/ann", "person:adam", "person:eve")


def test_on_the_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The holder of the folder is the honest way out, and sees what waits."""
    segue = Cli(capsys)
    data = ("--data", tmp_path / "data")
    assert segue("users", "add", "ann", "--role", "admin", *data).code == 0
    assert "Nothing waits for a second administrator." in segue("users", "changes", *data).err
    assert segue("users", "approve", "1", "--reason", "x", *data).code == 2
    assert segue("users", "refuse", "1", "--reason", "x", *data, "--json").json["status"] == "refused"
    assert NewIdentity(id="x").roles == []
