"""Connections: named, credentialed links to systems, as they are stored.

A connection holds no secret: credentials are references to an environment variable, a file or a named secret,
read when a request is sent. The API description is an inline copy pinned by its digest, so that what a system
publishes tomorrow does not change what a workflow does today.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from segue.types import fail

_OWNER: Final = re.compile(r"(person|group):[A-Za-z0-9._@/-]{1,200}")


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A reference to a credential; exactly one field is set.

    Attributes:
        env: Name of an environment variable of the service.
        file: Path of a file on the service's machine.
        secret: Name of a secret of the service's secret source, with dots into a structured one.
        text: The value itself, for what is no secret: a user name, a client id.
    """

    env: str | None = None
    file: str | None = None
    secret: str | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.env, self.file, self.secret, self.text)) != 1:
            raise ValueError("a credential is exactly one of env, file, secret and text")


class NoAuth(msgspec.Struct, frozen=True, tag_field="kind", tag="none", forbid_unknown_fields=True):
    """The system asks for no credentials."""


class BasicAuth(msgspec.Struct, frozen=True, tag_field="kind", tag="basic", forbid_unknown_fields=True):
    """User name and password."""

    username: Credential
    password: Credential


class BearerAuth(msgspec.Struct, frozen=True, tag_field="kind", tag="bearer", forbid_unknown_fields=True):
    """A fixed token."""

    token: Credential


class ApiKeyAuth(msgspec.Struct, frozen=True, tag_field="kind", tag="apiKey", forbid_unknown_fields=True):
    """A key; where it goes is read from the document's security schemes unless it is given here."""

    key: Credential
    name: str | None = None
    place: Literal["header", "query", "cookie"] = "header"


class OAuth2Auth(
    msgspec.Struct, frozen=True, tag_field="kind", tag="oauth2", forbid_unknown_fields=True, omit_defaults=True
):
    """OAuth2 client credentials; the token address is read from the document unless it is given here."""

    client_id: Credential
    client_secret: Credential
    token_url: str | None = None
    scopes: tuple[str, ...] = ()
    client_authentication: Literal["client_secret_post", "client_secret_basic"] = "client_secret_post"


Auth = NoAuth | BasicAuth | BearerAuth | ApiKeyAuth | OAuth2Auth


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How hard a system may be pressed, by all runs of this process together.

    Attributes:
        requests_per_second: Long-run rate; None for no limit.
        burst: Requests that may go out at once after a pause.
        concurrency: Requests under way at the same time.
        workflow_concurrency: Of those, requests of one workflow (all its versions have one limit each); None for
            no limit beside `concurrency`.
    """

    requests_per_second: float | None = None
    burst: int = 1
    concurrency: int = 16
    workflow_concurrency: int | None = None

    def __post_init__(self) -> None:
        if self.requests_per_second is not None and self.requests_per_second <= 0:
            raise ValueError("requests_per_second must be above 0")
        if self.burst < 1 or self.concurrency < 1:
            raise ValueError("burst and concurrency must be at least 1")
        if self.workflow_concurrency is not None and self.workflow_concurrency < 1:
            raise ValueError("workflow_concurrency must be at least 1")


class Breaker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a system counts as down, and how long it is left alone.

    Attributes:
        failure_share: It opens when this share of the requests of the window failed. What counts is no answer, a
            time-out, or a status from 500 on; an answer that refuses a request does not.
        requests_min: Requests in the window below which it never opens.
        window_ms: How far it looks back.
        open_ms: The first pause; it doubles with each opening in a row.
        open_ms_max: The longest pause.
        probes: Answers in a row that close it again.
    """

    failure_share: float = 0.5
    requests_min: int = 10
    window_ms: int = 30_000
    open_ms: int = 1_000
    open_ms_max: int = 60_000
    probes: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.failure_share <= 1:
            raise ValueError("failure_share must be above 0 and at most 1")
        if self.requests_min < 1 or self.probes < 1 or self.window_ms < 1:
            raise ValueError("requests_min, probes and window_ms must be at least 1")
        if not 1 <= self.open_ms <= self.open_ms_max:
            raise ValueError("open_ms must be at least 1 and at most open_ms_max")


