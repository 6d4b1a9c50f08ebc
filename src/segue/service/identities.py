"""What is asked and told about identities, as structs. No answer holds anything of a password or of a kept secret."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Collection
from typing import Annotated, Literal

import msgspec

from segue.governance.credentials import PASSWORD_MAX, PASSWORD_MIN
from segue.service.observe import iso
from segue.service.shapes import Shape
from segue.store.permission import CredentialRecord, IdentityRecord
from segue.types import DEFAULT_WORKSPACE, Identity

Kind = Literal["person", "service"]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=63)]
Password = Annotated[str, msgspec.Meta(min_length=PASSWORD_MIN, max_length=PASSWORD_MAX)]


class NewIdentity(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Somebody to add. A person may get a password; a service account has tokens instead."""

    id: Word
    kind: Kind = "person"
    display: Annotated[str, msgspec.Meta(max_length=200)] = ""
    roles: list[Word] = []
    groups: list[Word] = []
    limits: dict[str, float] = {}
    password: Password | None = None


class IdentityChange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What becomes different; what is left out stays. `locked` and `removed` end every token and session."""

    display: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    roles: list[Word] | None = None
    groups: list[Word] | None = None
    limits: dict[str, float] | None = None
    state: Literal["active", "locked", "removed"] | None = None
    password: Password | None = None
    reset_totp: bool = False
    reason: str = ""


class NewToken(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A token to make. `scopes`: groups or actions that it is worth; everything its identity may where left out."""

    label: Word
    scopes: Annotated[list[Word], msgspec.Meta(max_length=200)] | None = None
    days: Annotated[int, msgspec.Meta(ge=1, le=366)] = 90


class Login(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A name, a password, and a one-time code where the person has those."""

    name: Annotated[str, msgspec.Meta(max_length=63)]
    password: Annotated[str, msgspec.Meta(max_length=PASSWORD_MAX)]
    code: Annotated[str, msgspec.Meta(max_length=20)] = ""


class Outsider(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whom a provider vouches for.

    Attributes:
        subject: Issuer and subject: what stays the same, whatever else of them changes.
        name: What they would be called here; they get another name where somebody has it.
        roles, groups: Everything that the mapping of the settings gives them now.
        link: What a directory may know them by; see `segue.service.scim.linking`. Empty for nothing.
        refused: Why they may not come in all the same; empty where they may.
    """

    subject: str
    name: str
    display: str
    roles: list[str]
    groups: list[str]
    link: str = ""
    refused: str = ""


class OwnPassword(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A new password of one's own."""

    old: Annotated[str, msgspec.Meta(max_length=PASSWORD_MAX)]
    new: Password


class TotpCode(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A code from the authenticator app, which shows that it has the secret."""

    code: Annotated[str, msgspec.Meta(min_length=6, max_length=20)]


class IdentityView(Shape, frozen=True, kw_only=True):
    """An identity. `totp` says whether a one-time code is asked for; `barredUntil` that wrong passwords bar it; `sso`
    that they sign in through the OpenID provider, which decides about their roles and groups; `provisioned` that a
    directory told of them by SCIM; `mustChange` that somebody else set their password, which counts once.
    """

    kind: str
    id: str
    display: str
    roles: list[str]
    groups: list[str]
    limits: dict[str, float]
    workspace: str
    state: str
    reason: str = ""
    totp: bool = False
    sso: bool = False
    provisioned: bool = False
    must_change: bool = False
    created_at: str | None = None
    created_by: str = ""
    barred_until: str | None = None


class WhoAmI(Shape, frozen=True, kw_only=True):
    """Who the bearer is, and what they may."""

    kind: str
    id: str
    display: str
    roles: list[str]
    groups: list[str]
    workspace: str
    scopes: list[str] | None
    actions: list[str]


class TokenView(Shape, frozen=True, kw_only=True):
    """A token, without what its bearer holds."""

    id: str
    label: str
    scopes: list[str] | None
    created_at: str
    created_by: str
    expires_at: str
    used_at: str | None = None


class MadeToken(TokenView, frozen=True, kw_only=True):
    """A token that was made just now. `token` is shown this once and kept nowhere."""

    token: str


class Session(Shape, frozen=True, kw_only=True):
    """A session. A browser keeps `token` in a cookie that no script reads, and sends `csrf` with every change."""

    token: str
    csrf: str
    expires_at: str
    identity: IdentityView


class TotpSecret(Shape, frozen=True, kw_only=True):
    """What an authenticator app needs, shown this once."""

    secret: str
    uri: str


def view(record: IdentityRecord) -> IdentityView:
    """An identity as it is told: nothing of its credentials."""
    return IdentityView(
        kind=record.kind,
        id=record.id,
        display=record.display,
        roles=record.roles,
        groups=record.groups,
        limits=record.limits,
        workspace=record.workspace,
        state=record.state,
        reason=record.reason,
        totp=bool(record.totp),
        sso=bool(record.subject),
        provisioned=record.scim is not None,
        must_change=bool(record.one_time_until),
        created_at=iso(record.created_at),
        created_by=record.created_by,
        barred_until=iso(record.barred_until) if record.barred_until > time.time_ns() // 1_000_000 else None,
    )


def identity_of(record: IdentityRecord, scopes: list[str] | None = None) -> Identity:
    """Who acts, when this one does."""
    return Identity(
        kind="person" if record.kind == "person" else "service",
        id=record.id,
        display=record.display,
        roles=frozenset(record.roles),
        groups=frozenset(record.groups),
        limits=record.limits,
        workspace=record.workspace or DEFAULT_WORKSPACE,
        scopes=None if scopes is None else frozenset(scopes),
    )


def free_name(wanted: str, mark: str, taken: Collection[str]) -> str:
    """What somebody is called who is new here. A name that is taken, or was, gets a part of its own.

    Args:
        wanted: Of this the part before an `@`, as far as names allow it.
        mark: What the part of its own is made from.
    """
    plain = re.sub(r"[^a-z0-9._-]+", "-", wanted.partition("@")[0].lower())[:50].strip("._-")
    if plain and plain not in taken:
        return plain
    return f"{plain or 'person'}-{hashlib.sha256(mark.encode()).hexdigest()[:10]}"


def token_view(record: CredentialRecord) -> TokenView:
    return TokenView(
        id=record.id,
        label=record.label,
        scopes=record.scopes,
        created_at=iso(record.created_at),
        created_by=record.created_by,
        expires_at=iso(record.expires_at),
        used_at=None if record.used_at is None else iso(record.used_at),
    )
