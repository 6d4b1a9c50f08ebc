"""`call: connector` against a real system with the habits of real systems."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tests.integration.handlers_support import command, context, failure_of, perform, route, serving, word

from segue.connectors import (
    Calls,
    MemoryConnections,
    Outbound,
    OutboundPolicy,
    TokenCache,
    describe,
    new_connection,
    probe,
)
from segue.governance import Redactor
from segue.handlers.connector import ConnectorHandler
from segue.types import NOT_DONE, SecretText

CUSTOMER = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}


def _operation(
    name: str, *parameters: dict[str, Any], answer: Any = None, body: Any = None, code: str = "200"
) -> Any:
    content = {"application/json": {"schema": answer if answer is not None else {}}}
    operation: dict[str, Any] = {"operationId": name, "responses": {code: {"description": "", "content": content}}}
    if parameters:
        operation["parameters"] = list(parameters)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _query(name: str, kind: str = "integer") -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": kind}}


KEY = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}
NOTE = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "ref": {"type": "string"}}}
LISTED = {"type": "array", "items": CUSTOMER}
DOCUMENT = {
    "openapi": "3.1.0",
    "paths": {
        "/customers/{id}": {
            "get": _operation(
                "getCustomer",
                {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
                answer=CUSTOMER,
            ),
            "delete": _operation(
                "dropCustomer", {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
            ),
        },
        "/pages": {"get": _operation("listByPage", _query("page"), _query("size"))},
        "/offsets": {"get": _operation("listByOffset", _query("start"), _query("size"))},
        "/cursors": {"get": _operation("listByCursor", _query("after", "string"))},
        "/links": {"get": _operation("listByLink", _query("page"), answer=LISTED)},
        "/plain": {"get": _operation("listPlain")},
        "/alerts": {"post": _operation("raiseAlert", KEY, body=NOTE, code="201")},
        "/notes": {
            "post": _operation("addNote", body=NOTE, code="201"),
            "get": _operation("findNotes", _query("ref", "string")),
        },
        "/letters": {"post": _operation("sendLetter", body=NOTE, code="201")},
        "/echo": {"get": _operation("echo")},
    },
    "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
}
PAGING = [
    {
        "operation": "listByPage",
        "kind": "page",
        "parameter": "page",
        "size_parameter": "size",
        "size": 10,
        "items": "/data",
    },
    {"operation": "listByOffset", "kind": "offset", "parameter": "start", "items": "/data", "next": "/more"},
    {"operation": "listByCursor", "kind": "cursor", "parameter": "after", "items": "/items", "next": "/next/cursor"},
    {"operation": "listByLink", "kind": "link"},
    {"operation": "listPlain", "kind": "link"},
]
COUNT = 95


class System:
    """The system, with what it saw and the trouble it is told to make."""

    def __init__(self) -> None:
        self.base = ""
        self.seen: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.refuse: list[tuple[int, str | None]] = []
        self.bad_answer: Any = None
        self.elsewhere = False
        self.stuck = False

    def _see(self, request: Request, body: Any = None) -> Response | None:
        self.seen.append({"path": request.url.path, "headers": dict(request.headers), "body": body})
        if self.refuse:
            status, wait = self.refuse.pop(0)
            return JSONResponse({"error": "busy"}, status, {"retry-after": wait} if wait is not None else {})
        return None

    async def customer(self, request: Request) -> Response:
        refusal = self._see(request)
        return refusal or JSONResponse(self.bad_answer or {"id": int(request.path_params["id"])})

    async def pages(self, request: Request) -> Response:
        page, size = int(request.query_params["page"]), int(request.query_params["size"])
        return self._see(request) or JSONResponse({"data": self._slice((page - 1) * size, size)})

    async def offsets(self, request: Request) -> Response:
        start = int(request.query_params["start"])
        return self._see(request) or JSONResponse({"data": self._slice(start, 7), "more": start + 7 < COUNT})

    async def cursors(self, request: Request) -> Response:
        start = int(request.query_params.get("after", 0))
        following = start if self.stuck else start + 9
        cursor = str(following) if following < COUNT else None
        return self._see(request) or JSONResponse({"items": self._slice(start, 9), "next": {"cursor": cursor}})

    async def links(self, request: Request) -> Response:
        page = int(request.query_params.get("page", 1))
        host = "http://127.0.0.1:9" if self.elsewhere else ""
        link = (
            f'</links?page=1>; rel="first", <{host}/links?page={page + 1}>; rel="next"' if page * 20 < COUNT else ""
        )
        items = self._slice((page - 1) * 20, 20)
        return self._see(request) or JSONResponse(items, headers={"link": link})

    async def alerts(self, request: Request) -> Response:
        return self._see(request, await request.json()) or JSONResponse({"ok": True}, 201)

    async def note(self, request: Request) -> Response:
        if request.method == "GET":
            return self._see(request) or JSONResponse({"found": self.notes})
        body = await request.json()
        self.notes.append(body)
        return self._see(request, body) or JSONResponse(body, 201)

    async def echo(self, request: Request) -> Response:
        return self._see(request) or JSONResponse(dict(request.headers))

    def _slice(self, start: int, size: int) -> list[dict[str, int]]:
        return [{"id": number} for number in range(start, min(start + size, COUNT))]


@pytest.fixture
async def system() -> AsyncIterator[System]:
    system = System()
    routes = [
        route("/customers/{id}", system.customer, "GET", "DELETE"),
        route("/pages", system.pages),
        route("/offsets", system.offsets),
        route("/cursors", system.cursors),
        route("/links", system.links),
        route("/plain", system.echo),
        route("/alerts", system.alerts, "POST"),
        route("/letters", system.alerts, "POST"),
        route("/notes", system.note, "GET", "POST"),
        route("/echo", system.echo),
    ]
    async with serving(*routes) as system.base:
        yield system


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    outbound = Outbound(OutboundPolicy(allow_loopback=True))
    yield Calls(outbound, TokenCache(outbound))
    await outbound.aclose()


def _handler(calls: Calls, system: System, **settings: Any) -> ConnectorHandler:
    settings = {"paging": PAGING, "base_url": system.base, "limits": {"concurrency": 8}} | settings
    return ConnectorHandler(calls, MemoryConnections(new_connection("crm", DOCUMENT, **settings)))


def _use(operation: str, arguments: Any = None, **more: Any) -> dict[str, Any]:
    return {"use": "crm", "operation": operation, "arguments": arguments, **more}


async def test_an_operation_answers_its_content(calls: Calls, system: System) -> None:
    """The same workflow runs against another system by changing the connection."""
    assert await perform(_handler(calls, system), _use("getCustomer", {"id": 5})) == {"id": 5}


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (_use("getCustomer", {"id": "x"}), "validation", "Argument 'id' does not fit"),
        (_use("getCustomer", {"id": 1, "x": 1}), "validation", "no argument 'x'"),
        (_use("addNote", {"body": {"text": 1}}), "validation", "at /text"),
        (_use("nothing"), "configuration", "no operation 'nothing'"),
        (_use("getCustomer") | {"use": "erp"}, "configuration", "no connection 'erp'"),
        ({"operation": "getCustomer"}, "validation", "needs use"),
        (_use("getCustomer", [1]), "validation", "must be an object"),
        (_use("listByPage", all=True, limit=0), "validation", "limit"),
        (_use("listByPage", all=True, limit="9"), "validation", "limit"),
        (_use("echo", all=True), "configuration", "does not say how 'echo' is paged"),
    ],
)
async def test_arguments_that_do_not_fit_never_reach_the_system(
    calls: Calls, system: System, arguments: Any, kind: str, message: str
) -> None:
    """The failure names the place."""
    failure = await failure_of(_handler(calls, system), arguments)

    assert word(failure) == kind
    assert message in (failure.detail or "")
    assert system.seen == []


async def test_an_answer_that_does_not_fit_is_a_validation_failure(calls: Calls, system: System) -> None:
    """A system that changed its answers must not feed a workflow with something else."""
    system.bad_answer = {"id": "five"}

    failure = await failure_of(_handler(calls, system), _use("getCustomer", {"id": 5}))

    assert word(failure) == "validation"
    assert "The answer of 'getCustomer' does not fit its schema: at /id" in (failure.detail or "")


# Credentials.


@pytest.mark.parametrize(
    ("authentication", "header", "sent", "shown"),
    [
        ("bearer=env:TEST_CRM_TOKEN", "authorization", "Bearer cr3dential", "Bearer [secret]"),
        ("apiKey=env:TEST_CRM_TOKEN", "x-key", "cr3dential", "[secret]"),
        ("bearer=secret:crm.token", "authorization", "Bearer cr3dential", "Bearer [secret]"),
        ("basic=text:svc,env:TEST_CRM_TOKEN", "authorization", "Basic c3ZjOmNyM2RlbnRpYWw=", "Basic [secret]"),
    ],
)
async def test_credentials_are_read_by_reference_and_masked(
    calls: Calls,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    authentication: str,
    header: str,
    sent: str,
    shown: str,
) -> None:
    """Where an API key goes is read from the description; nothing of it comes back."""
    monkeypatch.setenv("TEST_CRM_TOKEN", "cr3dential")
    handler = _handler(calls, system, authentication=authentication)

    echoed = await perform(handler, _use("echo"), crm={"token": "cr3dential"})

    assert system.seen[0]["headers"][header] == sent
    assert echoed[header] == shown


async def test_a_credential_file_is_read_at_each_use(calls: Calls, system: System, tmp_path: Path) -> None:
    """Platforms rotate mounted credentials while the service runs."""
    file = tmp_path / "token"
    handler = _handler(calls, system, authentication=f"apiKey=file:{file}")
    for content in ("first-key\n", "second-key\n"):
        file.write_text(content)
        await perform(handler, _use("echo"))

    assert [seen["headers"]["x-key"] for seen in system.seen] == ["first-key", "second-key"]


@pytest.mark.parametrize(
    "authentication", ["bearer=env:TEST_UNSET", "bearer=file:/nonexistent/x", "bearer=secret:gone"]
)
async def test_an_absent_credential_names_its_reference(calls: Calls, system: System, authentication: str) -> None:
    """An administrator must know what to set."""
    failure = await failure_of(_handler(calls, system, authentication=authentication), _use("echo"))

    assert word(failure) == "authorization"
    assert authentication.rpartition(":")[2] in (failure.detail or "")


async def test_secrets_in_arguments_are_revealed_and_masked(calls: Calls, system: System) -> None:
    """Ruling R13 allows them in a function's arguments."""
    arguments = _use("addNote", {"body": {"text": SecretText.of("s")}})

    assert await perform(_handler(calls, system), arguments, s="hidden-text") == {"text": "[secret]"}
    assert system.notes == [{"text": "hidden-text"}]


