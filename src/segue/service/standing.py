"""What is in force, as the audit chain tells of it: what a change says, and whether that is what stands.

A change of a person, a rule, a switch, a profile, a connection, a secret, a consent, an adjusted value or a published
document is a record with what was changed and a digest of what stands since. Verifying holds the newest such record
of each against what is there (decision 0150). Whoever writes into the data file can give somebody a role; the chain
then says another one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from segue.governance import Problem
from segue.store import records
from segue.store.adjustments import list_values
from segue.store.codec import encode
from segue.store.consents import list_consents, list_model_owners
from segue.store.notices import profiles
from segue.store.permission import (
    CredentialRecord,
    IdentityRecord,
    list_credentials,
    list_identities,
    list_policy_changes,
    list_switches,
)
from segue.types import Cipher

_RIGHTS: Final = ("roles", "groups", "limits", "state", "workspace")
_TIES: Final = ("display", "password", "totp", "subject")
"""What is only said to have changed: it is personal, or a credential."""
_OPEN: Final = ("roles", "groups", "limits", "manager", "absent")
_TELLING: Final = {
    "identity.change": "identity",
    "policy.change": "policy",
    "profile.put": "profile",
    **dict.fromkeys(("switch.stop", "switch.release"), "switch"),
    **dict.fromkeys(("connection.add", "connection.remove"), "connection"),
    "workflow.publish": "workflow",
    "workflow.pin": "pins",
    "workflow.adjust": "value",
    "token.make": "token",
    "session.begin": "session",
    **dict.fromkeys(("consent.grant", "consent.refuse", "consent.revoke"), "consent"),
    "model.own": "owner",
    **dict.fromkeys(("secret.set", "secret.remove"), "secret"),
    "secret.allow": "scope",
}
"""What a record is about, by its action."""
_SINCE_EVER: Final = ("identity", "connection", "workflow", "policy", "consent", "value", "owner", "secret", "scope")
"""Kinds of which every change has had a record as long as there were such things."""
_ENDING: Final = ("token", "session")
"""They end by themselves, or with their person."""
_SESSION_MS: Final = 12 * 3_600_000
_ALWAYS: Final = 2**62
_NAMING: Final = frozenset({"identity.change", "identity.provision", "identity.second", "login.sso"})
"""Records that name somebody who is then there, also those of releases that did not tell what was changed."""


_UNTOLD: Final = ""
_OF: Final = {
    "pins": "what is pinned of ",
    "value": "the adjusted value ",
    "consent": "the consent to ",
    "owner": "the owner of ",
    "scope": "who may use ",
}
"""What a problem is about, where its resource alone does not tell."""


class Change(NamedTuple):
    """What a record says: facts for people, and in them the digest that verifying compares."""

    facts: dict[str, Any]
    reason: str = ""


def digest_of(value: Any) -> str:
    """A digest of a JSON value, whatever the order of its keys."""
    return sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def of_identity(before: IdentityRecord | None, after: IdentityRecord) -> Change | None:
    """What changed about somebody; None where it decides nothing (a counter, a time)."""
    facts: dict[str, Any] = {}
    for name in _RIGHTS:
        was, now = (None if before is None else getattr(before, name)), getattr(after, name)
        if was != now and (before is not None or now):
            facts[name] = now if before is None else {"from": was, "to": now}
    changed = [name for name in _TIES if getattr(after, name) != (getattr(before, name) if before else "")]
    if changed:
        facts["changed"] = changed
    if not facts:
        return None
    if before is None:
        facts["added"] = True
    moved = before is not None and before.state != after.state
    return Change({**facts, "sha256": _identity(after)}, after.reason if moved else "")


def of_profile(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Change | None:
    """What changed about how somebody is reached, and what tasks reach them; None where nothing did."""
    old, new = before or {}, after or {}
    names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if not names:
        return None
    facts: dict[str, Any] = {name: {"from": old.get(name), "to": new.get(name)} for name in names if name in _OPEN}
    facts["changed"] = [name for name in names if name not in _OPEN]
    return Change({**facts, "sha256": None if after is None else digest_of(after)})


def of_token(token: CredentialRecord) -> dict[str, Any]:
    """A token was made, or a session began; never what its bearer holds, nor the digest of it."""
    whose = f"{token.identity_kind}:{token.identity_id}"
    facts = {"of": whose, "label": token.label, "scopes": token.scopes, "until": token.expires_at}
    bound = [token.id, token.digest, whose, token.scopes, token.expires_at]
    return {**facts, "sha256": digest_of(bound)}


def of_policy(text: str | None) -> dict[str, Any]:
    """A policy file was set, or taken back."""
    return {"sha256": None if text is None else sha256(text.encode()).hexdigest()}


class _There(NamedTuple):
    """Something in force: what the chain calls it, its digest, when it came, in milliseconds since the epoch."""

    kind: str
    resource: str
    digest: str
    at: int


class Standing:
    """Collects what the chain said last of each thing in force, and compares. Feed records in their order.

    Args:
        read_data: The facts of a record. fingerprint: Of a secret of this name.
    """

    def __init__(
        self, read_data: Callable[[tuple[Any, ...]], dict[str, Any]], fingerprint: Callable[[str, str], str]
    ) -> None:
        self.compared = 0
        self._fingerprint = fingerprint
        self._read = read_data
        self._said: dict[tuple[str, str], tuple[int, str | None]] = {}
        self._named: set[tuple[str, str]] = set()
        self._began: dict[str, int] = {}

    def feed(self, row: tuple[Any, ...]) -> None:
        """A record, as the columns of `AuditRow`."""
        seq, at, action, resource, verdict = row[0], row[1], row[3], row[4], row[6]
        if seq == 1:
            self._began = dict.fromkeys(_SINCE_EVER, at)
        if action in _NAMING:
            self._named.add(("identity", _last(resource)))
        elif action == "policy.change":
            self._named.add(("policy", _last(resource)))
        if action not in _TELLING or verdict != "done":
            return
        kind = _TELLING[action]
        if kind in (*_ENDING, "pins"):
            self._began.setdefault(kind, at)
        for name, digest in _told_by(kind, action, resource, {} if kind == "switch" else self._read(row)):
            self._named.add((kind, _last(name)))
            if digest != _UNTOLD:
                self._said[(kind, name)] = (seq, digest)

    def problems(self, connection: sqlite3.Connection, *, whole: bool) -> Iterator[Problem]:
        """What is in force and is not what was said of it last, or is not there, or was never told of.

        Call it in a transaction that has fed the newest records, or what changes meanwhile looks altered.

        Args:
            whole: No record is missing, so that what none tells of came without one.
        """
        there = {(found.kind, found.resource): found for found in _in_force(connection, self._fingerprint)}
        for name, (seq, said) in self._said.items():
            self.compared += 1
            found = None if name not in there else there[name].digest
            # Pins are written before their definition, which a crash may have kept from being there.
            gone = found is None and (
                name[0] in _ENDING or (name[0] == "pins" and ("workflow", name[1]) not in there)
            )
            if found != said and not gone:
                what = "is not there" if found is None else "is there again" if said is None else "was changed"
                yield Problem(
                    "standing", seq, seq, f"{_OF.get(name[0], '')}{name[1]} {what}: record {seq} says otherwise"
                )
        for (kind, resource), stands in there.items() if whole else ():
            # What came before the chain, or before its records told of such things, is nobody's fault.
            if (kind, _last(resource)) not in self._named and stands.at > self._began.get(kind, stands.at):
                said_of = f"{_OF.get(kind, '')}{resource}"
                yield Problem("standing", 0, 0, f"{said_of} is there, and no record says how it came")


def _told_by(kind: str, action: str, resource: str, data: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """What a record says stands since: names, and digests; None for nothing, `_UNTOLD` where it does not say."""
    match kind:
        case "switch":
            yield resource, "thrown" if action == "switch.stop" else None
        case "workflow":
            yield resource, data.get("source", _UNTOLD)
        case "value":
            for change in data.get("changes", ()):
                yield f"{resource} {change['name']}", digest_of(change["new"]) if "new" in change else None
        case "consent":
            if "workflow" in data:
                use = f"{resource} {data['workflow']} {data.get('access')}"
                yield use, "granted" if action == "consent.grant" else None
        case "owner":
            yield resource, data.get("owner")
        case "scope":
            users = data.get("users")
            yield resource, None if users is None else digest_of(users)
        case _:
            removed = action in ("connection.remove", "secret.remove")
            yield resource, None if removed else data.get("sha256", _UNTOLD)


def _in_force(connection: sqlite3.Connection, fingerprint: Callable[[str, str], str]) -> Iterator[_There]:
    for identity in list_identities(connection):
        name = f"identity:{identity.kind}/{identity.id}"
        yield _There("identity", name, _identity(identity), identity.created_at)
    # The newest of each name: what it replaced stands nowhere.
    for change in {change.name: change for change in list_policy_changes(connection)}.values():
        if change.text is not None:
            yield _There("policy", f"policy:{change.name}", str(of_policy(change.text)["sha256"]), change.at)
    for profile in profiles(connection):
        yield _There("profile", f"profile:{profile['id']}", digest_of(profile), 0)
    for switch in list_switches(connection, thrown=True):
        yield _There("switch", f"switch:{switch.kind}/{switch.name}", "thrown", switch.at)
    for name, data in records.list_connections(connection).items():
        yield _There("connection", f"connection:{name}", sha256(encode(data)).hexdigest(), 0)
    for found in records.list_definitions(connection):
        resource = f"workflow:{found.namespace}/{found.name}:{found.version}"
        yield _There("workflow", resource, source_digest(found.source), found.published_at)
        pins = records.read_meta(connection, f"pins:{found.digest}")
        yield _There("pins", resource, source_digest(pins or ""), found.published_at)
    for held in list_credentials(connection):
        # A session lasts as long as it does: one that began late has a record, whatever it says of its beginning.
        began = held.created_at if held.kind == "token" else max(held.created_at, held.expires_at - _SESSION_MS)
        yield _There(held.kind, f"{held.kind}:{held.id}", of_token(held)["sha256"], began)
    yield from _granted(connection)
    yield from _of_secrets(connection, fingerprint)


def _granted(connection: sqlite3.Connection) -> Iterator[_There]:
    """What operations set, what owners consented to, and who they are."""
    for (namespace, name), values in list_values(connection).items():
        for key, held in values.items():
            yield _There("value", f"workflow:{namespace}/{name} {key}", digest_of(held.value), _ALWAYS)
    for one in list_consents(connection, state="granted"):
        of = one.connection if one.connection.startswith("model:") else f"connection:{one.connection}"
        yield _There("consent", f"{of} {one.namespace}/{one.name} {one.access}", "granted", _ALWAYS)
    for name, owner in list_model_owners(connection).items():
        yield _There("owner", f"model:{name}", owner, _ALWAYS)


def _of_secrets(connection: sqlite3.Connection, fingerprint: Callable[[str, str], str]) -> Iterator[_There]:
    """Secrets that are kept, by fingerprint, and who may use which."""
    for name, raw in connection.execute("SELECT name, data FROM secret ORDER BY name").fetchall():
        yield _There("secret", f"secret:{name}", fingerprint(name, raw), _ALWAYS)
    for name, users in connection.execute(
        "SELECT name, users FROM secret_scope WHERE users IS NOT NULL ORDER BY name"
    ):
        yield _There("scope", f"secret:{name}", digest_of(msgspec.json.decode(users)), _ALWAYS)


def fingerprint_of(cipher: Cipher | None, name: str, raw: str) -> str:
    """What stands for a secret in the chain: keyed, so that whoever reads the chain cannot try values."""
    digest = sha256(raw.encode()).hexdigest()
    return digest if cipher is None else cipher.blind(f"secret:{name}:{digest}")


def _last(resource: str) -> str:
    """The name in a resource, without its kind. Workflows keep their version."""
    return resource.partition(":")[2].removeprefix("person/").removeprefix("service/")


def source_digest(source: str | bytes) -> str:
    """A digest of a published document's text."""
    return sha256(source.encode() if isinstance(source, str) else source).hexdigest()


def _identity(record: IdentityRecord) -> str:
    """What decides what somebody may, and how they come in."""
    return digest_of([record.kind, record.id, *(getattr(record, name) for name in (*_RIGHTS, *_TIES[1:]))])