class Lookup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How to find out whether an operation was performed, for systems without idempotency keys.

    Attributes:
        operation: The operation that acts.
        reference: Its argument, or a property of its body, that carries the effect key.
        find: The operation that finds what was made.
        by: The argument of `find` that takes the effect key.
        items: JSON Pointer to the found items in its answer; left out, the answer itself or its only array.
    """

    operation: str
    reference: str
    find: str
    by: str
    items: str | None = None


class Paging(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How an operation spreads a list over several answers.

    Attributes:
        operation: The operation that lists.
        kind: `page` counts pages, `offset` counts items, `cursor` hands back a mark, `link` follows the
            Link header's `next`.
        items: JSON Pointer to the items in an answer; empty when the answer is the array itself.
        parameter: The argument that carries the page, offset or cursor; not for `link`.
        first: The first page or offset; left out, pages count from 1 and offsets from 0.
        size_parameter: The argument that carries the page size.
        size: Items asked for at a time.
        next: JSON Pointer to the next cursor (`cursor`), or to a value that is false or null on the last
            page (`page`, `offset`).
    """

    operation: str
    kind: Literal["page", "offset", "cursor", "link"]
    items: str = ""
    parameter: str | None = None
    first: int | None = None
    size_parameter: str | None = None
    size: int | None = None
    next: str | None = None

    def __post_init__(self) -> None:
        if self.kind != "link" and not self.parameter:
            raise ValueError(f"paging by {self.kind} needs the parameter that carries it")
        if self.kind == "cursor" and self.next is None:
            raise ValueError("paging by cursor needs next: where the following cursor stands")


class PinnedDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An inline copy of an API description.

    Attributes:
        digest: Of `content`; a connection whose content does not match is refused.
        source: Where it was read from.
    """

    content: dict[str, Any]
    digest: str
    source: str = ""


class Connection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A named link to a system.

    Attributes:
        base_url: Where the system is, in place of the document's server.
        breaker: When the system counts as down and is left alone; None presses on whatever happens.
        timeout_ms: For each request.
        idempotency_header: Set it only where the system honours this header on every writing operation; where an
            operation declares such a header itself, nothing needs to be set.
        wait_within_ms: A `Retry-After` up to this is waited for inside the task; a longer one fails it.
        probe: The operation that `test` calls; without it, the first one that reads and needs no argument.
        owner: Whose consent new uses need: `person:ann` or `group:sales`; None for nobody's.
    """

    name: str
    document: PinnedDocument
    kind: Literal["openapi"] = "openapi"
    base_url: str | None = None
    authentication: Auth = NoAuth()
    limits: Limits = Limits()
    breaker: Breaker | None = Breaker()
    timeout_ms: int = 30_000
    idempotency_header: str | None = None
    wait_within_ms: int = 5_000
    lookups: tuple[Lookup, ...] = ()
    paging: tuple[Paging, ...] = ()
    probe: str | None = None
    owner: str | None = None

    def __post_init__(self) -> None:
        if self.owner is not None and _OWNER.fullmatch(self.owner) is None:
            raise ValueError("owner must be person:NAME or group:NAME")

    def lookup_for(self, operation: str) -> Lookup | None:
        """The lookup declared for this operation."""
        return next((entry for entry in self.lookups if entry.operation == operation), None)

    def paging_for(self, operation: str) -> Paging | None:
        """The paging declared for this operation."""
        return next((entry for entry in self.paging if entry.operation == operation), None)


class ConnectionStore(Protocol):
    """Where handlers find connections.

    The lookup is not async: it stands before every act, so the service keeps its connections in memory.
    """

    def find(self, name: str) -> Connection | None:
        """The connection of this name."""
        ...


