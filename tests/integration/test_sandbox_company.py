"""The four systems over real HTTP: what they promise, their habits, and trouble on demand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from segue.sandbox import PracticeCompany

TODAY = date(2026, 11, 21)


class Client:
    """A careful client: it signs in as each system asks, and checks every answer against the document."""

    def __init__(self, company: PracticeCompany) -> None:
        self.company = company
        self.http = httpx.AsyncClient()
        self.documents: dict[str, Any] = {}
        self.signed: dict[str, dict[str, Any]] = {}

    async def sign_in(self) -> None:
        for name, running in self.company.systems.items():
            self.documents[name] = (await self.http.get(running.openapi_url)).json()
            given = running.credentials
            match given["kind"]:
                case "basic":
                    self.signed[name] = {"auth": (given["username"], given["password"])}
                case "bearer":
                    self.signed[name] = {"headers": {"Authorization": f"Bearer {given['token']}"}}
                case "api_key":
                    self.signed[name] = {"headers": {given["header"]: given["key"]}}
                case "oauth2":
                    self.signed[name] = {"headers": {"Authorization": f"Bearer {await self.token()}"}}

    async def token(self, **form: str) -> str:
        given = self.company.systems["crm"].credentials
        answer = await self.http.post(
            given["token_url"],
            data={"grant_type": "client_credentials", **form},
            auth=(given["client_id"], given["client_secret"]),
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    async def call(self, name: str, operation_id: str, path: str, **options: Any) -> httpx.Response:
        """Call an operation and check the answer's body against what the document says of it."""
        method, operation = self.operation(name, operation_id)
        signed = self.signed[name]
        headers = {**signed.get("headers", {}), **options.pop("headers", {})}
        answer = await self.http.request(
            method, self.company.systems[name].url + path, headers=headers, auth=signed.get("auth"), **options
        )
        described = operation["responses"].get(str(answer.status_code), operation["responses"]["default"])
        self.check(name, described, answer)
        return answer

    def operation(self, name: str, operation_id: str) -> tuple[str, dict[str, Any]]:
        for item in self.documents[name]["paths"].values():
            for method, operation in item.items():
                if method in ("get", "post") and operation["operationId"] == operation_id:
                    return method, operation
        raise LookupError(operation_id)

    def check(self, name: str, described: dict[str, Any], answer: httpx.Response) -> None:
        document = self.documents[name]
        if "$ref" in described:
            *_, section, title = described["$ref"].split("/")
            described = document.get("components", document)[section][title]
        schema = described.get("schema")
        if schema is None:
            (media_type,) = described["content"]
            assert answer.headers["content-type"] == media_type
            schema = described["content"][media_type]["schema"]
        shelf = "definitions" if "swagger" in document else "components"
        whole = with_null_of_openapi_30({**schema, shelf: document[shelf]})
        jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(answer.json())


