"""Use cases of connections: add, list, read, try, remove."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol
from urllib.parse import urlsplit

import msgspec

from segue.connectors import Connection, MemoryConnections, connection_to_json, new_connection
from segue.governance import Redactor
from segue.service.access import UseCases, connection_of, governed
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.shapes import CircuitView, ConnectionDetail, ConnectionTest, ConnectionView, OperationView, Page
from segue.service.vault import VaultSecrets
from segue.types import TaskFailure

if TYPE_CHECKING:
    from segue.connectors import Calls, Outbound
    from segue.connectors.foreseeing import Found
    from segue.dsl import CheckCall, CheckOperation
    from segue.store import Store

_NOT_SETTINGS: Final = frozenset({"name", "document", "authentication", "kind", "owner"})
_VARIABLE: Final = re.compile(r"env:\s*([^,\s]+)")
_OWN_VARIABLE: Final = re.compile(r"SEGUE_(?!SECRET_)", re.IGNORECASE)
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
Name = Annotated[str, msgspec.Meta(pattern=f"^{NAME.pattern}$")]


class NewConnection(msgspec.Struct, forbid_unknown_fields=True):
    """A connection to add.

    Attributes:
        document: Text of its OpenAPI document; read from `source` where it is left out.
        source: Where the document is from; relative server addresses are resolved against it.
        auth: Credentials by reference, such as `bearer=env:CRM_TOKEN`.
        settings: Further settings: base_url, limits, paging, lookups, probe …
    """

    name: Name
    document: str | None = None
    source: str = ""
    auth: str = "none"
    settings: dict[str, Any] = {}


class Machinery(Protocol):
    """What connections need to speak to systems; made when it is first asked for."""

    @property
    def calls(self) -> Calls:
        """How connections are called."""
        ...

    @property
    def outbound(self) -> Outbound:
        """The guarded HTTP client."""
        ...


class Connections(UseCases):
    """Connections of one data folder.

    Args:
        loaded: The copy that handlers look into; kept equal to what is stored.
        machinery: How connections are called, and the HTTP client.
        variables: Where credentials may come from when the connection is added over the network; see
            `Settings.connection_variables`.
    """

    def __init__(
        self,
        store: Store,
        loaded: MemoryConnections,
        machinery: Machinery,
        secrets: VaultSecrets,
        variables: Sequence[str] = (),
    ) -> None:
        self._variables = variables
        self._store = store
        self._loaded = loaded
        self._machinery = machinery
        self._secrets = secrets

    @governed("connection.add", on=connection_of)
    async def add(
        self, name: str, document: bytes | str, *, source: str = "", auth: str = "none", **settings: Any
    ) -> ConnectionView:
        """Add a connection described by an OpenAPI document.

        Args:
            document: The text of the document; a pinned copy is kept.
            source: Where it was read from; relative server addresses are resolved against it.
            auth: Credentials by reference, as `bearer=env:CRM_TOKEN`; see `parse_auth`.
            settings: Further fields of a connection.

        Raises:
            ServiceError: `connection-taken` or `connection-refused`.
        """
        if not NAME.fullmatch(name):
            raise ServiceError(
                "connection-refused",
                f"{name!r} cannot be a name.",
                remedy="Use 1 to 63 lower-case letters, digits and hyphens.",
            )
        if self._loaded.find(name) is not None:
            raise ServiceError("connection-taken", f"There is a connection {name!r} already.")
        unknown = settings.keys() - set(Connection.__struct_fields__) | settings.keys() & _NOT_SETTINGS
        if unknown:
            raise ServiceError("connection-refused", f"A connection has no setting {sorted(unknown)[0]!r}.")
        from segue.connectors import unresolved

        try:
            connection = new_connection(name, document, source=source, authentication=auth, **settings)
            operations = self._machinery.calls.operations(connection).names()
        except TaskFailure as error:
            raise ServiceError("connection-refused", str(error)) from None
        await self._store.put_connection(name, connection_to_json(connection))
        self._loaded.put(connection)
        warnings = await unresolved(connection, self._secrets.used_by(f"connection:{name}").read)
        return msgspec.structs.replace(self._view(connection, len(operations)), warnings=warnings)

    @governed("connection.add")
    async def add_from(self, wanted: NewConnection, *, trusted: bool = True) -> ConnectionView:
        """Add a connection as it was asked for, reading its document from the web where only an address is given.

        Args:
            trusted: Whoever asks may read this machine's files and environment anyway; otherwise credentials from
                files, and from variables that the settings do not name, are refused: a connection to a system of
                one's own would be told them.

        Raises:
            ServiceError: `connection-taken` or `connection-refused`.
        """
        if not trusted and "file:" in wanted.auth:
            raise ServiceError(
                "connection-refused",
                "Credentials from files are not taken over the network.",
                remedy="Use env:NAME or secret:NAME, or add the connection while no server runs.",
            )
        if not trusted:
            self._require_variables(wanted)
        document: bytes | str | None = wanted.document
        if document is None:
            if not wanted.source.startswith(("http://", "https://")):
                raise ServiceError("connection-refused", "Neither a document nor its http address is given.")
            document = await self.fetch(wanted.source)
        return await self.add(wanted.name, document, source=wanted.source, auth=wanted.auth, **wanted.settings)

    @governed("connection.add")
    async def fetch(self, address: str) -> bytes:
        """An OpenAPI document from the web.

        Raises:
            ServiceError: `connection-refused`, saying why it cannot be read.
        """
        try:
            answer = await self._machinery.outbound.send("GET", address)
        except TaskFailure as error:
            raise ServiceError("connection-refused", str(error)) from None
        if answer.status != 200:
            raise ServiceError("connection-refused", f"{address} answers with the status {answer.status}.")
        return answer.content

    @governed("connection.list")
    async def page(self, *, limit: int = 50, after: str | None = None) -> Page[ConnectionView]:
        """Connections by name."""
        found = [c for c in self._loaded.all() if after is None or c.name > after]
        views = [self._view(c, len(self._machinery.calls.operations(c).names())) for c in found[:limit]]
        return Page(items=views, next=views[-1].name if len(found) > limit else None)

    @governed("connection.read", on=connection_of)
    async def get(self, name: str) -> ConnectionDetail:
        """A connection with its operations.

        Raises:
            ServiceError: `connection-unknown`, or `connection-refused` where its document contradicts itself.
        """
        from segue.connectors import describe

        connection = self._known(name)
        try:
            described = describe(self._machinery.calls, connection)
        except TaskFailure as error:
            raise ServiceError("connection-refused", str(error)) from None
        operations = [
            OperationView(
                operation=o.name,
                method=o.method,
                path=o.path,
                summary=o.summary or None,
                arguments=o.arguments,
                result=o.result,
            )
            for o in described
        ]
        circuit = self._circuit(connection)
        return ConnectionDetail(**_fields(connection, len(operations)), circuit=circuit, described=operations)

    @governed("connection.test", on=connection_of)
    async def test(self, name: str) -> ConnectionTest:
        """Call one harmless operation. A failed try is an answer, not an error.

        Raises:
            ServiceError: `connection-unknown`.
        """
        from segue.connectors import probe

        connection = self._known(name)
        redactor = Redactor()
        report = await probe(
            self._machinery.calls,
            connection,
            read_secret=self._secrets.used_by(f"connection:{name}").read,
            note=redactor.note,
        )
        detail = redactor.mask(report.problem) if report.problem else "It answers and lets us in."
        return ConnectionTest(
            name=name,
            reachable=report.ok,
            detail=detail,
            operation=report.operation,
            status=report.status,
            duration_ms=report.elapsed_ms,
        )

    @governed("connection.remove", on=connection_of)
    async def remove(self, name: str) -> ConnectionView:
        """Remove a connection. Runs that name it fail at their next call.

        Raises:
            ServiceError: `connection-unknown`.
        """
        connection = self._known(name)
        await self._store.delete_connection(name)
        self._loaded.remove(name)
        return ConnectionView(**_fields(connection, 0))

    def _require_variables(self, wanted: NewConnection) -> None:
        """Somebody may connect systems and must not read the server's environment by that."""
        for variable in _VARIABLE.findall(wanted.auth):
            if _OWN_VARIABLE.match(variable):
                raise ServiceError(
                    "connection-refused",
                    f"{variable} is Segue's own and no credential of a connection.",
                    remedy="Name the credential's own variable, or use secret:NAME.",
                )
            named = (f"{wanted.name}:{variable}", variable)
            if not any(fnmatchcase(name, allowed) for allowed in self._variables for name in named):
                raise ServiceError(
                    "connection-refused",
                    f"The settings do not name {variable} as a variable for the connection {wanted.name!r}.",
                    remedy=f'Let an administrator add "{named[0]}" to connection_variables in segue.toml and start'
                    " the server again; or use secret:NAME; or add the connection while no server runs.",
                )

    def _view(self, connection: Connection, operations: int) -> ConnectionView:
        return ConnectionView(**_fields(connection, operations), circuit=self._circuit(connection))

    def _circuit(self, connection: Connection) -> CircuitView | None:
        report = self._machinery.calls.circuit(connection)
        if report is None:
            return None
        return CircuitView(
            state=report.state,
            since=_iso(report.since_ms),
            last_failure=report.last_failure,
            last_failure_at=_iso(report.last_failure_ms),
            retry_at=_iso(report.retry_ms),
            under_way=report.under_way,
            waiting=report.waiting,
        )

    def _known(self, name: str) -> Connection:
        connection = self._loaded.find(name)
        if connection is None:
            raise ServiceError("connection-unknown", f"There is no connection {name!r}.")
        return connection


