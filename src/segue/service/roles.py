"""Roles that mean something here, and documents that leave something to a role, group or person in whom nobody is.

A role is known that ships, that the setting `roles` lists, that a rule in force names, or that a published document
names. Where the setting lists any, documents make none: what they name must be on the list.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from segue.dsl import Document, read_document
from segue.governance import ROLES, Guard
from segue.people import OWNER
from segue.service.deciders import ACTIONS_OF
from segue.service.declared import PLACE, said_of
from segue.service.definitions import Definitions, finding_of
from segue.service.errors import Finding, ServiceError
from segue.service.holders import KINDS, Holders
from segue.service.settings import Settings

_log = logging.getLogger("segue.service")
_ASKING: Final = ("human-task", "decision")
_KINDS: Final = {"person": "people", "role": "roles", "group": "groups", "agent": "agents"}


class Asked(NamedTuple):
    """A place of a document that asks somebody. `roles`: of which whoever decides needs one besides."""

    pointer: str
    audience: dict[str, list[str]]
    roles: tuple[str, ...] = ()


class KnownRoles:
    """Knows them in one data folder."""

    def __init__(self, settings: Settings, guard: Guard, definitions: Definitions) -> None:
        self._settings = settings
        self._guard = guard
        self._definitions = definitions
        self._named: tuple[int, frozenset[str]] = (-1, frozenset())

    @property
    def is_listed(self) -> bool:
        """The setting says which roles there are."""
        return bool(self._settings.roles)

    def all(self) -> set[str]:
        """All of them that can be granted: not the holder's, nor the system's."""
        found = {*ROLES, *self._settings.roles, *_of_rules(self._guard), *_of_settings(self._settings)}
        return (found if self.is_listed else found | self._of_documents()) - {OWNER, "system"}

    def require(self, roles: Iterable[str]) -> None:
        """These can be granted.

        Raises:
            ServiceError: `identity-refused`, with those there are.
        """
        known = self.all()
        unknown = [role for role in roles if role not in known]
        if unknown:
            said = f"There is no role {unknown[0]!r}. There are: {', '.join(sorted(known))}."
            remedy = (
                "Choose one of them; or name yours in the setting `roles`, in a rule, or in a published document."
            )
            raise ServiceError("identity-refused", said, remedy=remedy)

    def require_mapped(self) -> None:
        """What providers and directories give are roles there are, or the log says so.

        Raises:
            ServiceError: `setting-refused` where the setting lists the roles there are.
        """
        known = self.all()
        for name, provider in self._settings.providers.items():
            unknown = {role for given in provider.roles.values() for role in given} - known
            if unknown and self.is_listed:
                said = f"The mapping of {name!r} gives the role {min(unknown)!r}, which `roles` does not list."
                raise ServiceError("setting-refused", said)
            if unknown:
                _log.warning("the mapping of %s gives roles that nothing knows: %s", name, ", ".join(sorted(unknown)))

    def _of_documents(self) -> frozenset[str]:
        changes, found = self._named
        if changes != self._definitions.changes:
            texts = [self._definitions.find(*name, "latest") for name in self._definitions.names()]
            found = frozenset(role for one in texts if one is not None for role in _of_document(one.source))
            self._named = (self._definitions.changes, found)
        return found


async def undecidable(document: Document, roles: KnownRoles, holders: Holders) -> list[Finding]:
    """What a document leaves to somebody whom nobody is: warnings; errors for roles that a list of them has not."""
    found = []
    known, anybody = roles.all() | {OWNER}, bool(await holders.everybody())
    for asked in asked_by(document.data):
        unknown = [role for role in (*asked.audience.get("roles", ()), *asked.roles) if role not in known]
        if unknown and roles.is_listed:
            message, remedy = f"there is no role {unknown[0]!r}", f"There are: {', '.join(sorted(known))}."
            found.append(
                finding_of(document.finding("unknown-role", "error", message, remedy, pointer=asked.pointer))
            )
        # Where nobody was added, the holder of the folder is alone, and decides everything.
        elif anybody and not asked.audience.get("agents") and not await holders.decide(asked.audience, asked.roles):
            message = f"nobody can decide it: {_told(asked)}"
            remedy = "Give somebody what it asks for (`segue users add`, `segue users change`), or ask others."
            found.append(
                finding_of(document.finding("nobody-decides", "warning", message, remedy, pointer=asked.pointer))
            )
    if anybody:
        found += [one async for one in _ladder(document, holders)]
    return found


async def _ladder(document: Document, holders: Holders) -> AsyncIterator[Finding]:
    said = said_of(document.data).get("escalate_to")
    for place, name in enumerate(said if isinstance(said, list) else [said]):
        if isinstance(name, str) and not [one for kind in KINDS for one in await holders.of(kind, name)]:
            message = f"failures are passed on to {name!r}, and nobody is called so, or has such a role or group"
            pointer = f"{PLACE}/escalate_to/{place}" if isinstance(said, list) else f"{PLACE}/escalate_to"
            remedy = "Name a person, a role or a group that there is."
            yield finding_of(document.finding("nobody-decides", "warning", message, remedy, pointer=pointer))


def asked_by(definition: Any) -> Iterator[Asked]:
    """Whom the human tasks of a document ask, as far as it stands there in plain."""
    for pointer, task in _tasks(definition, ""):
        given = task["with"]
        authority = given.get("authority") if isinstance(given.get("authority"), dict) else {}
        needed = tuple(_names(authority.get("roles")))
        if audience := _audience(given.get("assign")):
            yield Asked(f"{pointer}/with/assign", audience, needed)
        rungs = given.get("escalate")
        for place, rung in enumerate(rungs if isinstance(rungs, list) else []):
            to = rung.get("to") if isinstance(rung, dict) else None
            if audience := _audience(to):
                yield Asked(f"{pointer}/with/escalate/{place}/to", audience, needed)


def _tasks(value: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, list):
        for place, one in enumerate(value):
            yield from _tasks(one, f"{pointer}/{place}")
    if not isinstance(value, dict):
        return
    call = value.get("call")
    if isinstance(call, str) and call.partition(":")[0] in _ASKING and isinstance(value.get("with"), dict):
        yield pointer, value
    for key, one in value.items():
        # What stands in metadata or arguments is data.
        if key not in ("metadata", "with", "set"):
            yield from _tasks(one, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")


def _audience(said: Any) -> dict[str, list[str]]:
    """Kinds and names that are written out; empty where one is computed, or managers are asked too."""
    if not isinstance(said, dict) or said.get("manager"):
        return {}
    found: dict[str, list[str]] = {}
    for key, kind in _KINDS.items():
        names = said.get(key)
        listed = _names(names)
        if names is not None and len(listed) != (len(names) if isinstance(names, list) else 1):
            return {}
        if listed:
            found[kind] = listed
    return found


def _names(said: Any) -> list[str]:
    given = said if isinstance(said, list) else [said]
    return [one for one in given if isinstance(one, str) and "${" not in one]


def _told(asked: Asked) -> str:
    singular = {kind: word for word, kind in _KINDS.items()}
    whom = ", ".join(f"{singular[kind]} {name!r}" for kind, names in asked.audience.items() for name in names)
    return whom + (f" with one of the roles {', '.join(asked.roles)}" if asked.roles else "")


def _of_document(source: str) -> Iterator[str]:
    definition = read_document(source).data
    for asked in asked_by(definition):
        yield from (*asked.audience.get("roles", ()), *asked.roles)
    adjustable = said_of(definition).get("adjustable")
    for one in adjustable.values() if isinstance(adjustable, dict) else ():
        role = one.get("role") if isinstance(one, dict) else None
        if isinstance(role, str):
            yield role


def _of_rules(guard: Guard) -> Iterator[str]:
    for rule in guard.policies.rules.values():
        if rule.approval:
            yield rule.approval
        yield from _rungs(rule.clock.escalate)
        yield from _of_tree(rule.tree)


def _of_tree(tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        if tree.get("type") == "Role" and isinstance(tree.get("id"), str):
            yield tree["id"]
        for one in tree.values():
            yield from _of_tree(one)
    elif isinstance(tree, list):
        for one in tree:
            yield from _of_tree(one)


def _of_settings(settings: Settings) -> Iterator[str]:
    for limit in settings.limits:
        asked, _, role = limit.exceeded.partition(":")
        yield from [role] if asked == "approval" else []
        yield from _rungs(limit.escalate)
    wishes = settings.wishes
    for clock in (settings.approvals, wishes, *(getattr(wishes, kind) for kind in ACTIONS_OF)):
        yield from _rungs(clock.escalate)


def _rungs(escalate: str) -> Collection[str]:
    """Roles of a ladder as it is written: `P2D publisher, P1D admin`."""
    return [rung.split()[-1] for rung in escalate.split(",") if len(rung.split()) == 2]
