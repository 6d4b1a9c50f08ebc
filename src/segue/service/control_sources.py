"""What controls ask besides the store: the chain as it verifies, checkpoints, keys, models, documents."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from segue.ai import ModelRegistry
from segue.dsl import read_document
from segue.governance import KeyRing, PublicKey, read_checkpoints
from segue.service.audit import CHECKPOINTS_NAME, AuditVerification
from segue.service.control_catalog import LIVE, ControlQuery
from segue.service.declared import REQUIRED, said_of
from segue.store import Store
from segue.store.evidence import Period, rows_of

_DAY_MS: Final = 86_400_000


class Found(msgspec.Struct):
    """How many rows a query found, and some of them."""

    count: int = 0
    rows: list[dict[str, Any]] = []
    by: set[str] = set()


class Sources:
    """The rows that queries of one report run over.

    Args:
        now: When the report is made, in milliseconds: what is told "as of now" is of this time.
    """

    def __init__(
        self,
        store: Store,
        models: ModelRegistry,
        ring: KeyRing | None,
        *,
        period: Period,
        now: int,
        verified: AuditVerification,
        public_key: str,
    ) -> None:
        self._store = store
        self._models = models
        self._ring = ring
        self._period = period
        self._now = now
        self._verified = verified
        self._public_key = public_key

    async def find(self, query: ControlQuery, *, limit: int, newest: bool) -> Found:
        """Ask one query.

        Args:
            limit: Rows to keep.
            newest: Keep the last ones instead of the first.
        """
        if query.source in LIVE:
            return _tally(query, self._live(query.source), limit, newest)
        return await self._store.read(lambda c: _tally(query, self._stored(c, query), limit, newest))

    def _stored(self, connection: sqlite3.Connection, query: ControlQuery) -> Iterator[dict[str, Any]]:
        rows = rows_of(
            connection,
            query.source,
            self._period,
            actions=query.actions,
            verdicts=query.verdicts,
            without=query.except_,
            cipher=self._store.commit.cipher,
        )
        return _declared(rows) if query.source == "definitions" else rows

    def _live(self, source: str) -> Iterable[dict[str, Any]]:
        match source:
            case "chain":
                told = self._verified
                what = f"{told.records} records, {told.history} rows of histories, {told.checkpoints} checkpoints"
                row = self._row(f"records {told.first or 0} to {told.last}", what)
                return [{**row, "sound": told.sound, "uncovered": told.uncovered}]
            case "chain-problems":
                return [
                    {**self._row(f"record {problem.first}", problem.detail), "kind": problem.kind}
                    for problem in self._verified.problems
                ]
            case "checkpoints":
                return list(self._checkpoints())
            case "encryption":
                return [self._encryption()]
            case _:
                return [
                    {**self._row(f"model {card.name}:{card.version}", card.purpose), "purpose": card.purpose.strip()}
                    for card in self._models.all()
                ]

    def _checkpoints(self) -> Iterator[dict[str, Any]]:
        found, _ = read_checkpoints(self._store.folder / CHECKPOINTS_NAME)
        key = PublicKey.parse(self._public_key.encode())
        for checkpoint in found:
            if self._period.since <= checkpoint.at < self._period.until:
                row = self._row(f"checkpoint of record {checkpoint.seq}", checkpoint.kind)
                yield {**row, "at": checkpoint.at, "kind": checkpoint.kind, "valid": key.verifies(checkpoint)}

    def _encryption(self) -> dict[str, Any]:
        if self._ring is None:
            return {**self._row("data folder", "not encrypted"), "encrypted": False, "key_days": None}
        made = max((k.made_at for k in self._ring.list() if k.kind == "workspace" and k.gone_at is None), default=0)
        days = (self._now - made) // _DAY_MS
        what = f"encrypted; the key in use is {days} days old"
        return {**self._row("data folder", what), "encrypted": True, "key_days": days}

    def _row(self, ref: str, what: str) -> dict[str, Any]:
        return {"at": self._now, "ref": ref, "what": what, "by": ""}


def _declared(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Definitions with what their documents do not say of themselves."""
    for row in rows:
        said = said_of(read_document(row.pop("source")).data)
        missing = [name for name in REQUIRED if said.get(name) in (None, "")]
        what = f"says no {', '.join(missing)}" if missing else "says all that is asked for"
        if row["approved_by"] is not None:
            what = f"wanted by {row['wanted_by']}, approved by {row['approved_by']}; {what}"
        yield {**row, "what": what, "missing": missing, "risk": said.get("risk")}


def _tally(query: ControlQuery, rows: Iterable[dict[str, Any]], limit: int, newest: bool) -> Found:
    test = query.test()
    found = Found(rows=[], by=set())
    for row in rows:
        if test is not None and test.evaluate(row) is not True:
            continue
        found.count += 1
        found.by.add(row["by"])
        if newest or found.count <= limit:
            found.rows.append(row)
        if len(found.rows) > limit:
            del found.rows[0]
    return found
