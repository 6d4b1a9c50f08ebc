"""The HTTP API: what each route answers, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.api_support import BASE, KNOWN, YAML, api, problem
from tests.integration.service_support import CHECKED, PAID, WAITS, document

from segue.service import Settings

V1 = "/api/v1"
CLOUD = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token, over a fresh data folder."""
    async with api(tmp_path / "data", Settings(max_body_bytes=20_000)) as opened:
        yield opened


async def published(client: httpx.AsyncClient, *documents: str) -> None:
    """Publish documents."""
    for text in documents:
        answer = await client.post(f"{V1}/workflows", content=text, headers=YAML)
        assert answer.status_code == 201, answer.text


async def started(client: httpx.AsyncClient, workflow: str, **body: Any) -> str:
    """Start a run; its id."""
    answer = await client.post(f"{V1}/runs", json={"workflow": workflow, **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


# -- whole stories ---------------------------------------------------------------------------------


async def test_publish_start_event_result(client: httpx.AsyncClient) -> None:
    """The life of a run, as a client sees it."""
    await published(client, WAITS)
    run = await started(client, "demo/waits", input={"n": 1})

    waiting = (await client.get(f"{V1}/runs/{run}")).json()
    sent = await client.post(f"{V1}/events", json=PAID, headers=CLOUD)
    async with client.stream("GET", f"{V1}/runs/{run}/stream") as stream:
        lines = [line async for line in stream.aiter_lines()]
    ended = (await client.get(f"{V1}/runs/{run}")).json()

    caused = {"kind": "api", "as": "person:owner"}
    assert (waiting["status"], waiting["input"], waiting["cause"]) == ("waiting", {"n": 1}, caused)
    assert (sent.status_code, sent.json()["accepted"]) == (202, 1)
    assert "event: io.serverlessworkflow.workflow.completed.v1" in lines
    assert (ended["status"], ended["output"]) == ("completed", {"paid": True})
    assert (await client.get(f"{V1}/runs/{run}/output")).json() == {"paid": True}
    tasks = (await client.get(f"{V1}/runs/{run}/tasks")).json()["items"]
    assert [t["pointer"] for t in tasks] == ["/do/0/paid", "/do/1/done"]
    first = (await client.get(f"{V1}/runs/{run}/tasks?limit=1")).json()
    second = (await client.get(f"{V1}/runs/{run}/tasks?limit=1&after={first['next']}")).json()
    assert (first["items"] + second["items"], second["next"]) == (tasks, None)


async def test_publishing_tells_where_the_workflow_is(client: httpx.AsyncClient) -> None:
    """201 the first time, 200 for the same content, 409 for other content."""
    first = await client.post(f"{V1}/workflows", content=document(), headers=YAML)
    again = await client.post(f"{V1}/workflows", content=document(), headers=YAML)
    other = await client.post(f"{V1}/workflows", content=document("- b: {set: {b: 1}}"), headers=YAML)

    assert (first.status_code, again.status_code) == (201, 200)
    found = (await client.get(first.headers["location"])).json()
    assert found["document"]["document"]["name"] == "flow"
    assert found["source"] == document()
    problem(other, 409, "version-taken")


async def test_a_document_may_come_as_json(client: httpx.AsyncClient) -> None:
    """Programs write JSON."""
    content = {"document": {"dsl": "1.0.3", "namespace": "demo", "name": "j", "version": "1.0.0"}, "do": []}

    assert (await client.post(f"{V1}/workflows", json=content)).status_code == 201


async def test_a_refused_document_lists_its_findings(client: httpx.AsyncClient) -> None:
    """With place, rule and remedy, as the command line does."""
    answer = await client.post(f"{V1}/workflows", content=document("- a: {sett: 1}"), headers=YAML)

    findings = problem(answer, 422, "definition-refused")["findings"]
    assert findings
    assert all(f["rule"] and f["message"] and f["line"] and f["pointer"] for f in findings)


async def test_validation_publishes_nothing(client: httpx.AsyncClient) -> None:
    """Editors ask at every keystroke."""
    good = await client.post(f"{V1}/validate", content=document(), headers=YAML)
    bad = await client.post(f"{V1}/validate", content="do: 1", headers=YAML)

    assert (good.json()["valid"], bad.json()["valid"]) == (True, False)
    assert (await client.get(f"{V1}/workflows")).json()["items"] == []


async def test_a_key_starts_one_run(client: httpx.AsyncClient) -> None:
    """201 now, 200 afterwards, 409 for something else."""
    await published(client, document())
    body = {"workflow": "demo/flow", "input": 1}
    key = {"idempotency-key": "order-7"}

    first = await client.post(f"{V1}/runs", json=body, headers=key)
    again = await client.post(f"{V1}/runs", json=body, headers=key)
    other = await client.post(f"{V1}/runs", json={**body, "input": 2}, headers=key)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    problem(other, 409, "key-reused")


@pytest.mark.parametrize(("action", "status"), [("pause", "suspended"), ("cancel", "cancelled")])
async def test_controls(client: httpx.AsyncClient, action: str, status: str) -> None:
    """With a reason or without a body at all."""
    await published(client, WAITS)
    run = await started(client, "demo/waits")

    answer = await client.post(f"{V1}/runs/{run}/{action}", json={"reason": "month end"})

    assert (answer.status_code, answer.json()["status"]) == (200, status)
    events = (await client.get(f"{V1}/runs/{run}/history")).json()["items"]
    assert (events[-1]["by"], events[-1]["reason"]) == ("api", "month end")
    if action == "pause":
        assert (await client.post(f"{V1}/runs/{run}/resume")).json()["status"] == "waiting"
    else:
        problem(await client.post(f"{V1}/runs/{run}/cancel"), 409, "run-closed")


async def test_events_in_all_three_modes_count_once_per_source_and_id(client: httpx.AsyncClient) -> None:
    """The HTTP binding of CloudEvents has structured, binary and batched mode."""
    binary = {
        "ce-specversion": "1.0",
        "ce-id": "2",
        "ce-source": "/shop",
        "ce-type": "order%20paid",
        "content-type": "application/json",
    }

    structured = await client.post(f"{V1}/events", json=PAID, headers=CLOUD)
    in_headers = await client.post(f"{V1}/events", json={"order": 8}, headers=binary)
    batched = await client.post(f"{V1}/events", json=[PAID, {**PAID, "id": "3"}], headers=BATCH)

    assert [a.json()["accepted"] for a in (structured, in_headers, batched)] == [1, 1, 1]
    assert batched.json()["duplicates"] == 1
    assert [e["accepted"] for e in batched.json()["events"]] == [False, True]


async def test_binary_data_that_is_no_json_arrives(client: httpx.AsyncClient) -> None:
    """Text as text, bytes as base64."""
    listening = document("- any: {listen: {to: {any: []}, read: envelope}}", name="any")
    await published(client, listening)
    head = {"ce-specversion": "1.0", "ce-source": "/s", "ce-type": "t", "ce-partition": "7"}
    for number, media, content in ((1, "text/plain", b"hello"), (2, "image/png", b"\x89PNG")):
        run = await started(client, "demo/any")
        headers = {**head, "ce-id": str(number), "content-type": media}
        assert (await client.post(f"{V1}/events", content=content, headers=headers)).status_code == 202
        async with client.stream("GET", f"{V1}/runs/{run}/stream") as stream:
            await stream.aread()
        (event,) = (await client.get(f"{V1}/runs/{run}/output")).json()
        assert (event["datacontenttype"], event["partition"]) == (media, "7")
        assert event.get("data") == ("hello" if number == 1 else None)
        assert ("data_base64" in event) == (number == 2)


async def test_a_stream_goes_on_after_the_last_event_that_was_seen(client: httpx.AsyncClient) -> None:
    """Browsers reconnect with `Last-Event-ID`."""
    await published(client, document())
    run = await started(client, "demo/flow")
    told = (await client.get(f"{V1}/runs/{run}/lifecycle")).json()["items"]

    headers = {"last-event-id": told[1]["id"]}
    async with client.stream("GET", f"{V1}/runs/{run}/stream", headers=headers) as stream:
        ids = [line.removeprefix("id: ") async for line in stream.aiter_lines() if line.startswith("id: ")]

    assert ids == [event["id"] for event in told[2:]]


async def test_a_task_tells_its_data(client: httpx.AsyncClient) -> None:
    """What a lifecycle event's `outputUri` points to."""
    await published(client, document())
    run = await started(client, "demo/flow", input={"n": 1})

    task = (await client.get(f"{V1}/runs/{run}/tasks/2")).json()

    assert (task["input"], task["output"]) == ({"n": 1}, {"a": 1})
    problem(await client.get(f"{V1}/runs/{run}/tasks/99"), 404, "task-unknown")


async def test_lists_are_paged(client: httpx.AsyncClient) -> None:
    """`next` of a page is `after` of the following one."""
    await published(client, document())
    ids = [await started(client, "demo/flow") for _ in range(3)]

    first = (await client.get(f"{V1}/runs", params={"limit": 2})).json()
    second = (await client.get(f"{V1}/runs", params={"limit": 2, "after": first["next"]})).json()

    assert [r["id"] for r in first["items"] + second["items"]] == ids[::-1]


async def test_what_a_run_started_is_listed_and_counted(client: httpx.AsyncClient) -> None:
    """A job over thousands of customers is one run that started thousands."""
    child = "{run: {workflow: {namespace: demo, name: flow, version: '1.0.0'}}}"
    await published(client, document(), document(f"- a: {child}\n- b: {child}", name="parent"))
    run = await started(client, "demo/parent")
    async with client.stream("GET", f"{V1}/runs/{run}/stream") as stream:
        await stream.aread()

    listed = (await client.get(f"{V1}/runs", params={"parent": run, "include": "output"})).json()["items"]
    counted = await client.get(f"{V1}/runs/counts", params={"parent": run})

    assert [(r["cause"]["kind"], r["output"]) for r in listed] == [("run", {"a": 1})] * 2
    assert counted.json() == {"completed": 2}
    problem(await client.get(f"{V1}/runs", params={"parent": "none"}), 404, "run-unknown")
    problem(await client.get(f"{V1}/runs/counts", params={"parent": "none"}), 404, "run-unknown")


# -- who may speak ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer wrong"}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer "}],
)
async def test_without_the_token_nothing_is_answered(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    """Other users of the machine reach the port too."""
    async with httpx.AsyncClient(transport=client._transport, base_url=BASE, headers=headers) as stranger:
        answer = await stranger.get(f"{V1}/runs")
        problem(answer, 401, "token-refused")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert (await stranger.get(f"{V1}/openapi.json")).status_code == 401
        assert (await stranger.get("/")).status_code == 401
        assert (await stranger.get(f"{V1}/health")).status_code == 200
        assert (await stranger.get(f"{V1}/ready")).json()["status"] == "ready"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil:8420", "[::2]:80"])
async def test_a_name_that_is_not_ours_is_refused(client: httpx.AsyncClient, host: str) -> None:
    """A page that rebinds its name to the loopback address sends that name."""
    problem(await client.get(f"{V1}/health", headers={"host": host}), 403, "host-refused")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8420", "LOCALHOST", "[::1]:8420"])
async def test_loopback_names_are_ours(client: httpx.AsyncClient, host: str) -> None:
    """On any port: it may be forwarded."""
    assert (await client.get(f"{V1}/health", headers={"host": host})).status_code == 200


async def test_configured_names_are_ours(tmp_path: Path) -> None:
    """Behind a proxy the server has a name."""
    async with api(tmp_path, Settings(allowed_hosts=("segue.example.com",))) as client:
        assert (await client.get(f"{V1}/health", headers={"host": "segue.example.com"})).status_code == 200


async def test_a_large_body_is_refused_with_and_without_its_length(client: httpx.AsyncClient) -> None:
    """A chunked body announces no length."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"x" * 1000

    known = await client.post(f"{V1}/workflows", content=b"x" * 30_000, headers=YAML)
    chunked = await client.post(f"{V1}/workflows", content=chunks(), headers=YAML)

    problem(known, 413, "body-too-large")
    problem(chunked, 413, "body-too-large")


# -- what is refused -------------------------------------------------------------------------------

REFUSED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/nothing", {}, 404, "route-unknown"),
    ("PUT", "/runs", {}, 405, "method-refused"),
    ("DELETE", "/workflows/demo/flow/versions/1.0.0", {}, 405, "method-refused"),
    ("POST", "/workflows", {"content": "x", "headers": {"content-type": "text/plain"}}, 415, "media-type-refused"),
    ("POST", "/workflows", {"content": b"\xff\xfe", "headers": YAML}, 422, "definition-refused"),
    ("POST", "/workflows", {"content": b"", "headers": YAML}, 422, "definition-refused"),
    ("GET", "/workflows?limit=0", {}, 400, "request-malformed"),
    ("GET", "/workflows?limit=x", {}, 400, "request-malformed"),
    ("GET", "/workflows/demo/none/versions", {}, 404, "workflow-unknown"),
    ("GET", "/workflows/demo/none/versions/latest", {}, 404, "workflow-unknown"),
    ("GET", "/workflows/demo/checked/versions/9.9.9", {}, 404, "workflow-unknown"),
    ("POST", "/runs", {"content": "{", "headers": {"content-type": "application/json"}}, 400, "request-malformed"),
    ("POST", "/runs", {"json": {}}, 400, "request-malformed"),
    ("POST", "/runs", {"json": {"workflow": 7}}, 400, "request-malformed"),
    ("POST", "/runs", {"json": {"workflow": "flow"}}, 400, "request-malformed"),
    ("POST", "/runs", {"json": {"workflow": "demo/checked", "inputs": {}}}, 400, "request-malformed"),
    ("POST", "/runs", {"json": {"workflow": "demo/none"}}, 404, "workflow-unknown"),
    ("POST", "/runs", {"json": {"workflow": "demo/checked", "input": {"id": "x"}}}, 422, "input-refused"),
    ("POST", "/runs", {"content": b"x=1"}, 415, "media-type-refused"),
    (
        "POST",
        "/runs",
        {"json": {"workflow": "demo/checked"}, "headers": {"idempotency-key": "x" * 300}},
        400,
        "request-malformed",
    ),
    ("GET", "/runs?status=odd", {}, 400, "request-malformed"),
    ("GET", "/runs?since=0.5", {}, 400, "request-malformed"),
    ("GET", "/runs?since=yesterday", {}, 400, "request-malformed"),
    ("GET", "/runs?after=x", {}, 400, "request-malformed"),
    ("GET", "/runs?workflow=x", {}, 400, "request-malformed"),
    ("GET", "/runs/none", {}, 404, "run-unknown"),
    ("GET", "/runs/none/output", {}, 404, "run-unknown"),
    ("GET", "/runs/none/tasks", {}, 404, "run-unknown"),
    ("GET", "/runs/none/tasks/1", {}, 404, "run-unknown"),
    ("GET", "/runs/none/tasks/x", {}, 400, "request-malformed"),
    ("GET", "/runs/none/history", {}, 404, "run-unknown"),
    ("GET", "/runs/none/lifecycle", {}, 404, "run-unknown"),
    ("GET", "/runs/none/stream", {}, 404, "run-unknown"),
    ("POST", "/runs/none/pause", {}, 404, "run-unknown"),
    ("POST", "/runs/none/resume", {}, 404, "run-unknown"),
    ("POST", "/runs/none/cancel", {"json": {"why": 1}}, 400, "request-malformed"),
    ("POST", "/events", {"json": PAID}, 415, "media-type-refused"),
    ("POST", "/events", {"content": "{", "headers": CLOUD}, 400, "request-malformed"),
    ("POST", "/events", {"json": {}, "headers": CLOUD}, 422, "event-refused"),
    ("POST", "/events", {"json": [], "headers": CLOUD}, 422, "event-refused"),
    ("POST", "/events", {"json": PAID, "headers": BATCH}, 422, "event-refused"),
    ("POST", "/events", {"json": [], "headers": BATCH}, 422, "event-refused"),
    ("POST", "/events", {"content": b"", "headers": {"ce-specversion": "1.0"}}, 422, "event-refused"),
    ("GET", "/connections/none", {}, 404, "connection-unknown"),
    ("POST", "/connections/none/test", {}, 404, "connection-unknown"),
    ("DELETE", "/connections/none", {}, 404, "connection-unknown"),
    ("POST", "/connections", {"json": {"name": "x"}}, 422, "connection-refused"),
    ("POST", "/connections", {"json": {"name": "No", "document": "{}"}}, 400, "request-malformed"),
    ("POST", "/connections", {"json": {"name": "x", "source": "file:///etc/passwd"}}, 422, "connection-refused"),
    ("POST", "/connections", {"json": {"name": "x", "source": "/etc/passwd"}}, 422, "connection-refused"),
    ("POST", "/connections", {"json": {"name": "x", "source": "http://127.0.0.1:9/"}}, 422, "connection-refused"),
    (
        "POST",
        "/connections",
        {"json": {"name": "x", "document": "{}", "auth": "bearer=file:/etc/passwd"}},
        422,
        "connection-refused",
    ),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "kind"), REFUSED)
async def test_what_is_wrong_gets_a_problem_document(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any], status: int, kind: str
) -> None:
    """Every refusal says what, where, and what to do next, in one form."""
    await published(client, CHECKED)

    told = problem(await client.request(method, V1 + path, **body), status, kind)

    assert told["instance"] == V1 + path.split("?")[0]


async def test_a_wrong_method_is_told_the_right_ones(client: httpx.AsyncClient) -> None:
    """All of the address's, in the header where clients look."""
    answer = await client.put(f"{V1}/connections")

    problem(answer, 405, "method-refused")
    assert answer.headers["allow"] == "GET, POST"


async def test_a_crash_is_a_problem_document_without_its_traceback(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The traceback belongs in the log, with the number that the answer names."""
    from segue.service.runs import Runs

    async def broken(*_: Any, **__: Any) -> None:
        raise KeyError("a secret detail")

    monkeypatch.setattr(Runs, "page", broken)

    told = problem(await client.get(f"{V1}/runs"), 500, "internal")

    assert "a secret detail" not in json.dumps(told)
    number = told["detail"].split()[3]
    assert number in caplog.text


async def test_a_documents_schema_file_is_not_read_from_the_server(client: httpx.AsyncClient, tmp_path: Path) -> None:
    """Whoever may publish must not be able to read the server's files."""
    (tmp_path / "schema.json").write_text('{"type": "object"}')
    for endpoint in (f"file://{tmp_path}/schema.json", f"{tmp_path}/schema.json", "schema.json"):
        more = f"input: {{schema: {{resource: {{endpoint: '{endpoint}'}}}}}}"
        answer = await client.post(f"{V1}/workflows", content=document(more=more), headers=YAML)
        problem(answer, 422, "definition-refused")


async def test_the_openapi_document_names_every_route(client: httpx.AsyncClient) -> None:
    """Clients are generated from it."""
    described = (await client.get(f"{V1}/openapi.json", headers=KNOWN)).json()

    assert described["openapi"].startswith("3.1")
    placed = [(path, o) for path, methods in described["paths"].items() for o in methods.values()]
    operations = [o for _, o in placed]
    ids = [o["operationId"] for o in operations]
    assert len(ids) == len(set(ids))
    assert {"publishWorkflow", "startRun", "listRuns", "cancelRun", "sendEvents", "streamRun"} <= set(ids)
    for path, operation in placed:
        assert operation["summary"]
        # A sign-in elsewhere answers with the way there.
        assert any(status.startswith(("2", "303", "302")) for status in operation["responses"])
        refusals = [r for status, r in operation["responses"].items() if status[0] in "45"]
        # A directory speaks as its own standard wants (RFC 7644, section 3.12).
        kind = "application/scim+json" if "/scim/" in path else "application/problem+json"
        assert all(kind in r["content"] for r in refusals)
