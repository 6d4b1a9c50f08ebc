"""Calls through a connection: prepared, paced, sent, checked; with what makes them safe to repeat."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from segue.connectors.authentication import ApiKey, Note, authenticator
from segue.connectors.circuit import CircuitReport
from segue.connectors.connections import ApiKeyAuth, BasicAuth, BearerAuth, Connection, Credential, NoAuth, OAuth2Auth
from segue.connectors.content import decode_body, is_json, media_type
from segue.connectors.exchange import refused, retry_after_ms
from segue.connectors.line import Lines
from segue.connectors.operations import Operation, Operations, OperationsCache
from segue.connectors.outbound import IDEMPOTENT_METHODS, Answer, Outbound
from segue.connectors.pointers import only_array, value_at
from segue.connectors.requests import Prepared, prepare
from segue.connectors.tokens import TokenCache
from segue.types import NOT_DONE, Recovery, TaskFailure, fail

ReadSecret = Callable[[str], Awaitable[Any]]
# A system that says "later" this often in a row means it: the task fails and its retry policy decides.
_WAITS_MAX: Final = 6
# Told to wait, but not for how long.
_UNSTATED_WAIT_MS: Final = 1_000


class Calls:
    """Calls operations of connections.

    Args:
        outbound: The guarded client.
        tokens: Where OAuth2 tokens are kept.
    """

    def __init__(self, outbound: Outbound, tokens: TokenCache) -> None:
        self._outbound = outbound
        self._tokens = tokens
        self._documents = OperationsCache()
        self._lines = Lines()

    def operations(self, connection: Connection) -> Operations:
        """The operations of a connection's document."""
        document = connection.document
        return self._documents.get(document.digest, document.content, document.source)

    def circuit(self, connection: Connection) -> CircuitReport | None:
        """How the circuit of a connection stands; None while this process has not used it."""
        return self._lines.report(connection)

    def recovery(self, connection: Connection, operation: Operation) -> Recovery:
        """What may follow a crash in the middle of this operation.

        Safe and idempotent methods and keyed ones are repeated; a declared lookup verifies; the rest asks.
        """
        if operation.method in IDEMPOTENT_METHODS or key_header_of(connection, operation) is not None:
            return "repeat"
        return "verify" if connection.lookup_for(operation.id) is not None else "ask"

    async def call(
        self,
        connection: Connection,
        name: str,
        arguments: Mapping[str, Any],
        *,
        key: str,
        read_secret: ReadSecret,
        note: Note,
        lane: str = "",
        has_undo: bool = False,
    ) -> Any:
        """Call an operation and return its checked content.

        Args:
            name: The operation's id.
            key: The effect key; goes out in the operation's idempotency header, or as its lookup's reference.
            read_secret: Reads a named secret for credentials that refer to one.
            note: Told every credential, so that it can be masked.
            lane: The workflow that calls: those who wait for the connection take turns by it.
            has_undo: A lost answer must be told as such, though a key makes it safe to ask again.

        Raises:
            TaskFailure: `validation` for arguments or an answer that do not fit; otherwise as for any request.
        """
        operation = self.operations(connection).get(name)
        arguments = with_reference(connection, operation, arguments, key)
        header = key_header_of(connection, operation)
        if header is not None and header == operation.key_header:
            arguments = {header: key, **arguments}
        prepared = prepare(operation, arguments, base_url=connection.base_url)
        if header is not None:
            prepared.headers.setdefault(header, key)
        auth = await self.auth(connection, read_secret, note)
        answer = await self.send(
            connection, prepared, auth, repeatable=header is not None, lane=lane, tells_lost=has_undo
        )
        return checked_content(operation, answer)

    async def send(
        self,
        connection: Connection,
        prepared: Prepared,
        auth: httpx.Auth | None,
        *,
        repeatable: bool = False,
        lane: str = "",
        tells_lost: bool = False,
    ) -> Answer:
        """Send when the connection's line has a turn, waiting out short requests to come back later.

        A 429 was not acted upon, so it is always repeated. A 503 is repeated only where that is safe.

        Raises:
            TaskFailure: `communication` for an answer that is no success; with `retry_after_ms` where the system
                asks for more time than the connection waits, or is down and left alone.
        """
        line = self._lines.of(connection)
        repeatable = repeatable or prepared.method in IDEMPOTENT_METHODS
        for round_ in range(_WAITS_MAX + 1):
            async with line.turn(lane) as tell:
                answer = await self._outbound.send(
                    prepared.method,
                    prepared.url,
                    headers=prepared.headers,
                    content=prepared.content,
                    auth=auth,
                    total_ms=connection.timeout_ms,
                    repeatable=repeatable,
                    tells_lost=tells_lost,
                )
                tell(answer)
            if 200 <= answer.status < 300:
                return answer
            wait_ms = _wait_asked(answer, repeatable)
            if wait_ms is None:
                break
            line.pause(wait_ms)
            if wait_ms > connection.wait_within_ms or round_ == _WAITS_MAX:
                break  # otherwise the next turn waits for the pause to end
        raise refused(answer)

    async def verify(
        self,
        connection: Connection,
        name: str,
        arguments: Mapping[str, Any],
        *,
        key: str,
        read_secret: ReadSecret,
        note: Note,
        lane: str = "",
    ) -> Any:
        """What the operation made under this key, or `NOT_DONE`.

        Raises:
            TaskFailure: The lookup itself failed; nothing is known then.
        """
        lookup = connection.lookup_for(name)
        if lookup is None:
            raise fail("configuration", f"The connection {connection.name!r} declares no lookup for {name!r}.")
        operation = self.operations(connection).get(name)
        wanted = _reference_value(operation, lookup.reference, arguments, key)
        try:
            found = await self.call(
                connection, lookup.find, {lookup.by: wanted}, key=key, read_secret=read_secret, note=note, lane=lane
            )
        except TaskFailure as failed:
            if failed.failure.status == 404:
                return NOT_DONE
            raise
        return _match(found, lookup.items, lookup.reference, wanted)

    async def auth(self, connection: Connection, read_secret: ReadSecret, note: Note) -> httpx.Auth | None:
        """The connection's credentials, read and ready to be sent; None where it needs none."""
        auth = connection.authentication

        async def read(credential: Credential) -> str:
            return await read_credential(credential, read_secret)

        if isinstance(auth, NoAuth):
            return None
        if isinstance(auth, BasicAuth):
            fields = {"username": await read(auth.username), "password": await read(auth.password)}
            return authenticator({"basic": fields}, self._tokens, note)
        if isinstance(auth, BearerAuth):
            return authenticator({"bearer": {"token": await read(auth.token)}}, self._tokens, note)
        if isinstance(auth, ApiKeyAuth):
            key = await read(auth.key)
            note(key)
            return ApiKey(*self._key_place(connection, auth), key)
        policy = self._oauth2_policy(connection, auth, await read(auth.client_id), await read(auth.client_secret))
        return authenticator({"oauth2": policy}, self._tokens, note)

    def _key_place(self, connection: Connection, auth: ApiKeyAuth) -> tuple[str, str]:
        if auth.name is not None:
            return auth.name, auth.place
        for scheme in self.operations(connection).document.security_schemes().values():
            if scheme.get("type") == "apiKey":
                return str(scheme.get("name")), str(scheme.get("in", "header"))
        raise fail(
            "configuration",
            f"The document of {connection.name!r} declares no apiKey scheme: name the header in authentication.name.",
        )

    def _oauth2_policy(
        self, connection: Connection, auth: OAuth2Auth, client_id: str, client_secret: str
    ) -> dict[str, Any]:
        token_url = auth.token_url or self._token_url(connection)
        client = {"id": client_id, "secret": client_secret, "authentication": auth.client_authentication}
        return {
            "authority": token_url,
            "endpoints": {"token": token_url},
            "grant": "client_credentials",
            "client": client,
            "scopes": list(auth.scopes),
        }

    def _token_url(self, connection: Connection) -> str:
        operations = self.operations(connection)
        for scheme in operations.document.security_schemes().values():
            if scheme.get("type") != "oauth2":
                continue
            flow = (scheme.get("flows") or {}).get("clientCredentials") or {}
            address = flow.get("tokenUrl") or scheme.get("tokenUrl")
            if address:
                base = connection.base_url or operations.document.base_url({}, {})
                return str(httpx.URL(base.rstrip("/") + "/").join(str(address)))
        raise fail(
            "configuration",
            f"The document of {connection.name!r} names no token address: give it in authentication.token_url.",
        )


