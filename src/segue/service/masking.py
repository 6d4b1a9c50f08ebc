"""Masking by role: the one place where values leave.

Every use case that gives values out looks at them through a `Lens`: it knows the classes of each value of a run, from
the definition that the run is pinned to, and which of them whoever asks may not see. Which those are is asked of the
policies (`data.see`), so administrators decide it. A definition whose schemas name no class gives `CLEAR_LENS`,
through which everything is seen as it is.

Source: design section 7 (labels); decision 0111.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Final

from segue.dsl.flows import NO_COVERS, Cover, Covers, both
from segue.governance import Guard, Policies, Resource
from segue.governance.policy import applies
from segue.service.definitions import Definitions
from segue.service.detecting import way_to
from segue.service.errors import ServiceError
from segue.service.flows import Flows
from segue.service.masks import mask_text, masked
from segue.service.past import Past
from segue.types import DEFAULT_STATUS, ERROR_BASE, Identity, canonical_type
from segue.types.causes import Way

SEE: Final = "data.see"
UNKNOWN_PLACE: Final = ("", "")
"""Digest and pointer where no row says them: everything may stand there."""
UNREADABLE: Final = "unreadable"
"""The class of everything in a run whose definition this release cannot read."""
_KEPT_OF_EVENTS: Final = frozenset({"specversion", "id", "time", "datacontenttype"})


class Lens:
    """What somebody sees of the runs of one definition.

    Attributes:
        hidden: Classes that they do not see.
    """

    __slots__ = ("covers", "hidden")

    def __init__(self, covers: Covers, hidden: frozenset[str]) -> None:
        self.covers = covers
        self.hidden = hidden

    def value(self, value: Any, cover: Cover) -> Any:
        """A value with these classes."""
        return masked(value, cover, self.hidden) if self.hidden else value

    def text(self, text: Any, cover: Cover) -> Any:
        """The same for a field that can only be text."""
        if not self.hidden or not isinstance(text, str):
            return text
        refused = cover.all() & self.hidden
        return mask_text(refused) if refused else text

    def any(self, value: Any) -> Any:
        """A value that may hold everything."""
        return self.value(value, Cover(self.covers.classes))

    def words(self, text: Any) -> Any:
        """Text that may quote everything."""
        return self.text(text, Cover(self.covers.classes))

    def failure(self, error: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Why something failed, as data. What failures say may quote any value; their kind and place may not."""
        if error is None or not self.hidden:
            return None if error is None else dict(error)
        kept = {key: error[key] for key in ("status", "instance") if key in error}
        known = canonical_type(str(error.get("type", ""))).removeprefix(ERROR_BASE)
        standard = known in DEFAULT_STATUS
        told = {key: self.words(value) for key, value in error.items() if key not in kept}
        if standard:
            told["type"] = error["type"]
            if error.get("title") == f"{known.capitalize()} error":
                told["title"] = error["title"]
        return {key: told.get(key, kept.get(key)) for key in error}

    def cloud_event(self, event: dict[str, Any], cover: Cover) -> dict[str, Any]:
        """A CloudEvent; attributes stay text."""
        if not self.hidden:
            return event
        return {
            key: value
            if key in _KEPT_OF_EVENTS
            else self.value(value, cover.at(key))
            if key == "data"
            else self.text(value, cover.at(key))
            for key, value in event.items()
        }


CLEAR_LENS: Final = Lens(NO_COVERS, frozenset())
"""Through which everything is seen as it is."""


class Masking:
    """Gives the lens through which whoever acts sees the runs of a definition.

    Args:
        guard: Knows who acts, and asks the policies.
    """

    def __init__(self, definitions: Definitions, flows: Flows, guard: Guard) -> None:
        self._definitions = definitions
        self._flows = flows
        self._guard = guard
        self._ruled: tuple[Policies, bool] | None = None

    @property
    def workspace(self) -> str:
        """Whose data it masks."""
        return self._guard.workspace

    def sees_all(self, identity: Identity | None) -> bool:
        """The owner of the folder, as long as nobody wrote a rule that forbids somebody to see something."""
        policies = self._guard.policies
        if self._ruled is None or self._ruled[0] is not policies:
            rules = [rule for rule in policies.rules.values() if applies(rule.tree["action"], SEE)]
            own = any(rule.id == "owner" and rule.shipped for rule in rules)
            self._ruled = policies, not own or any(r.effect == "forbid" and not r.shipped for r in rules)
        same = identity is not None and identity.workspace == self._guard.workspace
        return same and not self._ruled[1] and _is_owner(identity)

    def lens(self, digest: str, *, by: Identity | None = None) -> Lens:
        """The lens for the runs of this definition.

        Args:
            by: Whose eyes; those of whoever acts where it is left out. Nobody sees no class at all.
        """
        identity = by or self._guard.who()
        if self.sees_all(identity):
            return CLEAR_LENS
        return self._over(digest, self._covers(digest), identity)

    def lens_over(self, past: Past, *, by: Identity | None = None) -> Lens:
        """The lens for one run: where it was migrated, the classes of every version that it ran under hold."""
        identity = by or self._guard.who()
        if self.sees_all(identity):
            return CLEAR_LENS
        covers, way = NO_COVERS, way_to(past)
        for digest in past.definitions():
            covers = both(covers, self._covers(digest, way))
        return self._over(past.record.digest, covers, identity)

    def _over(self, digest: str, covers: Covers, identity: Identity | None) -> Lens:
        if not covers.classes:
            return CLEAR_LENS
        resource = self._resource(digest)
        hidden = frozenset(name for name in covers.classes if not self._sees(identity, resource, name))
        return Lens(covers, hidden) if hidden else CLEAR_LENS

    def lens_of(self, workflow: str, *, by: Identity | None = None) -> Lens:
        """The same, by `namespace/name:version`."""
        place, _, version = workflow.rpartition(":")
        namespace, _, name = place.partition("/")
        found = self._definitions.find(namespace, name, version)
        return self.lens("" if found is None else found.digest, by=by)

    def lenses(self, *, by: Identity | None = None) -> Callable[[str], Lens]:
        """`lens` for many, each definition asked about once."""
        return cache(partial(self.lens, by=by))

    def lenses_of(self) -> Callable[[str], Lens]:
        """`lens_of` for many."""
        return cache(self.lens_of)

    def _covers(self, digest: str, way: Way | None = None) -> Covers:
        try:
            return self._flows.covers(digest, way)
        except (LookupError, ServiceError):
            whole = Cover(frozenset({UNREADABLE}))
            return Covers(whole.classes, whole, whole, whole)

    def _sees(self, identity: Identity | None, resource: Resource, name: str) -> bool:
        return identity is not None and self._guard.verdict(identity, SEE, resource, {"class": name}).allowed

    def _resource(self, digest: str) -> Resource:
        try:
            found = self._definitions.definition(digest)
        except LookupError:
            return Resource("Workflow")
        named = {"namespace": found.namespace, "name": found.name}
        return Resource("Workflow", f"{found.namespace}/{found.name}", named)


def _is_owner(identity: Identity | None) -> bool:
    """Holds the folder itself: not somebody for whom an agent acts, and not by a token that is meant for less."""
    if identity is None or identity.acts_for is not None or identity.scopes is not None:
        return False
    return "owner" in identity.roles
