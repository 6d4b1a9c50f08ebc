"""Verifying the audit chain: every change, gap, swap and cut is found and named.

Each record is checked against the stored hash of the one before it, so that one changed record is named once, and
not everything behind it. Whoever changes a record and hashes everything behind it anew meets the signed checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from segue.governance.checkpoints import Checkpoint, PublicKey, standing
from segue.types import AUDIT_GENESIS, audit_hash

ProblemName = Literal["changed", "missing", "cut-off", "rewritten", "signature", "history", "standing"]
_PROBLEMS_MAX: Final = 100


class Problem(msgspec.Struct, frozen=True):
    """Something that is not as it was written. `first` and `last`: the records it is about."""

    kind: ProblemName
    first: int
    last: int
    detail: str


class ChainCheck:
    """One pass over the chain. Feed all records in their order, then `finish`.

    Args:
        checkpoints: As read from where they are kept, oldest first.
        key: What must have signed them.
    """

    def __init__(self, checkpoints: Sequence[Checkpoint], key: PublicKey) -> None:
        self.problems: list[Problem] = []
        self.records = 0
        self.more = 0
        self.first: int | None = None
        signed = [c for c in checkpoints if key.verifies(c)]
        for c in checkpoints:
            if not key.verifies(c):
                self._complain("signature", c.seq, c.seq, f"the checkpoint at {c.seq} was not signed by {key.name}")
        kept, self.given_up = standing(signed)
        self.checkpoints = kept
        self._wanted: dict[int, list[Checkpoint]] = {}
        for c in kept:
            self._wanted.setdefault(c.seq, []).append(c)
        self._seq = 0
        # What the next record may be linked to: after a changed record its stored hash or its right one, whichever
        # of the two was left alone; after a gap nothing is known.
        self._previous: tuple[bytes, ...] = (AUDIT_GENESIS,)

    def feed(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Records as tuples of the fields of `AuditRow`, in the order of their places."""
        seq, previous = self._seq, self._previous
        for row in rows:
            if row[0] != seq + 1:
                previous = self._gap(seq, row[0])
            seq = row[0]
            stored = row[8]
            self.records += 1
            hashes = [audit_hash(link, row[:8]) for link in previous]
            right = next((h for h in hashes if h.hex() == stored), None)
            if right is not None:
                previous = (right,)
            elif previous:
                detail = f"record {seq} is not what was written, or not where it was written"
                self._complain("changed", seq, seq, detail)
                previous = (*hashes, _bytes(stored))
            else:
                previous = (_bytes(stored),)
            if seq in self._wanted:
                self._meet(seq, stored)
        self._seq, self._previous = seq, previous

    def changed_since(self, first: int, last: int, detail: str) -> None:
        """Records are not what a later record told of them."""
        self._complain("changed", first, last, detail)

    def finish(self) -> None:
        """The last record was fed."""
        beyond = [c for c in self.checkpoints if c.seq > self._seq]
        if beyond:
            last = max(c.seq for c in beyond)
            detail = f"the chain ends at {self._seq}, and a signed checkpoint says that it had {last} records"
            self._complain("cut-off", self._seq + 1, last, detail)

    @property
    def uncovered(self) -> int:
        """Records at the end that no checkpoint vouches for yet: a cut within them would not be seen."""
        return max(0, self._seq - max((c.seq for c in self.checkpoints), default=0))

    def _gap(self, seq: int, next_seq: int) -> tuple[bytes, ...]:
        """Records are missing; returns what the next one must be linked to, as far as it is known."""
        # The newest word counts: it may say that what the others vouch for was pruned.
        vouched = next(reversed(self._wanted.get(next_seq - 1, [])), None)
        if self.first is None and self.records == 0:
            self.first = next_seq
            if vouched is not None and vouched.kind == "pruned":
                return (bytes.fromhex(vouched.hash),)
        detail = f"records {seq + 1} to {next_seq - 1} are missing"
        self._complain("missing", seq + 1, next_seq - 1, detail)
        return (bytes.fromhex(vouched.hash),) if vouched is not None else ()

    def _meet(self, seq: int, stored: str) -> None:
        for checkpoint in self._wanted[seq]:
            if checkpoint.hash != stored:
                detail = f"the chain up to {seq} is not the one that was signed there at {checkpoint.at}"
                self._complain("rewritten", seq, seq, detail)

    def _complain(self, kind: ProblemName, first: int, last: int, detail: str) -> None:
        if len(self.problems) < _PROBLEMS_MAX:
            self.problems.append(Problem(kind, first, last, detail))
        else:
            self.more += 1


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return AUDIT_GENESIS
