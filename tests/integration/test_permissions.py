"""Every route with every role, against the published table; and the ways around it."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_type_hints

import httpx
import pytest
from tests.integration.api_support import BASE, FIRST, SCIM, YAML, choose_own, client_of, problem, scim_error
from tests.integration.service_support import document

import segue.service.service
from segue.api import openapi_document, scim
from segue.api.app import PAGES, ROOMS
from segue.governance import ROLES, Policies, shipped, table
from segue.service import Service, Settings, open_service

V1 = "/api/v1"
OPEN = {
    *("getHealth", "getReady", "login", "getTaskByCode", "decideTaskByCode"),
    *("beginOidc", "finishOidc", "finishOidcOf", "handOverOidc", "listProviders"),
}
# Everybody who is signed in may do these to themselves.
ONESELF = {"logout", "whoAmI", "setOwnPassword", "beginTotp", "confirmTotp"}
# Bodies that the schema alone does not make readable.
BODIES: dict[str, Any] = {
    "startRun": {"workflow": "demo/flow"},
    "addConnection": {"name": "crm", "document": "{}"},
    "sendEvents": {"specversion": "1.0", "id": "1", "source": "/t", "type": "t"},
    "runRetention": {"dryRun": True},
    "pruneAudit": {"before": "2020-01-01T00:00:00Z", "dryRun": True},
    "explainPolicy": {"who": "role:viewer", "action": "run.read"},
    "ownConnection": {"owner": "person:ann", "reason": "x"},
    "ownModel": {"owner": "person:ann", "reason": "x"},
    "adjustWorkflow": {"values": {"x": 1}, "reason": "x"},
    "changePolicy": {"text": None, "reason": "x"},
    "scimAddUser": {"userName": "somebody"},
    "scimReplaceUser": {"userName": "somebody"},
    "scimPatchUser": {"Operations": [{"op": "remove", "path": "displayName"}]},
    "scimAddGroup": {"displayName": "some"},
    "scimReplaceGroup": {"displayName": "some"},
    "scimPatchGroup": {"Operations": [{"op": "remove", "path": "members"}]},
    "reviewControl": {
        "since": "2020-01-01T00:00:00Z",
        "until": "2020-02-01T00:00:00Z",
        "outcome": "accepted",
        "comment": "x",
    },
}
# Use cases that ask in their middle.
ASKED_INSIDE = {
    "accounts.add": "identity.change",
    "accounts.change": "identity.change",
    "account_changes.decide": "identity.approve",
    "profiles.put": "profile.put",
    "tokens.make": "identity.change",
    "tokens.revoke": "identity.change",
    "publications.decide": "publication.approve",
    "controls.review": "control.review",
    "adjusting.adjust": "workflow.adjust",
    "adjusting.decide": "adjustment.approve",
    "owning.decide": "consent.decide",
}
DOCUMENT = openapi_document()
OPERATIONS = {
    described["operationId"]: (method.upper(), path)
    for path, methods in DOCUMENT["paths"].items()
    for method, described in methods.items()
}
# A value for each place in the path: what its schema lists, a number, or any text.
PLACES = {
    described["operationId"]: {
        given["name"]: str(given["schema"].get("enum", [1 if given["schema"].get("type") == "integer" else "x"])[0])
        for given in described.get("parameters", ())
        if given["in"] == "path"
    }
    for methods in DOCUMENT["paths"].values()
    for described in methods.values()
}
# Pages: outside the document, and listed here so that a new one is a decision too.
OPEN_PAGES = {("GET", "/desk/sign-in"), ("POST", "/desk/sign-in"), ("GET", "/desk/code"), ("POST", "/desk/code")}
# Everybody who is signed in: they show nothing, or do something to oneself.
OWN_PAGES = {("GET", "/desk"), ("POST", "/desk/sign-out"), ("GET", "/desk/password"), ("POST", "/desk/password")}
PAGE_ACTIONS = {
    ("GET", "/desk/inbox"): {"task.list"},
    ("GET", "/desk/tasks/{task}"): {"task.read"},
    # Each shows the task again where it is refused, so that whoever may not do it, and may look, sees why.
    ("POST", "/desk/tasks/{task}/decide"): {"task.read"},
    ("POST", "/desk/tasks/{task}/claim"): {"task.claim", "task.read"},
    ("POST", "/desk/tasks/{task}/release"): {"task.claim", "task.read"},
    ("POST", "/desk/tasks/{task}/delegate"): {"task.claim", "task.read"},
}
GUARDED = sorted(set(OPERATIONS) - OPEN - ONESELF)


def smallest(schema: dict[str, Any]) -> Any:
    """The smallest value that fits a schema of ours."""
    if "$ref" in schema:
        return smallest(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        return smallest(schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: smallest(schema["properties"][name]) for name in schema.get("required", ())}
        case "array":
            return []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "string" if schema.get("format") == "date-time":
            return "2020-01-01T00:00:00Z"
        case "string":
            return "/do/0" if schema.get("pattern", "").startswith("^/") else "x" * max(1, schema.get("minLength", 1))
    return None


def body_of(operation: str) -> Any:
    if operation in BODIES:
        return BODIES[operation]
    method, path = OPERATIONS[operation]
    body = DOCUMENT["paths"][path][method.lower()].get("requestBody", {"content": {}})
    schema = body["content"].get("application/json", {}).get("schema")
    return {} if schema is None and method == "POST" else smallest(schema) if schema else None


def test_only_these_routes_are_open() -> None:
    """Each of them is a way in for a stranger; a new one is a decision."""
    found = {
        described["operationId"]
        for methods in DOCUMENT["paths"].values()
        for described in methods.values()
        if "security" not in described
    }
    assert found == OPEN


def actions() -> dict[str, str]:
    """The action of each operation: that of the use case which its route calls."""
    groups = get_type_hints(Service, {**vars(segue.service.service), "EmbeddedHost": object})
    found = {}
    for route in [route for room in (*ROOMS, scim) for route in room.router.routes]:
        operation = getattr(route, "operation_id", None)
        if operation not in GUARDED:
            continue
        called = re.findall(r"service\.(\w+)\.(\w+)\(", inspect.getsource(route.endpoint))  # type: ignore[attr-defined]
        for group, method in called:
            declared = getattr(getattr(groups[group], method), "__action__", None)
            found[operation] = declared or ASKED_INSIDE[f"{group}.{method}"]
    return found


ACTION = actions()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with open_service(tmp_path, Settings(), local=None) as opened:
        yield opened


@pytest.fixture
async def owner(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client


async def account(owner: httpx.AsyncClient, name: str, *roles: str, **token: Any) -> dict[str, str]:
    """Headers of a service account with these roles."""
    body = {"id": name, "kind": "service", "roles": list(roles)}
    added = await owner.post(f"{V1}/identities", json=body)
    assert added.status_code == 201, added.text
    made = await owner.post(f"{V1}/identities/service/{name}/tokens", json={"label": "t", **token})
    assert made.status_code == 201, made.text
    return {"authorization": f"Bearer {made.json()['token']}"}


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def send(client: httpx.AsyncClient, operation: str, headers: dict[str, str]) -> httpx.Response:
    method, path = OPERATIONS[operation]
    path = re.sub(r"\{(\w+)\}", lambda part: PLACES[operation][part[1]], path)
    if operation in ("publishWorkflow", "validateWorkflow", "testWorkflow"):
        return await client.request(method, path, content=document(), headers={**headers, **YAML})
    if operation == "sendEvents":
        headers = {**headers, "content-type": "application/cloudevents+json"}
    described = DOCUMENT["paths"][OPERATIONS[operation][1]][method.lower()]
    asked = [given for given in described.get("parameters", ()) if given["in"] == "query" and given.get("required")]
    query = {given["name"]: smallest(given["schema"]) for given in asked}
    return await client.request(method, path, params=query, json=body_of(operation), headers=headers)


def is_scim(answer: httpx.Response) -> bool:
    return answer.url.path.startswith(SCIM)


def is_denied(answer: httpx.Response) -> bool:
    if is_scim(answer):
        return "may not" in scim_error(answer, 403)
    return bool(answer.json()["type"] == "urn:segue:problem:permission-denied")


def unknown(answer: httpx.Response) -> None:
    """Whoever asked is nobody here."""
    if is_scim(answer):
        scim_error(answer, 401)
    else:
        problem(answer, 401, "token-refused")


@pytest.mark.parametrize("role", [role for role in ROLES if role != "owner"])
async def test_every_route_answers_each_role_as_the_table_says(owner: httpx.AsyncClient, role: str) -> None:
    """The table is what an auditor is shown; a route that does not follow it is a hole or a nuisance."""
    headers = await account(owner, "somebody", role)
    allowed = table(Policies(shipped()))
    wrong = []
    for operation in GUARDED:
        if operation in ("streamAll",) and role in allowed["run.follow"]:
            continue  # It answers for as long as somebody listens.
        answer = await send(owner, operation, headers)
        may = role in allowed[ACTION[operation]]
        denied = answer.status_code == 403 and is_denied(answer)
        if answer.status_code >= 500 and answer.status_code != 503:
            wrong.append(f"{operation}: {answer.status_code} {answer.text}")
        if not may and answer.status_code in (400, 415, 422):
            wrong.append(f"{operation}: give it a body in BODIES that its route reads: {answer.text}")
        elif denied == may:
            wrong.append(f"{operation}: {role} {'may' if may else 'may not'}, answered {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_every_page_is_listed() -> None:
    """A page that no test knows is a way in that nobody looked at."""
    found = {(method, route.path) for room in PAGES for route in room.router.routes for method in route.methods}  # type: ignore[attr-defined]
    assert found == OPEN_PAGES | OWN_PAGES | set(PAGE_ACTIONS)


@pytest.mark.parametrize("role", ["viewer", "approver", "builder"])
async def test_every_page_answers_each_role_as_the_table_says(owner: httpx.AsyncClient, role: str) -> None:
    """A page gives nobody what the API would not; and nobody without a credential anything but where to sign in."""
    headers = await account(owner, "somebody", role)
    allowed = table(Policies(shipped()))
    for (method, path), actions in PAGE_ACTIONS.items():
        place = path.replace("{task}", "1")
        sent = {"data": {"to": "ann", "outcome": "approve"}} if method == "POST" else {}
        answer = await owner.request(method, place, headers=headers, **sent)  # type: ignore[arg-type]
        may = all(role in allowed[action] for action in actions)
        assert answer.headers["content-type"].startswith("text/html"), answer.text
        assert answer.status_code == (200 if path == "/desk/inbox" else 404) if may else answer.status_code == 403
    for method, path in (*PAGE_ACTIONS, *OWN_PAGES):
        place = path.replace("{task}", "1")
        for nobody in ({"authorization": ""}, {"authorization": "Bearer sg_no"}, {"authorization": "Basic eDp5"}):
            answer = await owner.request(method, place, headers=nobody)
            assert answer.status_code == 303, (method, place, answer.text)
            assert answer.headers["location"].startswith("/desk/sign-in?next=%2Fdesk%2F")
            assert "set-cookie" not in answer.headers


async def test_nobody_gets_anything_without_a_token(owner: httpx.AsyncClient) -> None:
    """Also not by a wrong scheme, an empty one, or the cookie of nobody."""
    for operation in sorted(set(OPERATIONS) - OPEN):
        for headers in ({"authorization": ""}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer sg_no"}):
            unknown(await send(owner, operation, headers))


async def test_a_refusal_names_the_action_and_who_may_and_not_the_data(owner: httpx.AsyncClient) -> None:
    """Whether a run exists is itself something to know."""
    headers = await account(owner, "nobody-much")

    told = problem(await owner.get(f"{V1}/runs/secret-run", headers=headers), 403, "permission-denied")

    assert "run.read" in told["detail"]
    assert "viewer" in told["remedy"]
    assert "secret-run" not in told["detail"] + told["remedy"]


async def test_a_scoped_token_is_worth_its_scopes_only(owner: httpx.AsyncClient) -> None:
    """A deploy token in somebody's logs must not read runs."""
    headers = await account(owner, "ci", "publisher", scopes=["publish"])

    published = await owner.post(f"{V1}/workflows", content=document(), headers={**headers, **YAML})

    assert published.status_code == 201
    problem(await owner.get(f"{V1}/runs", headers=headers), 403, "permission-denied")


