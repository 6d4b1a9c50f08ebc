"""Identities, their credentials, changes of policy, and switches, as rows."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal

import msgspec

from segue.store.codec import encode
from segue.store.records import Sql

IdentityState = Literal["active", "locked", "removed"]
CredentialKind = Literal["token", "session"]


class Provisioned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a directory says of a person by SCIM. Times are milliseconds since the epoch, UTC.

    Attributes:
        kept: What is kept of the resource, as RFC 7643 names it.
        active: The directory lets them in. locked: their lock here is the directory's, and not an administrator's.
        gone: The directory removed them; a new resource may have what this one had.
    """

    kept: dict[str, Any] = {}
    active: bool = True
    locked: bool = False
    gone: bool = False
    created_at: int = 0
    changed_at: int = 0


class IdentityRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody who can sign in, or a program that has tokens. Times are milliseconds since the epoch, UTC.

    Attributes:
        password: Hash of it; empty where there is none.
        totp: Secret of one-time codes; empty where none are asked for. pending: one that is not confirmed yet.
        failures: Wrong passwords in a row. barred_until: No password counts before.
        subject: Issuer and subject of who signs in through an OpenID provider; empty for others.
        code: Number of the time step whose one-time code was used last; each counts once.
        one_time_until: Until then the password counts once, to choose another; 0 where it is the person's own.
        password_by: Who set a password that counts once.
        known_to: Others who ever set a password or an address of this person, and could have been them.
        link: What of their claims can tell them among those that a directory provisions, at their last sign-in.
        scim: What the directory says of them; None where it says nothing.
    """

    kind: str
    id: str
    display: str = ""
    roles: list[str] = []
    groups: list[str] = []
    limits: dict[str, float] = {}
    workspace: str = "default"
    state: IdentityState = "active"
    reason: str = ""
    created_at: int = 0
    created_by: str = ""
    password: str = ""
    totp: str = ""
    pending: str = ""
    failures: int = 0
    barred_until: int = 0
    code: int = 0
    subject: str = ""
    one_time_until: int = 0
    password_by: str = ""
    known_to: list[str] = []
    link: str = ""
    scim: Provisioned | None = None


class CredentialRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token or a session. `scopes` None does not restrict. `csrf` is what a browser must repeat."""

    id: str
    digest: str
    kind: CredentialKind
    identity_kind: str
    identity_id: str
    label: str = ""
    scopes: list[str] | None = None
    csrf: str = ""
    created_at: int = 0
    created_by: str = ""
    expires_at: int = 0
    used_at: int | None = None


class PolicyChange(msgspec.Struct, frozen=True):
    """A policy file was set (`text`), or went back to what ships (None)."""

    number: int
    name: str
    text: str | None
    at: int
    by: str
    reason: str


class SwitchRecord(msgspec.Struct, frozen=True):
    """Something that was stopped; it is, while `released_at` is None."""

    number: int
    kind: str
    name: str
    at: int
    by: str
    reason: str
    released_at: int | None = None
    released_by: str | None = None
    released_reason: str | None = None


def put_identity(record: IdentityRecord) -> Sql:
    """Store an identity over what was known of it."""
    sql = "INSERT OR REPLACE INTO identity (kind, id, data) VALUES (?, ?, seal(?))"
    return sql, (record.kind, record.id, encode(record).decode())


def list_identities(connection: sqlite3.Connection) -> list[IdentityRecord]:
    """All identities by kind and id."""
    rows = connection.execute("SELECT data FROM identity ORDER BY kind, id")
    return [msgspec.json.decode(data, type=IdentityRecord) for (data,) in rows]


def put_credential(record: CredentialRecord) -> Sql:
    """Store a credential over what was known of it."""
    into = "INSERT OR REPLACE INTO credential (id, digest, identity_kind, identity_id, data)"
    who = (record.identity_kind, record.identity_id)
    return into + " VALUES (?, ?, ?, ?, seal(?))", (record.id, record.digest, *who, encode(record).decode())


def delete_credential(credential: str) -> Sql:
    """Forget a credential."""
    return "DELETE FROM credential WHERE id = ?", (credential,)


def delete_credentials(kind: str, identity: str) -> Sql:
    """Forget every credential of an identity."""
    return "DELETE FROM credential WHERE identity_kind = ? AND identity_id = ?", (kind, identity)


def list_credentials(connection: sqlite3.Connection) -> list[CredentialRecord]:
    """All credentials by id."""
    rows = connection.execute("SELECT data FROM credential ORDER BY id")
    return [msgspec.json.decode(data, type=CredentialRecord) for (data,) in rows]


def add_policy_change(name: str, text: str | None, at: int, by: str, reason: str) -> Sql:
    """A policy file changes."""
    sql = "INSERT INTO policy_change (name, text, at, by, reason) VALUES (?, seal(?), ?, ?, seal(?))"
    return sql, (name, text, at, by, reason)


def list_policy_changes(connection: sqlite3.Connection) -> list[PolicyChange]:
    """All changes, oldest first."""
    return _rows(
        connection, "SELECT number, name, text, at, by, reason FROM policy_change ORDER BY number", PolicyChange
    )


def throw_switch(kind: str, name: str, at: int, by: str, reason: str) -> Sql:
    """Stop something; it stays as it is where it is stopped already."""
    sql = "INSERT OR IGNORE INTO switch (kind, name, at, by, reason) VALUES (?, ?, ?, ?, seal(?))"
    return sql, (kind, name, at, by, reason)


def release_switch(kind: str, name: str, at: int, by: str, reason: str) -> Sql:
    """Let it go on."""
    sql = (
        "UPDATE switch SET released_at = ?, released_by = ?, released_reason = seal(?)"
        " WHERE kind = ? AND name = ? AND released_at IS NULL"
    )
    return sql, (at, by, reason, kind, name)


def list_switches(connection: sqlite3.Connection, *, thrown: bool = False) -> list[SwitchRecord]:
    """Switches, newest first; with `thrown`, only what is stopped now."""
    columns = "number, kind, name, at, by, reason, released_at, released_by, released_reason"
    sql = f"SELECT {columns} FROM switch {'WHERE released_at IS NULL ' if thrown else ''}ORDER BY number DESC"  # noqa: S608
    return _rows(connection, sql, SwitchRecord)


def _rows(connection: sqlite3.Connection, sql: str, kind: type[Any]) -> list[Any]:
    return [kind(*row) for row in connection.execute(sql)]