def foreseeing(loaded: MemoryConnections, calls: Callable[[], Calls]) -> CheckCall:
    """What documents are checked against when they call a connection."""

    def check(name: str, call: Mapping[str, Any], is_unknown: Callable[[Any], bool]) -> list[Found]:
        from segue.connectors import foresee

        connection = loaded.find(name)
        if connection is None:
            return []
        try:
            operations = calls().operations(connection)
        except TaskFailure:
            return []  # the description as a whole cannot be read: `connections test` says so
        return foresee(operations, connection, call, is_unknown)

    return check


def foreseeing_operations(
    loaded: MemoryConnections, calls: Callable[[], Calls], read: Callable[[str], bytes]
) -> CheckOperation:
    """What calls of `openapi` are checked against: the copy that a connection keeps of the description at the same
    address, or a local file. Nothing is fetched: publishing must not depend on a server that is up that day.
    """

    def check(address: str, call: Mapping[str, Any], is_unknown: Callable[[Any], bool]) -> list[Found] | None:
        from segue.connectors import Document, Operations, foresee_operation, parse_document

        kept = next((one for one in loaded.all() if one.document.source == address), None)
        try:
            if kept is not None:
                return foresee_operation(calls().operations(kept), call, is_unknown)
            if urlsplit(address).scheme in ("http", "https"):
                return None
            described = Operations(Document(parse_document(read(address)), address))
        except (TaskFailure, OSError, ValueError):
            return None
        return foresee_operation(described, call, is_unknown)

    return check


def _fields(connection: Connection, operations: int) -> dict[str, Any]:
    content = connection.document.content
    title = content.get("info", {}).get("title") if isinstance(content.get("info"), dict) else None
    return {
        "name": connection.name,
        "kind": connection.kind,
        "base_url": connection.base_url,
        "source": connection.document.source or None,
        "owner": connection.owner,
        "auth": connection_to_json(connection).get("authentication", {}).get("kind", "none"),
        "title": title if isinstance(title, str) else None,
        "operations": operations,
    }


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else iso(at_ms)
