"""`call: http`: one request to any address the outbound policy allows."""

from __future__ import annotations

from typing import Any

from segue.connectors import (
    IDEMPOTENT_METHODS,
    Answer,
    HostLines,
    Outbound,
    TokenCache,
    authenticator,
    encode_body,
    host_of,
    is_success,
    read_output,
    refused,
    scalar_text,
    shape,
)
from segue.governance import Redactor
from segue.handlers.acting import act_with_secrets
from segue.types import NOT_DONE, EffectContext, Perform, Recovery, fail


class HttpHandler:
    """Sends a request as the document wrote it.

    Args:
        outbound: The guarded client.
        tokens: Where OAuth2 and OIDC tokens are kept.
        hosts: The lines to hosts, shared by all handlers that call them.

    Source: document reference, sections 10.1 and 13; ruling R23.
    """

    def __init__(self, outbound: Outbound, tokens: TokenCache, hosts: HostLines | None = None) -> None:
        self._hosts = hosts or HostLines(outbound)
        self._tokens = tokens

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """Send the request; the result has the form that `output` names."""

        async def act(arguments: dict[str, Any], redactor: Redactor) -> Any:
            return await self._act(arguments, redactor, context.workflow)

        return await act_with_secrets(command.arguments, context, act)

    def target(self, command: Perform) -> str:
        """The host it is sent to."""
        return host_in(command.arguments.get("endpoint"))

    def recovery(self, command: Perform) -> Recovery:
        """Methods that HTTP calls idempotent are repeated, and so is a request that carries its own key."""
        method = str(command.arguments.get("method", "")).upper()
        keyed = _is_keyed(command.arguments.get("headers"))
        return "repeat" if keyed or method in IDEMPOTENT_METHODS else "ask"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Never needed: `recovery` does not answer `verify`."""
        return NOT_DONE

    async def _act(self, arguments: dict[str, Any], redactor: Redactor, lane: str) -> Any:
        output = read_output(arguments.get("output"))
        headers = header_texts(arguments.get("headers"))
        content = None
        if arguments.get("body") is not None:
            content, headers = _with_body(arguments["body"], headers)
        endpoint = endpoint_of(arguments.get("endpoint"))
        answer = await self._hosts.send(
            str(arguments.get("method", "")),
            endpoint["uri"],
            lane=lane,
            headers=headers,
            query=_query_pairs(arguments.get("query")),
            content=content,
            auth=authenticator(endpoint.get("authentication"), self._tokens, redactor.note),
            repeatable=_is_keyed(headers),
        )
        answer = masked_answer(answer, redactor)
        if not is_success(answer.status, redirect=bool(arguments.get("redirect"))):
            raise refused(answer)
        return shape(answer, output, request_headers=headers)


def masked_answer(answer: Answer, redactor: Redactor) -> Answer:
    """The answer with revealed secrets masked in its bytes, so that `raw` cannot carry them out in base64."""
    content = redactor.mask_bytes(answer.content)
    if content is answer.content:
        return answer
    return Answer(answer.status, answer.headers, content, answer.method, answer.url)


def endpoint_of(endpoint: Any) -> dict[str, Any]:
    """An endpoint as an object with `uri`.

    Raises:
        TaskFailure: `validation`, when it has no address.
    """
    if isinstance(endpoint, str):
        return {"uri": endpoint}
    if not isinstance(endpoint, dict) or not isinstance(endpoint.get("uri"), str):
        raise fail("validation", "The endpoint has no address: give a URI, or an object with uri.")
    return endpoint


def host_in(endpoint: Any) -> str:
    """The host of an endpoint as a document gives it; secrets in it are not revealed yet."""
    uri = endpoint.get("uri") if isinstance(endpoint, dict) else endpoint
    return host_of(uri) if isinstance(uri, str) else ""


def header_texts(headers: Any) -> dict[str, str]:
    """Headers as text; null leaves one out.

    Raises:
        TaskFailure: `validation`, when they are not an object of scalars.
    """
    if headers is None:
        return {}
    if not isinstance(headers, dict):
        raise fail("validation", "headers must be an object.")
    for name, value in headers.items():
        if isinstance(value, (dict, list)):
            raise fail("validation", f"The header {name!r} must be text, not an object or array.")
    return {name: scalar_text(value) for name, value in headers.items() if value is not None}


def _is_keyed(headers: Any) -> bool:
    return isinstance(headers, dict) and any(name.lower() == "idempotency-key" for name in headers)


def _query_pairs(query: Any) -> list[tuple[str, str]]:
    if query is None:
        return []
    if not isinstance(query, dict):
        raise fail("validation", "query must be an object.")
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        items = value if isinstance(value, list) else [value]
        pairs += [(name, scalar_text(item)) for item in items if item is not None]
    return pairs


def _with_body(body: Any, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    given = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    content, content_type = encode_body(body, given)
    others = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    return content, {**others, "content-type": content_type}