async def read_credential(credential: Credential, read_secret: ReadSecret) -> str:
    """The value a credential refers to.

    Raises:
        TaskFailure: `authorization`, naming the reference, when nothing is there.
    """
    if credential.text is not None:
        return credential.text
    if credential.env is not None:
        value = os.environ.get(credential.env)
        if value is None:
            raise fail("authorization", f"The environment variable {credential.env!r} of a connection is not set.")
        return value
    if credential.file is not None:
        try:
            text = await asyncio.to_thread(Path(credential.file).read_text, "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = type(error).__name__
            raise fail(
                "authorization", f"The credential file {credential.file!r} cannot be read ({reason})."
            ) from None
        return text.strip()
    assert credential.secret is not None
    name, *path = credential.secret.split(".")
    found = await read_secret(name)
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    if not isinstance(found, (str, int, float)):
        raise fail("authorization", f"The secret {credential.secret!r} of a connection is not a text.")
    return str(found)


def checked_content(operation: Operation, answer: Answer) -> Any:
    """The decoded content of a successful answer, checked against the operation's schema.

    Raises:
        TaskFailure: `validation`, naming the place that does not fit; `communication`, when it cannot be decoded.
    """
    content_type = answer.headers.get("content-type", "")
    content = decode_body(answer.content, content_type, origin=answer.url.split("?", 1)[0])
    if is_json(media_type(content_type)):
        check = operation.response_check(answer.status)
        if check is not None:
            check(content)
    return content


def key_header_of(connection: Connection, operation: Operation) -> str | None:
    if operation.key_header is not None:
        return operation.key_header
    return connection.idempotency_header if operation.method not in IDEMPOTENT_METHODS else None


def with_reference(
    connection: Connection, operation: Operation, arguments: Mapping[str, Any], key: str
) -> dict[str, Any]:
    """The arguments with the effect key where the operation's lookup will search for it."""
    lookup = connection.lookup_for(operation.id)
    if lookup is None:
        return dict(arguments)
    place, holder = _reference_place(operation, lookup.reference, arguments)
    if holder.get(lookup.reference) is not None:
        return dict(arguments)
    marked = {**holder, lookup.reference: key}
    return {**arguments, place: marked} if place else marked


def _reference_place(
    operation: Operation, reference: str, arguments: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    """The argument that holds the reference, with its value; an empty name stands for the arguments themselves."""
    if any(parameter.name == reference for parameter in operation.parameters) or operation.body is None:
        return "", arguments
    body = arguments.get(operation.body.name)
    return operation.body.name, body if isinstance(body, dict) else {}


def _reference_value(operation: Operation, reference: str, arguments: Mapping[str, Any], key: str) -> Any:
    _, holder = _reference_place(operation, reference, arguments)
    given = holder.get(reference)
    return key if given is None else given


def _match(found: Any, items: str | None, reference: str, wanted: Any) -> Any:
    """The first found item that carries the reference; systems that ignore an unknown filter return all they have."""
    listed = value_at(found, items) if items is not None else only_array(found)
    if not isinstance(listed, list):
        listed = [] if found is None else [found]
    for item in listed:
        if not isinstance(item, dict) or reference not in item or item[reference] == wanted:
            return item
    return NOT_DONE


def _wait_asked(answer: Answer, repeatable: bool) -> int | None:
    """How long to wait before the same request may be sent again, or None when it may not."""
    if answer.status != 429 and not (answer.status == 503 and repeatable):
        return None
    asked = retry_after_ms(answer.headers)
    if asked is None:
        return _UNSTATED_WAIT_MS if answer.status == 429 else None
    return max(asked, 1)