# Once each.


@pytest.mark.parametrize(
    ("operation", "settings", "recovery"),
    [
        ("getCustomer", {}, "repeat"),
        ("dropCustomer", {}, "repeat"),
        ("raiseAlert", {}, "repeat"),
        ("addNote", {}, "ask"),
        ("addNote", {"idempotency_header": "X-Once"}, "repeat"),
        (
            "addNote",
            {"lookups": [{"operation": "addNote", "reference": "ref", "find": "findNotes", "by": "ref"}]},
            "verify",
        ),
        ("nothing", {}, "repeat"),
    ],
)
def test_recovery_is_what_the_operation_allows(calls: Calls, operation: str, settings: Any, recovery: str) -> None:
    """Only what is safe, idempotent or keyed may be repeated after a crash."""
    handler = ConnectorHandler(calls, MemoryConnections(new_connection("crm", DOCUMENT, **settings)))

    assert handler.recovery(command("connector", _use(operation))) == recovery


async def test_the_effect_key_goes_out_in_the_declared_header(calls: Calls, system: System) -> None:
    """The same act carries the same key, however often it is sent."""
    for _ in range(2):
        await perform(_handler(calls, system), _use("raiseAlert", {"body": {"text": "a"}}), key="run-3/1")
    await perform(
        _handler(calls, system, idempotency_header="X-Once"), _use("addNote", {"body": {"text": "a"}}), key="k"
    )

    assert [seen["headers"].get("idempotency-key") for seen in system.seen] == ["run-3/1", "run-3/1", None]
    assert system.seen[2]["headers"]["x-once"] == "k"


