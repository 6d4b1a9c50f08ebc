"""The record of the audit chain, and how one record is linked to the one before.

Theory. Each record's hash covers the hash before it and everything that the record says, as it is stored. So no
record can be changed, left out, moved or put in between without every later hash being wrong; and whoever keeps one
signed hash elsewhere can tell that nothing before it was touched and nothing up to it was cut off. What is stored may
be encrypted: the hash covers the stored form, so a key that is destroyed leaves the chain whole.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec

from segue.types.identities import DEFAULT_WORKSPACE

AUDIT_GENESIS: Final = bytes(32)
"""What the first record of a chain is linked to."""

# The version stands in the hashed bytes: another encoding gets another domain, and no bytes mean two things.
_DOMAIN: Final = b"segue.audit.v1\0"
_encode: Final = msgspec.json.Encoder().encode


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was asked, decided or done.

    Attributes:
        at: Milliseconds since the Unix epoch, UTC.
        principal: `kind:id` of who asked or did it.
        action: What, such as `run.start`.
        resource: On what, such as `run:ID`. Identifiers only: it is not encrypted.
        verdict: `allow`, `deny`, `needs-approval`, or what became of it, such as `done`.
        reason: Why; a person's words, or the rules that decided.
        data: Further facts as JSON; of large things only where they are.
    """

    at: int
    principal: str
    action: str
    resource: str
    verdict: str = ""
    reason: str = ""
    workspace: str = DEFAULT_WORKSPACE
    data: dict[str, Any] | None = None


class AuditRow(msgspec.Struct, frozen=True):
    """A record as it is stored: `principal` is a blind index and `data` sealed where encryption is on.

    Attributes:
        seq: Place in the chain, from 1, without gaps.
        data: Principal, reason and further facts, in stored form.
        hash: Hexadecimal; links this record to the one before.
    """

    seq: int
    at: int
    workspace: str
    action: str
    resource: str
    principal: str
    verdict: str
    data: str
    hash: str


def audit_hash(previous: bytes, fields: tuple[Any, ...]) -> bytes:
    """The hash of a record.

    Args:
        previous: Hash of the record before, or `AUDIT_GENESIS`.
        fields: Those of `AuditRow` without the hash, in their order.
    """
    # A JSON array is unambiguous: no two rows have the same bytes.
    return sha256(_DOMAIN + previous + _encode(fields)).digest()