def with_null_of_openapi_30(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [with_null_of_openapi_30(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: with_null_of_openapi_30(value) for key, value in schema.items()}
    return {**changed, "type": [changed["type"], "null"]} if changed.get("nullable") is True else changed


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return tmp_path_factory.mktemp("company")


@pytest.fixture
async def company(directory: Path) -> AsyncIterator[PracticeCompany]:
    async with PracticeCompany(directory, today=TODAY) as running:
        for system in running.systems.values():
            system.reset()
        yield running


@pytest.fixture
async def client(company: PracticeCompany) -> AsyncIterator[Client]:
    made = Client(company)
    async with made.http:
        await made.sign_in()
        yield made


async def some_account(client: Client) -> dict[str, Any]:
    page = await client.call("crm", "listAccounts", "/accounts?limit=1")
    account: dict[str, Any] = page.json()["items"][0]
    return account


async def test_one_customer_can_be_collected_from_all_four_systems(client: Client) -> None:
    """The first half of the renewal job, along the references that the CRM keeps."""
    account = await some_account(client)
    references = account["externalRefs"]

    paid = await client.call("billing", "getClient", f"/clients/{references['billingClientNo']}")
    used = await client.call("usage", "getCustomer", f"/customers/{references['usageCustomerRef']}")
    asked = await client.call("support", "lookupRequester", f"/requesters/lookup?email={account['email'].upper()}")
    tickets = await client.call("support", "listTickets", f"/tickets?requester_email={account['email']}")

    first, last = account["displayName"].split(" ")
    assert paid.json()["full_name"] == f"{last}, {first}"
    assert used.json()["customer_ref"] == references["usageCustomerRef"]
    assert asked.json()["tickets_180d"] == tickets.json()["count"]


async def test_the_crm_is_read_to_its_end_by_cursor(client: Client) -> None:
    """Keyset paging neither skips nor repeats, and the filter holds on every page."""
    seen: list[dict[str, Any]] = []
    query = {"renewal_from": "2026-11-22", "renewal_before": "2026-11-28", "limit": "200"}
    while True:
        page = (await client.call("crm", "listAccounts", "/accounts", params=query)).json()
        seen += page["items"]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]

    assert len({one["accountId"] for one in seen}) == len(seen) > 400
    assert {one["renewalDate"] for one in seen} == {str(TODAY + timedelta(days=days)) for days in range(1, 7)}


async def test_billing_is_read_to_its_end_by_page_number(client: Client) -> None:
    """Page number, page size and total agree with each other."""
    path = "/clients?payment_method=mailed_check&page_size=100&page="
    first = (await client.call("billing", "listClients", path + "1")).json()
    pages = -(-first["total"] // 100)
    rest = [(await client.call("billing", "listClients", path + str(page))).json() for page in range(2, pages + 2)]
    seen = [one["client_no"] for page in [first, *rest] for one in page["data"]]

    assert len(set(seen)) == len(seen) == first["total"] == 1612
    assert rest[-1]["data"] == []


async def test_usage_is_read_to_its_end_by_link_header(client: Client) -> None:
    """The next address is complete: a client follows it as it is."""
    path, seen = "/customers?internet=none&per_page=100", []
    while True:
        answer = await client.call("usage", "listCustomers", path)
        seen += [one["customer_ref"] for one in answer.json()]
        if "next" not in answer.links:
            break
        path = answer.links["next"]["url"].removeprefix(client.company.systems["usage"].url)

    assert len(set(seen)) == len(seen) == 1526


async def test_support_is_read_to_its_end_by_offset(client: Client) -> None:
    """Offset, limit and count agree with each other."""
    seen: list[str] = []
    count = 1
    while len(seen) < count:
        answer = await client.call("support", "listRequesters", f"/requesters?limit=100&offset={len(seen)}")
        count = answer.json()["count"]
        seen += [one["email"] for one in answer.json()["requesters"]]

    assert len(set(seen)) == len(seen) == 7043 - 8


@pytest.mark.parametrize(
    ("name", "path", "scheme"),
    [
        ("crm", "/accounts", "Bearer"),
        ("billing", "/clients", "Basic"),
        ("usage", "/customers", "Bearer"),
        ("support", "/tickets", None),
    ],
)
async def test_nobody_gets_in_without_credentials(client: Client, name: str, path: str, scheme: str | None) -> None:
    """Absent and wrong credentials alike are told how to sign in, as far as HTTP has a word for it."""
    url = client.company.systems[name].url + path
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic d3Jvbmc6"}, {"X-Api-Key": "?"}):
        answer = await client.http.get(url, headers=headers)
        assert answer.status_code == 401
        assert answer.headers.get("www-authenticate", "").startswith(scheme or "")


async def test_a_token_opens_only_what_it_was_asked_for(client: Client) -> None:
    """Least privilege is testable here."""
    account = await some_account(client)
    token = await client.token(scope="accounts.read")
    headers = {"Authorization": f"Bearer {token}"}

    assert (await client.call("crm", "listAccounts", "/accounts", headers=headers)).status_code == 200
    path = f"/accounts/{account['accountId']}/tasks"
    refused = await client.call("crm", "createTask", path, headers=headers, json={"subject": "x"})
    assert refused.status_code == 403
    assert 'scope="tasks.write"' in refused.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("form", "secret", "error"),
    [
        ({"grant_type": "password"}, None, "unsupported_grant_type"),
        ({"grant_type": "client_credentials", "scope": "everything"}, None, "invalid_scope"),
        ({"grant_type": "client_credentials"}, "wrong", "invalid_client"),
    ],
)
async def test_the_token_endpoint_words_errors_as_oauth_does(
    client: Client, form: dict[str, str], secret: str | None, error: str
) -> None:
    """Client libraries act on these codes; the client may sign in by form as well as by header."""
    given = client.company.systems["crm"].credentials
    signed = {"client_id": given["client_id"], "client_secret": secret or given["client_secret"]}
    answer = await client.http.post(given["token_url"], data={**form, **signed})

    assert (answer.status_code, answer.json()) == (401 if secret else 400, {"error": error})


async def test_tokens_expire_and_can_be_cut_short(client: Client) -> None:
    """A client must cope with a token that ends in the middle of its work, though it was told otherwise."""
    crm = client.company.systems["crm"]
    assert (await client.call("crm", "listTasks", "/tasks")).status_code == 200

    crm.turn(token_lifetime_s=0)
    expired = await client.call("crm", "listTasks", "/tasks")
    assert (expired.status_code, expired.json()["error"]["message"]) == (401, "The access token expired.")

    crm.turn(token_lifetime_s=60)
    await client.sign_in()
    assert (await client.call("crm", "listTasks", "/tasks")).status_code == 200


async def test_idempotency_keys_hold_at_the_crm_and_at_billing(client: Client) -> None:
    """A repeat is answered with the first record, and counted once."""
    account = await some_account(client)
    headers = {"Idempotency-Key": "job-1/task"}
    path, task = f"/accounts/{account['accountId']}/tasks", {"subject": "Call before renewal"}
    alert = {"client_no": account["externalRefs"]["billingClientNo"], "severity": "warning", "message": "At risk"}

    tasks = [await client.call("crm", "createTask", path, headers=headers, json=task) for _ in range(2)]
    alerts = [
        await client.call("billing", "raiseFinanceAlert", "/alerts", headers=headers, json=alert) for _ in range(2)
    ]
    other = await client.call("crm", "createTask", path, headers=headers, json={"subject": "Another"})

    assert tasks[0].json() == tasks[1].json()
    assert [one.headers.get("idempotent-replayed") for one in tasks] == [None, "true"]
    assert alerts[0].json() == alerts[1].json()
    assert [one.status_code for one in alerts] == [201, 200]
    assert other.status_code == 422
    counted = client.company.stats()
    assert counted["crm"]["writes"]["task"]["created"] == counted["billing"]["writes"]["alert"]["created"] == 1
    listed = (await client.call("crm", "listAccountTasks", path)).json()["items"]
    assert listed == [tasks[0].json()]


async def test_a_careless_client_of_support_makes_duplicates_and_the_count_shows_them(client: Client) -> None:
    """Without this, a proof of exactly-once at support could not fail."""
    account = await some_account(client)
    outreach = {"requester_email": account["email"], "template": "renewal_check_in", "external_ref": "job-1/a"}

    made = [(await client.call("support", "startOutreach", "/outreach", json=outreach)).json() for _ in range(2)]
    found = (await client.call("support", "listOutreach", "/outreach?external_ref=job-1/a")).json()

    assert found["outreach"] == made
    counted = client.company.systems["support"].stats()["writes"]["outreach"]
    assert (counted["created"], counted["distinct_references"], counted["duplicates"]) == (2, 1, 1)
    assert counted["duplicates_by_customer"] == {account["email"]: 2}


async def test_some_customers_are_missing_somewhere(client: Client) -> None:
    """Real systems have gaps, and a job has to say what became of those customers."""
    missing = 0
    query: dict[str, Any] = {"limit": 200}
    while query.get("cursor", "") is not None:
        page = (await client.call("crm", "listAccounts", "/accounts", params=query)).json()
        missing += sum(one["externalRefs"]["billingClientNo"] is None for one in page["items"])
        query["cursor"] = page["nextCursor"]

    assert missing == 11
    unknown = await client.call("support", "lookupRequester", "/requesters/lookup?email=nobody@example.net")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "NotFound")


