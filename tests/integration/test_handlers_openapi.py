"""`call: openapi` against a real server that publishes its description."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from tests.integration.handlers_support import command, context, failure_of, perform, route, serving, word

from segue.connectors import Outbound, OutboundPolicy, TokenCache
from segue.handlers.openapi import OpenApiHandler
from segue.types import NOT_DONE, SecretText, TaskFailure

DESCRIPTION = """
openapi: 3.0.3
paths:
  /pets/{petId}:
    get:
      operationId: getPet
      parameters:
        - {name: petId, in: path, required: true, schema: {type: integer}}
      responses: {200: {description: ok}}
  /pets:
    post:
      operationId: addPet
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}
      responses: {200: {description: ok}}
  /orders:
    post:
      operationId: order
      parameters:
        - {name: Idempotency-Key, in: header, schema: {type: string}}
      responses: {200: {description: ok}}
components:
  schemas:
    Pet: {type: object, required: [name], properties: {name: {type: string}}}
"""
SWAGGER = {
    "swagger": "2.0",
    "basePath": "/",
    "paths": {
        "/pets": {
            "get": {
                "operationId": "findPets",
                "parameters": [
                    {
                        "name": "status",
                        "in": "query",
                        "type": "array",
                        "items": {"type": "string"},
                        "collectionFormat": "multi",
                    }
                ],
                "responses": {},
            },
            "post": {
                "operationId": "addPet",
                "parameters": [{"name": "pet", "in": "body", "required": True, "schema": {"type": "object"}}],
                "responses": {},
            },
        }
    },
}


class Shop:
    """The server, with what it saw."""

    def __init__(self) -> None:
        self.base = ""
        self.fetched = 0
        self.description: str = DESCRIPTION
        self.seen: list[dict[str, Any]] = []

    async def yaml(self, request: Request) -> Response:
        self.fetched += 1
        return Response(self.description, media_type="application/yaml")

    async def swagger(self, request: Request) -> Response:
        if request.headers.get("authorization") not in (None, "Bearer doc-token"):
            return Response(status_code=401)
        return JSONResponse(SWAGGER)

    async def any(self, request: Request) -> Response:
        body = (await request.body()).decode()
        seen = {"method": request.method, "url": str(request.url).removeprefix(self.base), "body": body}
        self.seen.append(seen | {"headers": dict(request.headers)})
        return JSONResponse(seen)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    routes = [
        route("/openapi.yaml", shop.yaml),
        route("/swagger.json", shop.swagger),
        route("/{path:path}", shop.any, "GET", "POST"),
    ]
    async with serving(*routes) as shop.base:
        yield shop


class Clock:
    now_ms = 0

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def handler(clock: Clock) -> AsyncIterator[OpenApiHandler]:
    outbound = Outbound(OutboundPolicy(allow_loopback=True))
    yield OpenApiHandler(outbound, TokenCache(outbound), clock)
    await outbound.aclose()


def _call(shop: Shop, operation: str, path: str = "/openapi.yaml", **more: Any) -> dict[str, Any]:
    return {"document": {"endpoint": {"uri": shop.base + path}}, "operationId": operation, **more}


async def test_an_operation_is_called_by_its_id(handler: OpenApiHandler, shop: Shop) -> None:
    """The description says method, path and place of each parameter."""
    result = await perform(handler, _call(shop, "getPet", parameters={"petId": "5"}))

    assert result == {"method": "GET", "url": "/pets/5", "body": ""}


async def test_the_body_is_the_parameter_body(handler: OpenApiHandler, shop: Shop) -> None:
    """Ruling R24."""
    result = await perform(handler, _call(shop, "addPet", parameters={"body": {"name": "Rex"}}))

    assert (result["method"], result["body"]) == ("POST", '{"name":"Rex"}')


async def test_swagger_2_is_read(handler: OpenApiHandler, shop: Shop) -> None:
    """A single value fits where an array is wanted; the body parameter keeps its own name."""
    found = await perform(handler, _call(shop, "findPets", "/swagger.json", parameters={"status": "sold"}))
    added = await perform(handler, _call(shop, "addPet", "/swagger.json", parameters={"pet": {"a": 1}}))

    assert found["url"] == "/pets?status=sold"
    assert added["body"] == '{"a":1}'


@pytest.mark.parametrize(
    ("operation", "parameters", "kind"),
    [
        ("getPet", {"petId": "five"}, "validation"),
        ("getPet", {}, "validation"),
        ("getPet", {"petId": 1, "color": "red"}, "validation"),
        ("addPet", {"body": {}}, "validation"),
        ("addPet", {}, "validation"),
        ("sellPet", {}, "configuration"),
        ("getPet", "five", "validation"),
    ],
)
async def test_what_does_not_fit_is_refused_before_it_is_sent(
    handler: OpenApiHandler, shop: Shop, operation: str, parameters: Any, kind: str
) -> None:
    """The server must not see half-right requests."""
    failure = await failure_of(handler, _call(shop, operation, parameters=parameters))

    assert (word(failure), shop.seen) == (kind, [])


async def test_the_description_is_fetched_once_until_it_is_stale(
    handler: OpenApiHandler, shop: Shop, clock: Clock
) -> None:
    """Thousands of records must not fetch it thousands of times; a correction must arrive some day."""
    await asyncio.gather(*(perform(handler, _call(shop, "getPet", parameters={"petId": n})) for n in range(5)))
    assert shop.fetched == 1

    clock.now_ms = 400_000
    await perform(handler, _call(shop, "getPet", parameters={"petId": 1}))
    assert shop.fetched == 2


async def test_a_description_that_is_none_is_a_configuration_failure(handler: OpenApiHandler, shop: Shop) -> None:
    """An address that leads to a page for people is the usual mistake."""
    shop.description = "<html></html>"

    assert word(await failure_of(handler, _call(shop, "getPet"))) == "configuration"
    shop.description = DESCRIPTION
    assert await perform(handler, _call(shop, "getPet", parameters={"petId": 1}))


async def test_a_description_may_be_behind_authentication(handler: OpenApiHandler, shop: Shop) -> None:
    """Its own, not that of the operation."""
    guarded = {"uri": f"{shop.base}/swagger.json", "authentication": {"bearer": {"token": SecretText.of("t")}}}
    arguments = {"document": {"endpoint": guarded}, "operationId": "findPets"}

    assert await perform(handler, arguments, t="doc-token")
    assert "authorization" not in shop.seen[0]["headers"]


async def test_the_operations_authentication_is_sent(handler: OpenApiHandler, shop: Shop) -> None:
    """Document reference, section 10.2."""
    policy = {"bearer": {"token": SecretText.of("t")}}

    await perform(handler, _call(shop, "getPet", parameters={"petId": 1}, authentication=policy), t="op-token")

    assert shop.seen[0]["headers"]["authorization"] == "Bearer op-token"


async def test_the_effect_key_goes_out_where_the_operation_takes_one(handler: OpenApiHandler, shop: Shop) -> None:
    """The system then acts once however often it is asked; a key of the author's own wins."""
    await perform(handler, _call(shop, "order"), key="run-7/2")
    await perform(handler, _call(shop, "order", parameters={"Idempotency-Key": "mine"}), key="run-7/2")

    assert [seen["headers"]["idempotency-key"] for seen in shop.seen] == ["run-7/2", "mine"]