async def test_a_revoked_token_and_a_locked_account_are_out_at_once(owner: httpx.AsyncClient) -> None:
    """A leaked credential is ended now and not at the next restart."""
    first, second = await account(owner, "one", "viewer"), await account(owner, "two", "viewer")
    (token,) = (await owner.get(f"{V1}/identities/service/one/tokens")).json()

    assert (await owner.delete(f"{V1}/tokens/{token['id']}")).status_code == 200
    locked = {"state": "locked", "reason": "left the company"}
    assert (await owner.post(f"{V1}/identities/service/two", json=locked)).status_code == 200

    for headers in (first, second):
        problem(await owner.get(f"{V1}/runs", headers=headers), 401, "token-refused")


async def test_nobody_raises_themselves(owner: httpx.AsyncClient) -> None:
    """An administrator decides about others; that is what makes two of them two."""
    admin = await account(owner, "boss", "admin")
    wanted = {"roles": ["admin", "publisher"]}

    told = problem(
        await owner.post(f"{V1}/identities/service/boss", json=wanted, headers=admin), 403, "permission-denied"
    )
    assert "not-oneself" in told["detail"]
    await account(owner, "other")
    other = f"{V1}/identities/service/other"
    assert (await owner.post(other, json={"roles": ["publisher"]}, headers=admin)).status_code == 200
    # Another administrator would be themselves once more, and an account of a program asks for none.
    problem(await owner.post(other, json=wanted, headers=admin), 403, "permission-denied")
    for role in ("owner", "system"):
        given = {"roles": [role]}
        problem(
            await owner.post(f"{V1}/identities/service/other", json=given, headers=admin), 422, "identity-refused"
        )


