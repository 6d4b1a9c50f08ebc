"""`call`: arguments of the six protocols."""

from __future__ import annotations

from segue.dsl.schema.build import (
    Schema,
    anything,
    closed,
    either,
    exactly_one,
    expression,
    flag,
    free,
    many,
    named,
    ref,
    text,
    whole,
    words,
)

ASYNCAPI_PROTOCOLS = (
    "amqp",
    "amqp1",
    "anypointmq",
    "googlepubsub",
    "http",
    "ibmmq",
    "jms",
    "kafka",
    "mercure",
    "mqtt",
    "mqtt5",
    "nats",
    "pulsar",
    "redis",
    "sns",
    "solace",
    "sqs",
    "stomp",
    "ws",
)
A2A_METHODS = (
    "message/send",
    "message/stream",
    "tasks/get",
    "tasks/list",
    "tasks/cancel",
    "tasks/resubscribe",
    "tasks/pushNotificationConfig/set",
    "tasks/pushNotificationConfig/get",
    "tasks/pushNotificationConfig/list",
    "tasks/pushNotificationConfig/delete",
    "agent/getAuthenticatedExtendedCard",
)
MCP_METHODS = (
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/read",
    "resources/templates/list",
)

_OUTPUT = words(
    "content",
    "response",
    "raw",
    default="content",
    description="The decoded body, the whole response, or the body's bytes as base64.",
)
_REDIRECT = flag("Take 3xx answers as success too.", default=False)
_TEXTS = either(text("One expression that gives an object."), named(text()))
_PARAMETERS = either(text("One expression that gives an object."), free())

DEFS: dict[str, Schema] = {
    "httpArguments": closed(
        "HTTP call",
        {
            "method": text("GET, POST, and so on; case does not matter.", minLength=1),
            "endpoint": ref("endpoint"),
            "headers": {**_TEXTS, "description": "Request headers; values are text."},
            "query": {**_TEXTS, "description": "Query parameters; values are text."},
            "body": anything("Sent as JSON unless a content type says otherwise."),
            "output": _OUTPUT,
            "redirect": _REDIRECT,
        },
        required=("method", "endpoint"),
    ),
    "openapiArguments": closed(
        "OpenAPI call",
        {
            "document": ref("externalResource", "The OpenAPI 3 or Swagger 2 description."),
            "operationId": text(minLength=1),
            "parameters": free("By name; the request body has the key `body`."),
            "authentication": ref("authentication"),
            "output": _OUTPUT,
            "redirect": _REDIRECT,
        },
        required=("document", "operationId"),
    ),
    "grpcArguments": closed(
        "gRPC call",
        {
            "proto": ref("externalResource"),
            "service": closed(
                "gRPC service",
                {
                    "name": text(minLength=1),
                    "host": text(minLength=1),
                    "port": whole(minimum=0, maximum=65535),
                    "authentication": ref("authentication"),
                },
                required=("name", "host"),
            ),
            "method": text(minLength=1),
            "arguments": free(),
        },
        required=("proto", "service", "method"),
    ),
    "asyncapiSubscription": closed(
        "AsyncAPI subscription",
        {
            "filter": text("One expression on payload, headers and correlationId."),
            "consume": exactly_one(
                "message consumption",
                {
                    "amount": whole(minimum=1),
                    "while": expression("Tested after each message."),
                    "until": expression("Tested before each message."),
                    "for": ref("duration", "At most this long."),
                },
                ("amount", "while", "until"),
            ),
            "foreach": ref("iterator"),
        },
        required=("consume",),
    ),
    "asyncapiArguments": closed(
        "AsyncAPI call",
        {
            "document": ref("externalResource"),
            "operation": text("Operation of an AsyncAPI 3 document."),
            "channel": text("Channel of an AsyncAPI 2.6 document."),
            "server": closed("AsyncAPI server", {"name": text(), "variables": free()}, required=("name",)),
            "protocol": words(*ASYNCAPI_PROTOCOLS),
            "message": closed("AsyncAPI message", {"payload": anything(), "headers": free()}),
            "subscription": ref("asyncapiSubscription"),
            "authentication": ref("authentication"),
        },
        required=("document",),
        allOf=[
            {"oneOf": [{"required": ["operation"]}, {"required": ["channel"]}]},
            {"oneOf": [{"required": ["message"]}, {"required": ["subscription"]}]},
        ],
    ),
    "a2aArguments": closed(
        "A2A call",
        {
            "method": words(*A2A_METHODS),
            "agentCard": ref("externalResource"),
            "server": ref("endpoint"),
            "parameters": _PARAMETERS,
        },
        required=("method",),
    ),
    "mcpArguments": closed(
        "MCP call",
        {
            "method": words(*MCP_METHODS),
            "transport": exactly_one(
                "MCP transport",
                {
                    "http": closed(
                        "MCP over HTTP",
                        {"endpoint": ref("endpoint"), "headers": named(text())},
                        required=("endpoint",),
                    ),
                    "stdio": closed(
                        "MCP over stdio",
                        {"command": text(minLength=1), "arguments": many(text()), "environment": named(text())},
                        required=("command",),
                    ),
                    "options": free(),
                },
                ("http", "stdio"),
            ),
            "parameters": _PARAMETERS,
            "protocolVersion": text(default="2025-06-18"),
            "timeout": ref("duration"),
            "client": closed("MCP client", {"name": text(), "version": text()}, required=("name", "version")),
        },
        required=("method", "transport"),
    ),
}

PROTOCOLS = ("http", "openapi", "grpc", "asyncapi", "a2a", "mcp")
