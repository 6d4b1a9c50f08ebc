"""What is in force, as the audit chain tells of it: what a change says, and whether that is what stands.

A change of a person, a rule, a switch, a profile, a connection or a published document is a record with what was
changed and a digest of what stands since. Verifying holds the newest such record of each against what is there
(decision 0150). Whoever writes into the data file can give somebody a role; the chain then says another one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from segue.governance import Problem
from segue.store import records
from segue.store.codec import encode
from segue.store.notices import profiles
from segue.store.permission import (
    CredentialRecord,
    IdentityRecord,
    list_credentials,
    list_identities,
    list_policy_changes,
    list_switches,
)

_RIGHTS: Final = ("roles", "groups", "limits", "state", "workspace")
_TIES: Final = ("display", "password", "totp", "subject")
"""What is only said to have changed: it is personal, or a credential."""
_OPEN: Final = ("roles", "groups", "limits", "manager", "absent")
_TELLING: Final = frozenset(
    {
        *("identity.change", "policy.change", "profile.put", "switch.stop", "switch.release"),
        *("connection.add", "connection.remove", "workflow.publish", "token.make"),
    }
)
_NAMING: Final = frozenset({"identity.change", "identity.provision", "identity.second", "login.sso"})
"""Records that name somebody who is then there, also those of releases that did not tell what was changed."""


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
    """A token was made; never what its bearer holds, nor the digest of it."""
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
        read_data: The facts of a record.
    """

    def __init__(self, read_data: Callable[[tuple[Any, ...]], dict[str, Any]]) -> None:
        self.compared = 0
        self._read = read_data
        self._said: dict[tuple[str, str], tuple[int, str | None]] = {}
        self._named: set[tuple[str, str]] = set()
        self._began: dict[str, int] = {}

    def feed(self, row: tuple[Any, ...]) -> None:
        """A record, as the columns of `AuditRow`."""
        seq, at, action, resource, verdict = row[0], row[1], row[3], row[4], row[6]
        if seq == 1:
            self._began = dict.fromkeys(("identity", "connection", "workflow", "policy"), at)
        if action in _NAMING:
            self._named.add(("identity", _last(resource)))
        elif action == "policy.change":
            self._named.add(("policy", _last(resource)))
        if action not in _TELLING or verdict != "done":
            return
        kind = action.partition(".")[0]
        self._named.add((kind, _last(resource)))
        if kind == "token":
            self._began.setdefault(kind, at)
        if kind == "switch":
            self._said[(kind, resource)] = (row[0], "thrown" if action == "switch.stop" else None)
            return
        data = self._read(row)
        digest = data.get("source" if kind == "workflow" else "sha256")
        if digest is not None or "sha256" in data or action == "connection.remove":
            self._said[(kind, resource)] = (row[0], digest)

    def problems(self, connection: sqlite3.Connection, *, whole: bool) -> Iterator[Problem]:
        """What is in force and is not what was said of it last, or is not there, or was never told of.

        Call it in a transaction that has fed the newest records, or what changes meanwhile looks altered.

        Args:
            whole: No record is missing, so that what none tells of came without one.
        """
        there = {(found.kind, found.resource): found for found in _in_force(connection)}
        for name, (seq, said) in self._said.items():
            self.compared += 1
            found = None if name not in there else there[name].digest
            gone = found is None and name[0] == "token"  # They end by themselves.
            if found != said and not gone:
                what = "is not there" if found is None else "is there again" if said is None else "was changed"
                yield Problem("standing", seq, seq, f"{name[1]} {what}: record {seq} says otherwise")
        for (kind, resource), stands in there.items() if whole else ():
            # What came before the chain, or before its records told of such things, is nobody's fault.
            if (kind, _last(resource)) not in self._named and stands.at > self._began.get(kind, stands.at):
                yield Problem("standing", 0, 0, f"{resource} is there, and no record says how it came")


def _in_force(connection: sqlite3.Connection) -> Iterator[_There]:
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
    for token in list_credentials(connection):
        if token.kind == "token":
            yield _There("token", f"token:{token.id}", of_token(token)["sha256"], token.created_at)


def _last(resource: str) -> str:
    """The name in a resource, without its kind. Workflows keep their version."""
    return resource.partition(":")[2].removeprefix("person/").removeprefix("service/")


def source_digest(source: str | bytes) -> str:
    """A digest of a published document's text."""
    return sha256(source.encode() if isinstance(source, str) else source).hexdigest()


def _identity(record: IdentityRecord) -> str:
    """What decides what somebody may, and how they come in."""
    return digest_of([record.kind, record.id, *(getattr(record, name) for name in (*_RIGHTS, *_TIES[1:]))])