async def test_what_somebody_did_stands_under_their_own_name(owner: httpx.AsyncClient) -> None:
    """A name in the body is a claim; the token is who it was."""
    headers = await account(owner, "ola", "operator", "publisher")
    text = document("- wait: {wait: PT1H}")
    await owner.post(f"{V1}/workflows", content=text, headers={**headers, **YAML})
    run = (await owner.post(f"{V1}/runs", json={"workflow": "demo/flow"}, headers=headers)).json()
    assert run["cause"]["by"] == "service:ola"

    lie = {"reason": "a joke", "by": "the director"}
    await owner.post(f"{V1}/runs/{run['id']}/terminate", json=lie, headers=headers)

    history = (await owner.get(f"{V1}/runs/{run['id']}/history")).json()["items"]
    assert [event["by"] for event in history if "by" in event] == ["service:ola"]


async def test_signing_in_gives_a_session_that_only_our_own_page_can_use(service: Service) -> None:
    """A browser sends the cookie for any page, so a change needs what only our page was told."""
    async with client_of(service) as owner:
        body = {"id": "ann", "roles": ["admin"], "password": FIRST}
        assert (await owner.post(f"{V1}/identities", json=body)).status_code == 201
        await choose_own(owner, "ann", "correct horse battery")
        app = owner._transport
        async with httpx.AsyncClient(transport=app, base_url=BASE) as browser:
            given = {"name": "ann", "password": "correct horse battery"}
            answer = await browser.post(f"{V1}/login", json=given)
            cookie = answer.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            assert "correct horse" not in answer.text

            assert (await browser.get(f"{V1}/whoami")).json()["id"] == "ann"
            problem(await browser.post(f"{V1}/retention/run", json={"dryRun": True}), 403, "csrf-refused")
            page = {"x-csrf-token": answer.json()["csrf"]}
            done = await browser.post(f"{V1}/retention/run", json={"dryRun": True}, headers=page)
            assert done.status_code == 200, done.text

            assert (await browser.post(f"{V1}/logout", headers=page)).status_code == 200
            browser.cookies.set("segue_session", answer.json()["token"])
            problem(await browser.get(f"{V1}/whoami"), 401, "token-refused")