async def test_a_lookup_finds_what_a_lost_answer_left_behind(calls: Calls, system: System) -> None:
    """A system without keys is asked whether it happened, by the reference that went out with it."""
    lookup = {"operation": "addNote", "reference": "ref", "find": "findNotes", "by": "ref"}
    handler = _handler(calls, system, lookups=[lookup])
    act = command("connector", _use("addNote", {"body": {"text": "hello"}}))
    system.notes.append({"text": "of another run", "ref": "run-1/8"})

    assert await handler.verify(act, context("run-1/9")) is NOT_DONE
    await handler.perform(act, context("run-1/9"))
    assert system.seen[-1]["body"] == {"text": "hello", "ref": "run-1/9"}
    assert await handler.verify(act, context("run-1/9")) == {"text": "hello", "ref": "run-1/9"}


async def test_a_lookup_that_finds_no_such_thing_says_not_done(calls: Calls, system: System) -> None:
    """404 is an answer; trouble with the lookup itself is not."""
    lookup = {"operation": "addNote", "reference": "ref", "find": "findNotes", "by": "ref"}
    handler = _handler(calls, system, lookups=[lookup])
    act = command("connector", _use("addNote", {"body": {"text": "hello"}}))
    system.refuse = [(404, None), (500, None)]

    assert await handler.verify(act, context()) is NOT_DONE
    with pytest.raises(Exception, match="answered 500"):
        await handler.verify(act, context())


