"""`call: openapi`: an operation of an API description that is fetched when it is first needed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from segue.connectors import (
    IDEMPOTENT_METHODS,
    Document,
    HostLines,
    Operation,
    Operations,
    Outbound,
    TokenCache,
    authenticator,
    is_success,
    parse_document,
    prepare,
    read_output,
    refused,
    shape,
)
from segue.governance import Redactor
from segue.handlers.acting import act_with_secrets
from segue.handlers.http import endpoint_of, host_in, masked_answer
from segue.types import NOT_DONE, EffectContext, Perform, Recovery, TaskFailure, fail

_DOCUMENTS_MAX: Final = 64
_FRESH_MS: Final = 300_000


class OpenApiHandler:
    """Calls operations of API descriptions by address.

    Documents are kept for five minutes, 64 at most. Where the operation declares an `Idempotency-Key` header that
    the document does not fill, the effect key is sent in it.

    Args:
        outbound: The guarded client.
        tokens: Where OAuth2 and OIDC tokens are kept.
        now_ms: A monotonic clock; tests turn it.
        hosts: The lines to hosts, shared by all handlers that call them.

    Source: document reference, sections 10.2 and 13; ruling R24.
    """

    def __init__(
        self,
        outbound: Outbound,
        tokens: TokenCache,
        now_ms: Callable[[], int] | None = None,
        *,
        hosts: HostLines | None = None,
    ) -> None:
        self._hosts = hosts or HostLines(outbound)
        self._tokens = tokens
        self._now_ms = now_ms or (lambda: time.monotonic_ns() // 1_000_000)
        self._documents: OrderedDict[str, tuple[int, Operations]] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """Call the operation; the result has the form that `output` names."""

        async def act(arguments: dict[str, Any], redactor: Redactor) -> Any:
            return await self._act(arguments, redactor, context)

        return await act_with_secrets(command.arguments, context, act)

    def target(self, command: Perform) -> str:
        """The host its description comes from, which is known before it is read; mostly also where calls go."""
        return host_in(command.arguments.get("document"))

    def recovery(self, command: Perform) -> Recovery:
        """`repeat` and `ask` where the document is at hand; `verify` where it must be fetched first to know."""
        kept = self._documents.get(_document_key(command.arguments.get("document")))
        name = command.arguments.get("operationId")
        if kept is None or not isinstance(name, str) or name not in kept[1].names():
            return "verify"
        return "repeat" if _is_repeatable(kept[1].get(name)) else "ask"

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Answer `NOT_DONE` for what may simply be done again.

        Raises:
            TaskFailure: With `outcome_unknown`, for an operation that may have acted and cannot be looked up, or
                whose description cannot be fetched now.
        """

        async def look(arguments: dict[str, Any], redactor: Redactor) -> Any:
            try:
                operations = await self._operations(arguments.get("document"), redactor)
            except TaskFailure as failed:
                # Not to know the operation is not to know whether it was performed.
                raise TaskFailure(msgspec.structs.replace(failed.failure, outcome_unknown=True)) from None
            operation = operations.get(str(arguments.get("operationId")))
            if _is_repeatable(operation):
                return NOT_DONE
            raise fail(
                "runtime",
                f"Nobody can tell whether {operation.id!r} was performed: look it up in the system and decide.",
                outcome_unknown=True,
            )

        return await act_with_secrets(command.arguments, context, look)

    async def _act(self, arguments: dict[str, Any], redactor: Redactor, context: EffectContext) -> Any:
        output = read_output(arguments.get("output"))
        operations = await self._operations(arguments.get("document"), redactor)
        operation = operations.get(str(arguments.get("operationId")))
        parameters = arguments.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise fail("validation", "parameters must be an object.")
        if operation.key_header is not None:
            parameters = {operation.key_header: context.key, **parameters}
        prepared = prepare(operation, parameters)
        answer = await self._hosts.send(
            prepared.method,
            prepared.url,
            lane=context.workflow,
            headers=prepared.headers,
            content=prepared.content,
            auth=authenticator(arguments.get("authentication"), self._tokens, redactor.note),
            repeatable=operation.key_header is not None,
        )
        answer = masked_answer(answer, redactor)
        if not is_success(answer.status, redirect=bool(arguments.get("redirect"))):
            raise refused(answer)
        return shape(answer, output, request_headers=prepared.headers)

    async def _operations(self, resource: Any, redactor: Redactor) -> Operations:
        key = _document_key(resource)
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._documents.get(key)
            if kept is not None and kept[0] > self._now_ms():
                self._documents.move_to_end(key)
                return kept[1]
            try:
                operations = await self._fetch(resource, redactor)
            finally:
                # A document that cannot be fetched must not leave a lock behind for ever.
                self._locks.pop(key, None)
            self._keep(key, operations)
            return operations

    async def _fetch(self, resource: Any, redactor: Redactor) -> Operations:
        endpoint = endpoint_of(resource.get("endpoint") if isinstance(resource, dict) else None)
        auth = authenticator(endpoint.get("authentication"), self._tokens, redactor.note)
        answer = await self._hosts.send("GET", endpoint["uri"], auth=auth)
        if not is_success(answer.status, redirect=False):
            raise refused(answer)
        return Operations(Document(parse_document(answer.content), answer.url))

    def _keep(self, key: str, operations: Operations) -> None:
        self._documents[key] = (self._now_ms() + _FRESH_MS, operations)
        self._documents.move_to_end(key)
        while len(self._documents) > _DOCUMENTS_MAX:
            self._documents.popitem(last=False)


def _is_repeatable(operation: Operation) -> bool:
    return operation.method in IDEMPOTENT_METHODS or operation.key_header is not None


def _document_key(resource: Any) -> str:
    """One key for each address and each way to be let in, with secrets by their reference where they still are."""
    text = msgspec.json.encode(resource, order="sorted", enc_hook=str)
    return hashlib.sha256(text).hexdigest()