async def test_actions_for_nobody_are_refused(client: Client) -> None:
    """A write for a customer that does not exist must not be counted as one."""
    task = await client.call("crm", "createTask", "/accounts/ACC-000000/tasks", json={"subject": "x"})
    alert = {"client_no": 1, "severity": "info", "message": "x"}
    raised = await client.call("billing", "raiseFinanceAlert", "/alerts", json=alert)
    outreach = {"requester_email": "nobody@example.net", "template": "welcome_back"}
    started = await client.call("support", "startOutreach", "/outreach", json=outreach)

    assert [one.status_code for one in (task, raised, started)] == [404, 404, 404]
    for counted in client.company.stats().values():
        assert all(kind["created"] == 0 for kind in counted["writes"].values())


@pytest.mark.parametrize(("name", "path"), [("billing", "/clients"), ("support", "/tickets")])
async def test_too_fast_is_told_when_to_come_back(client: Client, name: str, path: str) -> None:
    """Both forms of Retry-After occur in the wild: seconds, and a date at support."""
    client.company.systems[name].turn(rate_limit_per_s=1)
    operation = {"billing": "listClients", "support": "listTickets"}[name]
    answers = [await client.call(name, operation, path) for _ in range(2)]

    assert [one.status_code for one in answers] == [200, 429]
    wait = answers[1].headers["retry-after"]
    if name == "billing":
        assert wait == "1"
    else:
        assert timedelta(0) < parsedate_to_datetime(wait) - datetime.now(UTC) <= timedelta(seconds=3)