async def test_output_response_shows_the_whole_answer(handler: OpenApiHandler, shop: Shop) -> None:
    """As for http."""
    result = await perform(handler, _call(shop, "getPet", parameters={"petId": 1}, output="response"))

    assert (result["statusCode"], result["request"]["uri"]) == (200, f"{shop.base}/pets/1")


async def test_recovery_is_known_once_the_description_is(handler: OpenApiHandler, shop: Shop) -> None:
    """After a restart nothing is at hand, so the description is asked before anybody decides."""
    get, add, order = (command("openapi", _call(shop, name)) for name in ("getPet", "addPet", "order"))

    assert [handler.recovery(each) for each in (get, add, order)] == ["verify"] * 3
    assert await handler.verify(get, context()) is NOT_DONE
    assert await handler.verify(order, context()) is NOT_DONE
    with pytest.raises(TaskFailure) as caught:
        await handler.verify(add, context())
    assert caught.value.failure.outcome_unknown
    assert [handler.recovery(each) for each in (get, add, order)] == ["repeat", "ask", "repeat"]


async def test_without_its_description_an_act_stays_in_doubt(handler: OpenApiHandler) -> None:
    """After a crash the system is often down: that its description cannot be read does not say nothing was done."""
    arguments = {"document": {"endpoint": "http://127.0.0.1:9/openapi.json"}, "operationId": "addPet"}

    with pytest.raises(TaskFailure) as raised:
        await handler.verify(command("openapi", arguments), context())

    assert raised.value.failure.outcome_unknown
    assert "cannot be reached" in (raised.value.failure.detail or "")