# Pace.


async def test_a_short_429_is_waited_out(calls: Calls, system: System) -> None:
    """The system did not act, so nothing is at risk; the task need not fail for a moment's rush."""
    system.refuse = [(429, "0.05"), (429, "0.05")]

    assert await perform(_handler(calls, system), _use("raiseAlert", {"body": {"text": "a"}})) == {"ok": True}
    assert len(system.seen) == 3


async def test_a_long_429_fails_with_the_wait_and_holds_the_others_back(calls: Calls, system: System) -> None:
    """The retry policy sleeps durably; meanwhile nobody bothers the system."""
    system.refuse = [(429, "60")]
    handler = _handler(calls, system)

    first = await failure_of(handler, _use("getCustomer", {"id": 1}))
    second = await failure_of(handler, _use("getCustomer", {"id": 2}))

    assert (first.status, first.retry_after_ms) == (429, 60_000)
    assert second.status == 429
    assert 59_000 < (second.retry_after_ms or 0) <= 60_000
    assert len(system.seen) == 1


async def test_a_503_is_repeated_only_where_that_is_safe(calls: Calls, system: System) -> None:
    """A 503 may come from something in front of a system that acted."""
    handler = _handler(calls, system)
    system.refuse = [(503, "0.01")]
    assert await perform(handler, _use("getCustomer", {"id": 1})) == {"id": 1}
    system.refuse = [(503, "0.01")]
    assert await perform(handler, _use("raiseAlert", {"body": {"text": "a"}})) == {"ok": True}

    system.seen.clear()
    system.refuse = [(503, "0.01")]
    failure = await failure_of(handler, _use("sendLetter", {"body": {"text": "a"}}))

    assert (failure.status, failure.retry_after_ms, len(system.seen)) == (503, 10, 1)


async def test_a_system_that_keeps_saying_later_is_believed(calls: Calls, system: System) -> None:
    """Waiting for ever would hide the trouble."""
    system.refuse = [(429, "0.001")] * 20

    failure = await failure_of(_handler(calls, system), _use("getCustomer", {"id": 1}))

    assert (failure.status, len(system.seen)) == (429, 7)


async def test_the_rate_of_a_connection_holds_over_all_tasks(calls: Calls, system: System) -> None:
    """The limit is the system's, whoever calls."""
    handler = _handler(calls, system, limits={"requests_per_second": 50.0, "burst": 5})
    started = time.monotonic()

    await asyncio.gather(*(perform(handler, _use("getCustomer", {"id": n})) for n in range(15)))

    assert time.monotonic() - started >= 0.19


# Lists.


@pytest.mark.parametrize("operation", ["listByPage", "listByOffset", "listByCursor", "listByLink"])
async def test_a_paged_list_is_read_to_its_end(calls: Calls, system: System, operation: str) -> None:
    """Every item once and in order, whatever the paging, with 429 answers in between."""
    system.refuse = [(429, "0.001"), (429, "0.001")]

    items = await perform(_handler(calls, system), _use(operation, all=True))

    assert items == [{"id": number} for number in range(COUNT)]


@pytest.mark.parametrize("operation", ["listByPage", "listByOffset", "listByCursor", "listByLink"])
async def test_reading_stops_at_the_limit(calls: Calls, system: System, operation: str) -> None:
    """A limit spares the system the rest."""
    items = await perform(_handler(calls, system), _use(operation, all=True, limit=25))

    assert [item["id"] for item in items] == list(range(25))
    assert len(system.seen) <= 4


async def test_a_list_that_runs_in_a_circle_is_left(calls: Calls, system: System) -> None:
    """A cursor that comes back would fill the memory."""
    system.stuck = True

    failure = await failure_of(_handler(calls, system), _use("listByCursor", all=True))

    assert "circle" in (failure.detail or "")


