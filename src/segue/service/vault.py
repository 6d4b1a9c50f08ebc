"""Use cases of secrets: keep them in the folder, encrypted; say who may use them; see who does. None is shown."""

from __future__ import annotations

import re
import sqlite3
import time
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from segue.connectors import Connection, MemoryConnections, connection_to_json
from segue.dsl import read_document
from segue.governance.switches import named_by
from segue.service.access import UseCases, governed
from segue.service.definitions import Definitions
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.shapes import Page, Shape
from segue.service.standing import fingerprint_of
from segue.store import Store
from segue.store.codec import decode, encode
from segue.types import Perform, SecretSource, TaskFailure, fail

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_USER: Final = re.compile(r"(workflow|connection):\S{1,200}")
_VALUE_MAX: Final = 65_536
_USERS_MAX: Final = 100
_NOTED_EVERY_MS: Final = 60_000
"""The last use of a secret is kept to the minute: noting each would cost every act a write."""


class NewSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A secret. value: text, or an object for a structured one."""

    name: str
    value: str | dict[str, Any]


class SecretUsers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may use a secret: `workflow:NAMESPACE/NAME` and `connection:NAME`, with `*` for anything; None: all."""

    users: list[str] | None


class SecretView(Shape, frozen=True, kw_only=True):
    """A secret, and never its value.

    Attributes:
        kept: It is kept in this folder; others come from the environment or the secrets folder.
        updated_at: When it was last set here.
        users: Who may use it; None where everybody may who names it.
        used_at, used_by: Its last use, to the minute.
        named_by: Workflows, in their newest version, and connections that name it.
    """

    name: str
    kept: bool
    updated_at: str | None
    users: list[str] | None
    used_at: str | None
    used_by: str | None
    named_by: list[str]


class VaultSecrets:
    """All secrets: of the folder after those of every other source; and who may use them.

    `store` is given once it is open.
    """

    def __init__(self, others: SecretSource) -> None:
        self.store: Store | None = None
        self._others = others
        self._users: dict[str, tuple[str, ...]] = {}
        self._noted: dict[str, tuple[str, int]] = {}

    def load(self, reader: sqlite3.Connection) -> None:
        """Read who may use what."""
        rows = reader.execute("SELECT name, users FROM secret_scope WHERE users IS NOT NULL")
        self._users = {name: tuple(decode(users)) for name, users in rows}

    def allow(self, name: str, users: list[str] | None) -> None:
        """From now on only these may use it; None: everybody."""
        if users is None:
            self._users.pop(name, None)
        else:
            self._users[name] = tuple(users)

    async def read(self, name: str) -> Any:
        """See `SecretSource`: for Segue itself, as its settings say."""
        return await self.read_for(name, ("system",), free=True)

    def for_act(self, workflow: str, command: Perform) -> SecretSource:
        """See `SecretVault`."""
        return _OfAct(self, workflow, command)

    def used_by(self, *users: str) -> SecretSource:
        """The secrets as these may use them."""
        return _OfUsers(self, users)

    async def read_for(self, name: str, users: tuple[str, ...], *, free: bool = False) -> Any:
        """A value for whoever asks.

        Raises:
            TaskFailure: `authorization`: there is none, or none of the users may use it.
        """
        allowed = None if free else self._users.get(name)
        if allowed is not None and not any(fnmatchcase(user, one) for user in users for one in allowed):
            why = f"The secret {name!r} may not be used by {' through '.join(users)}"
            if self.store is not None:
                self.store.record(
                    principal=users[0],
                    action="secret.use",
                    resource=f"secret:{name}",
                    verdict="deny",
                    reason=why,
                    at=_now_ms(),
                )
            raise fail("authorization", f"{why}: allow it with `segue secrets allow {name} …`.")
        value = await self._read(name)
        self._note(name, users[0])
        return value

    async def _read(self, name: str) -> Any:
        try:
            return await self._others.read(name)
        except TaskFailure as refusal:
            store = self.store
            row = None
            if store is not None and store.commit.cipher is not None:
                sql = "SELECT data FROM secret WHERE name = ?"
                row = await store.read(lambda c: c.execute(sql, (name,)).fetchone())
            if row is None:
                raise fail("authorization", f"{refusal} Or keep it here: `segue secrets set {name}`.") from None
            return decode(row[0])

    def _note(self, name: str, by: str) -> None:
        now = _now_ms()
        last_by, last_at = self._noted.get(name, ("", 0))
        if self.store is None or (by == last_by and now - last_at < _NOTED_EVERY_MS):
            return
        self._noted[name] = (by, now)
        sql = (
            "INSERT INTO secret_scope (name, used_at, used_by) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (name) DO UPDATE SET used_at = ?2, used_by = ?3"
        )
        # With the next commit: nobody waits for it.
        self.store.commit.pending.statements.append((sql, (name, now, by)))


class _OfAct(msgspec.Struct, frozen=True, gc=False):
    """What an act may use. Made for each act, so it finds out who asks when it is asked."""

    vault: VaultSecrets
    workflow: str
    command: Perform

    async def read(self, name: str) -> Any:
        """See `SecretSource`."""
        kind, target = named_by(self.command)
        through = (f"connection:{target}",) if kind == "connection" else ()
        return await self.vault.read_for(name, (f"workflow:{self.workflow.rpartition(':')[0]}", *through))


class _OfUsers:
    """What some users may use."""

    def __init__(self, vault: VaultSecrets, users: tuple[str, ...]) -> None:
        self._vault, self._users = vault, users

    async def read(self, name: str) -> Any:
        """See `SecretSource`."""
        return await self._vault.read_for(name, self._users)