class MemoryConnections:
    """Connections kept in a dictionary, for embedding and as the service's loaded copy.

    Attributes:
        changes: How often one was put or removed: whoever keeps what follows from them looks here.
    """

    def __init__(self, *connections: Connection) -> None:
        self._connections = {connection.name: connection for connection in connections}
        self.changes = 0

    def find(self, name: str) -> Connection | None:
        """The connection of this name."""
        return self._connections.get(name)

    def put(self, connection: Connection) -> None:
        """Add a connection, or replace the one of the same name."""
        self._connections[connection.name] = connection
        self.changes += 1

    def remove(self, name: str) -> None:
        """Forget the connection of this name, if there is one."""
        self._connections.pop(name, None)
        self.changes += 1

    def all(self) -> list[Connection]:
        """Every connection, by name."""
        return [self._connections[name] for name in sorted(self._connections)]


def digest_of(data: dict[str, Any]) -> str:
    """The digest that pins a document: the same for every order of keys."""
    return "sha256:" + hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()


def connection_from_json(data: Any) -> Connection:
    """A connection as it was stored.

    Raises:
        TaskFailure: `validation`, naming the place, when it is not one; `configuration`, when its document was
            changed behind its digest.
    """
    try:
        connection = msgspec.convert(data, Connection)
    except msgspec.ValidationError as error:
        raise fail("validation", f"The connection does not fit: {error}.") from None
    if digest_of(connection.document.content) != connection.document.digest:
        raise fail("configuration", f"The document of the connection {connection.name!r} does not match its digest.")
    return connection


def connection_to_json(connection: Connection) -> dict[str, Any]:
    """The JSON object to store; holds references to credentials, never a credential."""
    data: dict[str, Any] = msgspec.to_builtins(connection)
    return data


def new_connection(
    name: str,
    document: str | bytes | Mapping[str, Any],
    *,
    source: str = "",
    authentication: str | Mapping[str, Any] = "none",
    **settings: Any,
) -> Connection:
    """A connection from what a person typed: `segue connections add NAME --openapi … --auth …`.

    Args:
        document: The API description, as text or parsed.
        source: Where it was read from; relative server addresses are resolved against it.
        authentication: The short form of `parse_auth`, or the object.
        settings: Further fields of `Connection`, as JSON values.

    Raises:
        TaskFailure: `validation` or `configuration`, naming what is wrong.
    """
    from segue.connectors.documents import (
        parse_document,  # loads the YAML library, which stored connections never need
    )

    text = document if isinstance(document, (str, bytes)) else msgspec.json.encode(document)
    content = parse_document(text)
    auth = parse_auth(authentication) if isinstance(authentication, str) else dict(authentication)
    pinned = {"content": content, "digest": digest_of(content), "source": source}
    return connection_from_json({"name": name, "document": pinned, "authentication": auth, **settings})


def parse_auth(text: str) -> dict[str, Any]:
    """The short form of authentication that the command line takes.

    `none`, `basic=USER,PASSWORD`, `bearer=TOKEN`, `apiKey=KEY`, `oauth2=CLIENT_ID,CLIENT_SECRET`, where each part is
    `env:NAME`, `file:PATH`, `secret:NAME` or, for user names and client ids only, `text:VALUE`.

    Raises:
        TaskFailure: `validation`, saying how it is written. The text is not repeated: it may hold a password.
    """
    kind, _, rest = text.partition("=")
    parts = [part.strip() for part in rest.split(",")] if rest else []
    wanted = {"none": (), "basic": ("username", "password"), "bearer": ("token",), "apiKey": ("key",)}
    wanted |= {"oauth2": ("client_id", "client_secret")}
    if kind not in wanted or len(parts) != len(wanted[kind]):
        raise fail(
            "validation",
            "Authentication is written none, basic=USER,PASSWORD, bearer=TOKEN, apiKey=KEY or oauth2=ID,SECRET, "
            "each part env:NAME, file:PATH or secret:NAME.",
        )
    return {
        "kind": kind,
        **{field: _credential(field, part) for field, part in zip(wanted[kind], parts, strict=True)},
    }


def _credential(field: str, part: str) -> dict[str, str]:
    source, _, value = part.partition(":")
    allowed = ("env", "file", "secret", "text") if field in ("username", "client_id") else ("env", "file", "secret")
    if source not in allowed or not value:
        raise fail(
            "validation",
            f"{field} must be a reference: {', '.join(f'{name}:…' for name in allowed)}. "
            "Credentials themselves are not stored.",
        )
    return {source: value}
