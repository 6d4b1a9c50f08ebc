"""Connections as they are stored."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segue.connectors import (
    Connection,
    MemoryConnections,
    connection_from_json,
    connection_to_json,
    new_connection,
    parse_auth,
)
from segue.types import TaskFailure

DOCUMENT = {"openapi": "3.0.3", "paths": {}}


def test_a_connection_round_trips_through_json() -> None:
    """The service stores JSON; what comes back must be the same connection."""
    connection = new_connection(
        "crm",
        DOCUMENT,
        source="http://h.test/openapi.json",
        authentication="basic=text:svc,env:CRM_PASSWORD",
        limits={"requests_per_second": 5.0, "burst": 2},
        lookups=[{"operation": "make", "reference": "ref", "find": "list", "by": "ref"}],
        paging=[{"operation": "list", "kind": "cursor", "parameter": "after", "next": "/next", "items": "/items"}],
    )

    stored = msgspec.json.decode(msgspec.json.encode(connection_to_json(connection)))

    assert connection_from_json(stored) == connection
    assert isinstance(connection, Connection)


@pytest.mark.parametrize(
    ("text", "auth"),
    [
        ("none", {"kind": "none"}),
        (
            "basic=text:svc,env:PW",
            {"kind": "basic", "username": {"text": "svc"}, "password": {"env": "PW"}},
        ),
        ("bearer=file:/run/token", {"kind": "bearer", "token": {"file": "/run/token"}}),
        ("apiKey=secret:crm.key", {"kind": "apiKey", "key": {"secret": "crm.key"}}),
        ("oauth2=env:ID,env:S", {"kind": "oauth2", "client_id": {"env": "ID"}, "client_secret": {"env": "S"}}),
    ],
)
def test_the_short_form_of_authentication(text: str, auth: dict[str, Any]) -> None:
    """It is what people type behind --auth."""
    assert parse_auth(text) == auth


@pytest.mark.parametrize(
    "text", ["bearer", "bearer=abc", "bearer=text:abc", "basic=env:A", "digest=env:A,env:B", "", "bearer=env:"]
)
def test_a_credential_itself_is_refused_and_not_repeated(text: str) -> None:
    """Whoever typed a password where a reference belongs must not find it in a log."""
    with pytest.raises(TaskFailure) as caught:
        parse_auth(text)

    assert "abc" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "soap"}, "kind"),
        ({"colour": 1}, "colour"),
        ({"limits": {"requests_per_second": 0}}, "above 0"),
        ({"limits": {"burst": 0}}, "at least 1"),
        ({"paging": [{"operation": "a", "kind": "page"}]}, "parameter"),
        ({"paging": [{"operation": "a", "kind": "cursor", "parameter": "c"}]}, "next"),
        ({"authentication": {"kind": "bearer", "token": {"env": "A", "file": "b"}}}, "exactly one"),
        ({"authentication": {"kind": "bearer", "token": {}}}, "exactly one"),
        ({"authentication": {"kind": "kerberos"}}, "kerberos"),
    ],
)
def test_a_connection_that_does_not_fit_is_refused_with_its_place(change: dict[str, Any], message: str) -> None:
    """Mistakes must show when a connection is added, not in the middle of a run."""
    stored = connection_to_json(new_connection("crm", DOCUMENT))

    with pytest.raises(TaskFailure, match=message) as caught:
        connection_from_json(stored | change)

    assert caught.value.failure.type.endswith("/validation")


def test_a_document_changed_behind_its_digest_is_refused() -> None:
    """The pinned copy is what was reviewed."""
    stored = connection_to_json(new_connection("crm", DOCUMENT))
    stored["document"]["content"] = {**DOCUMENT, "servers": [{"url": "http://evil.test"}]}

    with pytest.raises(TaskFailure, match="does not match its digest"):
        connection_from_json(stored)


def test_the_memory_store_finds_what_was_put() -> None:
    """It is the service's loaded copy."""
    store = MemoryConnections(new_connection("b", DOCUMENT))
    store.put(new_connection("a", DOCUMENT))
    store.remove("gone")

    assert [connection.name for connection in store.all()] == ["a", "b"]
    assert store.find("c") is None
    store.remove("a")
    assert store.find("a") is None