class Secrets(UseCases):
    """Secrets of one data folder; to keep some in it, it must be encrypted."""

    def __init__(
        self, store: Store, vault: VaultSecrets, definitions: Definitions, connections: MemoryConnections
    ) -> None:
        self._store = store
        self._vault = vault
        self._definitions = definitions
        self._connections = connections

    @governed("secret.list")
    async def list(self) -> Page[SecretView]:
        """Every secret that is kept here, is named by a workflow or connection, was used or has a scope."""
        kept, scopes = await self._store.read(_rows)
        named = self._named()
        names = sorted({*kept, *scopes, *named})
        return Page(items=[_view(name, kept, scopes, named) for name in names], next=None)

    @governed("secret.set")
    async def set(self, wanted: NewSecret) -> SecretView:
        """Keep a secret, over an older one of the same name. What uses it takes the new value with its next act.

        Raises:
            ServiceError: `keys-refused` where the folder is not encrypted; `secret-refused`.
        """
        if self._store.commit.cipher is None:
            raise ServiceError(
                "keys-refused",
                "Secrets are kept in encrypted data folders only.",
                remedy="Give it in the environment or the secrets folder, or begin with `segue keys encrypt`.",
            )
        if not _NAME.fullmatch(wanted.name):
            raise ServiceError("secret-refused", f"{wanted.name!r} cannot be the name of a secret.")
        raw = encode(wanted.value).decode()
        if not wanted.value or len(raw) > _VALUE_MAX:
            raise ServiceError("secret-refused", f"A secret has 1 to {_VALUE_MAX} characters.")
        told = {"sha256": fingerprint_of(self._store.commit.cipher, wanted.name, raw)}
        self._store.note("secret.set", f"secret:{wanted.name}", data=told)
        sql = "INSERT OR REPLACE INTO secret (name, data, updated_at) VALUES (?, seal(?), ?)"
        await self._store.write([(sql, (wanted.name, raw, _now_ms()))])
        return await self._one(wanted.name)

    @governed("secret.allow")
    async def allow(self, name: str, wanted: SecretUsers) -> SecretView:
        """Let only these workflows and connections use a secret, wherever it is kept. It counts at once.

        Raises:
            ServiceError: `secret-refused`.
        """
        if not _NAME.fullmatch(name):
            raise ServiceError("secret-refused", f"{name!r} cannot be the name of a secret.")
        users = wanted.users
        for user in users or ():
            if not _USER.fullmatch(user):
                raise ServiceError(
                    "secret-refused",
                    f"{user!r} is no user.",
                    remedy="Write workflow:NAMESPACE/NAME or connection:NAME.",
                )
        if users is not None and len(users) > _USERS_MAX:
            raise ServiceError("secret-refused", f"At most {_USERS_MAX} users are named; use * in their names.")
        self._store.note("secret.allow", f"secret:{name}", data={"users": users})
        sql = "INSERT INTO secret_scope (name, users) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET users = ?2"
        text = None if users is None else encode(users).decode()
        await self._store.write([(sql, (name, text))])
        self._vault.allow(name, users)
        return await self._one(name)

    @governed("secret.remove")
    async def remove(self, name: str) -> None:
        """Forget a secret; who may use one of this name stays as it is.

        Raises:
            ServiceError: `secret-unknown`.
        """
        sql = "SELECT 1 FROM main.secret WHERE name = ?"
        if await self._store.read(lambda c: c.execute(sql, (name,)).fetchone()) is None:
            raise ServiceError("secret-unknown", f"There is no secret {name!r} here.")
        self._store.note("secret.remove", f"secret:{name}")
        await self._store.write([("DELETE FROM secret WHERE name = ?", (name,))])

    async def _one(self, name: str) -> SecretView:
        kept, scopes = await self._store.read(_rows)
        return _view(name, kept, scopes, self._named())

    def _named(self) -> _Named:
        """Who names which secret."""
        found: _Named = {}
        for namespace, name in self._definitions.names():
            latest = self._definitions.find(namespace, name, "latest")
            data = None if latest is None else read_document(latest.source).data
            for secret in _declared(data):
                found.setdefault(secret, []).append(f"workflow:{namespace}/{name}")
        for connection in self._connections.all():
            for secret in _referred(connection):
                found.setdefault(secret, []).append(f"connection:{connection.name}")
        return found


def _declared(document: Any) -> list[str]:
    use = document.get("use") if isinstance(document, dict) else None
    names = use.get("secrets") if isinstance(use, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _referred(connection: Connection) -> set[str]:
    authentication = connection_to_json(connection).get("authentication", {})
    found = (part.get("secret") for part in authentication.values() if isinstance(part, dict))
    # A reference may go on into a structured secret.
    return {name.partition(".")[0] for name in found if isinstance(name, str)}


_Kept = dict[str, int]
_Named = dict[str, list[str]]
_Scopes = dict[str, tuple[str | None, int | None, str | None]]


def _rows(connection: sqlite3.Connection) -> tuple[_Kept, _Scopes]:
    kept = dict(connection.execute("SELECT name, updated_at FROM main.secret").fetchall())
    rows = connection.execute("SELECT name, users, used_at, used_by FROM secret_scope")
    return kept, {name: (users, at, by) for name, users, at, by in rows}


def _view(name: str, kept: _Kept, scopes: _Scopes, named: _Named) -> SecretView:
    users, used_at, used_by = scopes.get(name, (None, None, None))
    updated_at = kept.get(name)
    return SecretView(
        name=name,
        kept=name in kept,
        updated_at=None if updated_at is None else iso(updated_at),
        users=None if users is None else decode(users),
        used_at=None if used_at is None else iso(used_at),
        used_by=used_by,
        named_by=named.get(name, []),
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
