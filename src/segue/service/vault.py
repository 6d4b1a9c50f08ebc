"""Use cases of secrets that the data folder keeps, encrypted: set, list, remove. Values are never shown."""

from __future__ import annotations

import re
import time
from typing import Any, Final

import msgspec

from segue.service.access import UseCases, governed
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.shapes import Page, Shape
from segue.store import Store
from segue.store.codec import decode, encode
from segue.types import SecretSource, TaskFailure, fail

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_VALUE_MAX: Final = 65_536


class NewSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A secret. value: text, or an object for a structured one."""

    name: str
    value: str | dict[str, Any]


class SecretView(Shape, frozen=True, kw_only=True):
    """That there is a secret of this name, and when it was last set."""

    name: str
    updated_at: str


class VaultSecrets:
    """Secrets of the data folder, asked after every other source; `store` is given once it is open."""

    def __init__(self, others: SecretSource) -> None:
        self.store: Store | None = None
        self._others = others

    async def read(self, name: str) -> Any:
        """See `SecretSource`."""
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


class Secrets(UseCases):
    """Secrets kept in one data folder, which must be encrypted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @governed("secret.list")
    async def list(self) -> Page[SecretView]:
        """Names, and when each was last set."""
        sql = "SELECT name, updated_at FROM main.secret ORDER BY name"
        rows = await self._store.read(lambda c: c.execute(sql).fetchall())
        return Page(items=[SecretView(name=name, updated_at=iso(at)) for name, at in rows], next=None)

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
                remedy="Give it in the environment or the secrets folder, or begin with `segue keys init`.",
            )
        if not _NAME.fullmatch(wanted.name):
            raise ServiceError("secret-refused", f"{wanted.name!r} cannot be the name of a secret.")
        raw = encode(wanted.value).decode()
        if not wanted.value or len(raw) > _VALUE_MAX:
            raise ServiceError("secret-refused", f"A secret has 1 to {_VALUE_MAX} characters.")
        now = time.time_ns() // 1_000_000
        self._store.note("secret.set", f"secret:{wanted.name}")
        sql = "INSERT OR REPLACE INTO secret (name, data, updated_at) VALUES (?, seal(?), ?)"
        await self._store.write([(sql, (wanted.name, raw, now))])
        return SecretView(name=wanted.name, updated_at=iso(now))

    @governed("secret.remove")
    async def remove(self, name: str) -> None:
        """Forget a secret.

        Raises:
            ServiceError: `secret-unknown`.
        """
        sql = "SELECT 1 FROM main.secret WHERE name = ?"
        if await self._store.read(lambda c: c.execute(sql, (name,)).fetchone()) is None:
            raise ServiceError("secret-unknown", f"There is no secret {name!r} here.")
        self._store.note("secret.remove", f"secret:{name}")
        await self._store.write([("DELETE FROM secret WHERE name = ?", (name,))])