async def test_wrong_passwords_bar_a_name_and_say_nothing(owner: httpx.AsyncClient) -> None:
    """Guessing must neither work nor tell who exists."""
    body = {"id": "ann", "password": "correct horse battery"}
    await owner.post(f"{V1}/identities", json=body)

    async def login(name: str, password: str) -> httpx.Response:
        return await owner.post(f"{V1}/login", json={"name": name, "password": password})

    known, unknown = await login("ann", "wrong"), await login("nobody", "wrong")
    assert known.json() == unknown.json()
    for _ in range(4):
        problem(await login("ann", "wrong"), 401, "login-refused")
    problem(await login("ann", "correct horse battery"), 429, "login-barred")


async def test_people_survive_a_restart_and_the_file_holds_no_credential(tmp_path: Path) -> None:
    """Who may do what is data like any other; what a bearer holds is nowhere."""
    async with open_service(tmp_path, Settings()) as service, client_of(service) as owner:
        headers = await account(owner, "ci", "viewer")
        await owner.post(f"{V1}/identities", json={"id": "ann", "password": FIRST})
        await choose_own(owner, "ann", "correct horse battery")
    token = headers["authorization"].removeprefix("Bearer ")
    for content in contents(tmp_path):
        assert token.encode() not in content
        assert b"correct horse" not in content
        assert FIRST.encode() not in content

    async with open_service(tmp_path, Settings()) as service, client_of(service) as owner:
        assert (await owner.get(f"{V1}/runs", headers=headers)).status_code == 200
        given = {"name": "ann", "password": "correct horse battery"}
        assert (await owner.post(f"{V1}/login", json=given)).status_code == 200