async def test_the_next_link_may_not_lead_to_another_host(calls: Calls, system: System) -> None:
    """The credentials of this system go with the request."""
    system.elsewhere = True

    failure = await failure_of(_handler(calls, system), _use("listByLink", all=True))

    assert "on another host" in (failure.detail or "")


async def test_a_page_without_an_array_is_explained(calls: Calls, system: System) -> None:
    """A wrong pointer in the connection is the usual mistake."""
    failure = await failure_of(_handler(calls, system), _use("listPlain", all=True))

    assert "correct paging.items" in (failure.detail or "")


# For people.


def test_describe_lists_what_forms_need(calls: Calls) -> None:
    """The command line and the designer show the same."""
    connection = new_connection("crm", DOCUMENT, paging=PAGING)
    found = {entry.name: entry for entry in describe(calls, connection)}

    assert found["getCustomer"].arguments["required"] == ["id"]
    assert found["getCustomer"].result == CUSTOMER
    assert found["raiseAlert"].arguments["required"] == ["body"]
    assert "Idempotency-Key" not in found["raiseAlert"].arguments["properties"]
    assert (found["raiseAlert"].recovery, found["sendLetter"].recovery) == ("repeat", "ask")
    assert (found["listByPage"].paged, found["echo"].paged) == (True, False)


async def test_probe_reports_what_it_found(calls: Calls, system: System) -> None:
    """`segue connections test` must say more than yes or no."""

    async def read(name: str) -> Any:
        raise AssertionError("no secret is named")

    async def report(**settings: Any) -> Any:
        connection = new_connection("crm", DOCUMENT, **({"base_url": system.base} | settings))
        return await probe(calls, connection, read_secret=read, note=Redactor().note)

    good = await report(probe="echo")
    absent = await report(base_url="http://127.0.0.1:1", probe="echo")
    system.refuse = [(401, None)]
    shut_out = await report(probe="echo")

    assert (good.ok, good.operation, good.status, good.problem) == (True, "echo", 200, None)
    assert (absent.ok, "cannot be reached" in absent.problem) == (False, True)
    assert (shut_out.ok, shut_out.status) == (False, 401)


# When it is down.


async def test_refusals_never_open_a_circuit(calls: Calls, system: System) -> None:
    """A thousand wrong requests of one workflow must not close the door to the right ones of another."""
    handler = _handler(calls, system, breaker={"requests_min": 2})
    system.refuse = [(404, None), (422, None), (403, None), (409, None)]
    for _ in range(4):
        assert (await failure_of(handler, _use("getCustomer", {"id": 5}))).status in (404, 422, 403, 409)

    assert await perform(handler, _use("getCustomer", {"id": 5})) == {"id": 5}


async def test_a_system_that_is_down_is_left_alone(calls: Calls, system: System) -> None:
    """Tasks fail at once with the wait, and the system sees none of them."""
    handler = _handler(calls, system, breaker={"requests_min": 2, "open_ms": 60_000})
    system.refuse = [(500, None)] * 2
    for _ in range(2):
        await failure_of(handler, _use("getCustomer", {"id": 5}))

    failure = await failure_of(handler, _use("getCustomer", {"id": 5}))

    assert (word(failure), failure.status) == ("communication", 503)
    assert 50_000 < (failure.retry_after_ms or 0) <= 120_000
    assert "is down (status 500): nothing was sent" in (failure.detail or "")
    assert not failure.outcome_unknown
    assert len(system.seen) == 2


async def test_no_answer_opens_it_and_an_answer_closes_it(calls: Calls, system: System) -> None:
    """The server behind the address is gone, then there again; a task in between waits for the short pause."""
    connection = new_connection(
        "crm", DOCUMENT, base_url="http://127.0.0.1:9", breaker={"requests_min": 2, "open_ms": 20, "probes": 1}
    )
    connections = MemoryConnections(connection)
    handler = ConnectorHandler(calls, connections)
    for _ in range(2):
        assert "cannot be reached" in ((await failure_of(handler, _use("echo"))).detail or "")
    opened = calls.circuit(connection)
    assert opened is not None
    assert opened.state == "open"
    assert (opened.last_failure or "").startswith("it cannot be reached")

    back = msgspec.structs.replace(connection, base_url=system.base)
    connections.put(back)
    await perform(handler, _use("echo"))

    closed = calls.circuit(back)
    assert closed is not None
    assert closed.state == "closed"
