"""What a connection offers and whether it works: for people who look, not for runs."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from segue.connectors.authentication import Note
from segue.connectors.calls import Calls, ReadSecret, checked_content, read_credential
from segue.connectors.connections import Connection, Credential
from segue.connectors.operations import Operation
from segue.connectors.outbound import SAFE_METHODS
from segue.connectors.requests import prepare
from segue.types import Failure, Recovery, TaskFailure


class OperationDescription(msgspec.Struct, frozen=True):
    """One operation as forms and lists show it.

    Attributes:
        arguments: JSON Schema of the object of arguments.
        result: JSON Schema of what it returns, if the document says.
        recovery: What may follow a crash in the middle.
        paged: The connection declares how its list is read to the end (`all: true`).
    """

    name: str
    method: str
    path: str
    summary: str
    arguments: dict[str, Any]
    result: dict[str, Any] | None
    recovery: Recovery
    paged: bool


class ConnectionReport(msgspec.Struct, frozen=True):
    """What a test of a connection found.

    Attributes:
        ok: It answers, and lets us in.
        operation: What was called; None when nothing could be called without arguments.
        status: HTTP status of the answer.
        elapsed_ms: Of the whole call, a token fetch included.
        problem: What is wrong and what to do.
    """

    ok: bool
    operation: str | None = None
    status: int | None = None
    elapsed_ms: int | None = None
    problem: str | None = None


def describe(calls: Calls, connection: Connection) -> list[OperationDescription]:
    """The operations of a connection with their schemas, in the order of its document.

    Raises:
        TaskFailure: `configuration`, when the document contradicts itself.
    """
    operations = calls.operations(connection)
    return [_description(calls, connection, operations.get(name)) for name in operations.names()]


async def unresolved(connection: Connection, read_secret: ReadSecret) -> list[str]:
    """Which references to credentials lead nowhere now, each with what to do; raises nothing and sends nothing.

    They are read when a call needs them, so what is set later counts.
    """
    found = []
    for field in connection.authentication.__struct_fields__:
        credential = getattr(connection.authentication, field)
        if not isinstance(credential, Credential):
            continue
        try:
            await read_credential(credential, read_secret)
        except TaskFailure as failed:
            found.append(f"{field}: {failed.failure.detail or failed}{_how_to_set(credential)}")
    return found


def _how_to_set(credential: Credential) -> str:
    if credential.env is not None:
        return f" Export {credential.env} where Segue runs, before it starts."
    # What a secret lacks, its sources say themselves.
    return " Write it there, readable for whoever runs Segue." if credential.file is not None else ""


async def probe(calls: Calls, connection: Connection, *, read_secret: ReadSecret, note: Note) -> ConnectionReport:
    """Call one harmless operation and report what happened; raises nothing.

    The failure's texts are not masked here: the caller has the redactor that `note` belongs to.
    """
    started = time.perf_counter()
    name: str | None = None
    try:
        operation = _harmless(calls, connection)
        if operation is None:
            return ConnectionReport(
                ok=False,
                problem="No operation reads without arguments: name one that does in the connection's probe.",
            )
        name = operation.id
        prepared = prepare(operation, {}, base_url=connection.base_url)
        auth = await calls.auth(connection, read_secret, note)
        answer = await calls.send(connection, prepared, auth)
        checked_content(operation, answer)
    except TaskFailure as failed:
        failure: Failure = failed.failure
        return ConnectionReport(False, name, failure.status, _since_ms(started), failure.detail)
    return ConnectionReport(True, name, answer.status, _since_ms(started))


def _description(calls: Calls, connection: Connection, operation: Operation) -> OperationDescription:
    return OperationDescription(
        name=operation.id,
        method=operation.method,
        path=operation.path,
        summary=operation.summary.split("\n", 1)[0],
        arguments=operation.arguments_schema(),
        result=operation.result_schema(),
        recovery=calls.recovery(connection, operation),
        paged=connection.paging_for(operation.id) is not None,
    )


def _harmless(calls: Calls, connection: Connection) -> Operation | None:
    operations = calls.operations(connection)
    if connection.probe is not None:
        return operations.get(connection.probe)
    for name in operations.names():
        operation = operations.get(name)
        needs = any(p.required for p in operation.parameters) or (
            operation.body is not None and operation.body.required
        )
        if operation.method in SAFE_METHODS and not needs:
            return operation
    return None


def _since_ms(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