async def test_failures_on_demand_do_no_work(client: Client) -> None:
    """A 5xx of these knobs is a clean failure: nothing was written, and the next try may succeed."""
    account = await some_account(client)
    client.company.systems["crm"].turn(fail_next=2, fail_status=502)
    path = f"/accounts/{account['accountId']}/tasks"
    statuses = [(await client.call("crm", "createTask", path, json={"subject": "x"})).status_code for _ in range(3)]

    assert statuses == [502, 502, 201]
    counted = client.company.systems["crm"].stats()
    assert counted["writes"]["task"]["created"] == 1
    assert counted["requests_by_operation"]["createTask"] == {"201": 1, "502": 2}


@pytest.mark.parametrize(("knob", "written"), [("drop_before_write", 0), ("drop_after_write", 1)])
async def test_a_lost_answer_tells_nothing_about_the_write(client: Client, knob: str, written: int) -> None:
    """The two look the same from outside; only looking it up, or a key, tells them apart."""
    account = await some_account(client)
    support = client.company.systems["support"]
    support.turn(**{knob: 1.0})
    outreach = {"requester_email": account["email"], "template": "welcome_back", "external_ref": "once"}

    with pytest.raises(httpx.RemoteProtocolError):
        await client.call("support", "startOutreach", "/outreach", json=outreach)

    counted = support.stats()
    assert counted["writes"]["outreach"]["created"] == written
    assert counted["requests_by_operation"]["startOutreach"] == {"0": 1}
    looked_up = await client.call("support", "listOutreach", "/outreach?external_ref=once")
    assert looked_up.json()["count"] == written


async def test_a_client_that_hangs_up_does_not_stop_the_work(client: Client) -> None:
    """The nastiest habit of slow systems: the client gave up, and the record is there all the same."""
    account = await some_account(client)
    support = client.company.systems["support"]
    support.turn(latency_ms=80)
    outreach = {"requester_email": account["email"], "template": "welcome_back"}

    with pytest.raises(httpx.ReadTimeout):
        await client.call("support", "startOutreach", "/outreach", json=outreach, timeout=0.02)
    assert support.stats()["writes"]["outreach"]["created"] == 0

    for _ in range(250):
        if support.stats()["writes"]["outreach"]["created"]:
            break
        await asyncio.sleep(0.02)
    assert support.stats()["writes"]["outreach"]["created"] == 1


async def test_records_can_claim_an_older_time(client: Client) -> None:
    """Freshness checks need data that went stale, at billing and at usage."""
    account = await some_account(client)
    billing, usage = (client.company.systems[name] for name in ("billing", "usage"))
    billing.turn(stale_as_of="2026-11-14T00:00:00Z")

    paid = await client.call("billing", "getClient", f"/clients/{account['externalRefs']['billingClientNo']}")
    used = await client.call("usage", "getCustomer", f"/customers/{account['externalRefs']['usageCustomerRef']}")
    assert paid.json()["statement_as_of"] == "2026-11-14T00:00:00Z"
    assert used.json()["as_of"] == "2026-11-21T00:00:00Z"
    usage.turn(stale_as_of="2026-01-01T00:00:00Z")
    used = await client.call("usage", "listCustomers", "/customers?per_page=1")
    assert used.json()[0]["as_of"] == "2026-01-01T00:00:00Z"


async def test_knobs_and_counts_are_reached_over_http_with_the_admin_token_only(client: Client) -> None:
    """A test in another process turns the same knobs; a client of the product must not."""
    crm = client.company.systems["crm"]
    admin = crm.described()["admin"]
    headers = {admin["header"]: admin["token"]}

    assert (await client.http.put(admin["knobs"], json={"latency_ms": 1})).status_code == 401
    assert (await client.http.get(admin["stats"], headers=client.signed["crm"]["headers"])).status_code == 401
    turned = await client.http.put(admin["knobs"], headers=headers, json={"latency_ms": 1, "fail_next": 4})
    assert (turned.json()["latency_ms"], turned.json()["fail_next"]) == (1, 4)
    assert (await client.http.get(admin["knobs"], headers=headers)).json() == turned.json()
    wrong = await client.http.put(admin["knobs"], headers=headers, json={"latency": 1})
    assert wrong.status_code == 400
    assert "nothing was changed" in wrong.json()["error"]["message"]
    assert (await client.http.get(admin["stats"], headers=headers)).json() == crm.stats()
    assert (await client.http.post(admin["reset"], headers=headers)).json()["requests"] == 0


async def test_an_oversized_or_foreign_body_is_refused(client: Client) -> None:
    """The server survives what it did not ask for."""
    url = client.company.systems["support"].url + "/outreach"
    headers = client.signed["support"]["headers"]

    assert (await client.http.post(url, headers=headers, content=b"x" * 70_000)).status_code == 413
    foreign = await client.http.post(url, headers={**headers, "Content-Type": "text/plain"}, content=b"hello")
    assert foreign.status_code == 415
    assert re.search("application/json", foreign.json()["description"])