async def test_a_policy_counts_at_once_and_is_kept_with_who_and_why(tmp_path: Path) -> None:
    """Taking a right away must not wait for a restart, and must survive one."""
    text = (
        '@id("no-viewers") forbid (principal, action == Action::"run.list", resource)'
        ' unless { principal in Role::"owner" };'
    )
    async with open_service(tmp_path, Settings()) as service, client_of(service) as owner:
        viewer, admin = await account(owner, "vic", "viewer"), await account(owner, "ada", "admin")
        assert (await owner.get(f"{V1}/runs", headers=viewer)).status_code == 200

        wanted = {"text": text, "reason": "runs are private"}
        told = await owner.post(f"{V1}/policies/privacy", json=wanted, headers=admin)
        assert told.status_code == 200, told.text

        problem(await owner.get(f"{V1}/runs", headers=viewer), 403, "permission-denied")
        question = {"who": "service:vic", "action": "run.list"}
        answer = (await owner.post(f"{V1}/policies/explain", json=question)).json()
        assert answer["verdict"] == "deny"
        assert "run.list" in answer["rules"]["no-viewers"]
        (change,) = (await owner.get(f"{V1}/policies/history")).json()["items"]
        assert (change["by"], change["reason"]) == ("service:ada", "runs are private")

    async with open_service(tmp_path, Settings()) as service, client_of(service) as owner:
        problem(await owner.get(f"{V1}/runs", headers=viewer), 403, "permission-denied")
        back = {"text": None, "reason": "no longer"}
        assert (await owner.post(f"{V1}/policies/privacy", json=back)).status_code == 200
        assert (await owner.get(f"{V1}/runs", headers=viewer)).status_code == 200


async def test_a_policy_that_shuts_the_owner_out_is_refused(owner: httpx.AsyncClient) -> None:
    """Nobody could take it back."""
    text = '@id("all") forbid (principal, action, resource);'

    told = problem(await owner.post(f"{V1}/policies/x", json={"text": text, "reason": "oops"}), 422, "policy-refused")

    assert "take this back" in told["detail"]
    assert (await owner.get(f"{V1}/policies")).status_code == 200


async def test_rules_are_tried_by_a_table_before_they_are_set(owner: httpx.AsyncClient) -> None:
    """A change of policy is tested like a change of code."""
    text = (
        '@id("no-start") forbid (principal, action == Action::"run.start", resource)'
        ' when { resource.namespace == "hr" };'
    )
    cases = [
        {"who": "role:operator", "action": "run.start", "what": "hr/hire", "want": "deny"},
        {"who": "role:operator", "action": "run.start", "what": "sales/x", "want": "allow"},
        {"who": "role:viewer", "action": "run.start", "what": "sales/x", "want": "allow"},
    ]

    tried = (await owner.post(f"{V1}/policies/test", json={"cases": cases, "files": {"hr": text}})).json()

    assert [case["passed"] for case in tried["cases"]] == [True, True, False]
    assert (await owner.get(f"{V1}/policies")).json()["version"].startswith("0-")


async def test_every_route_is_closed_to_another_workspace(tmp_path: Path) -> None:
    """Neither its owner's token nor an administrator's is anything on the other side of the border."""
    north, south = Settings(workspace="north"), Settings(workspace="south")
    async with (
        open_service(tmp_path / "north", north, local=None) as one,
        open_service(tmp_path / "south", south, local=None) as other,
        client_of(one, north) as here,
        client_of(other, south) as there,
    ):
        headers = await account(here, "ada", "admin", "publisher", "operator", "approver")
        assert (await here.get(f"{V1}/whoami", headers=headers)).json()["workspace"] == "north"
        await here.post(f"{V1}/workflows", content=document(), headers={**headers, **YAML})

        for operation in sorted(set(OPERATIONS) - OPEN):
            unknown(await send(there, operation, headers))
        for path in ("workflows", "identities", "runs", "connections", "switches"):
            assert (await there.get(f"{V1}/{path}")).json()["items"] == []


async def test_whoever_was_added_under_another_workspace_has_no_rights(tmp_path: Path) -> None:
    """A folder that is copied and renamed takes its people along, and they must not get in by that."""
    async with open_service(tmp_path, Settings()) as service, client_of(service) as owner:
        headers = await account(owner, "vic", "viewer")
    moved = Settings(workspace="moved")
    async with open_service(tmp_path, moved) as service, client_of(service, moved) as owner:
        told = problem(await owner.get(f"{V1}/runs", headers=headers), 403, "permission-denied")
        assert "workspace-border" in told["detail"]
        assert (await owner.get(f"{V1}/runs")).status_code == 200
