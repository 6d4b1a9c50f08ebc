"""Who acts: people, service accounts, agents, workflows and connections, and who is acting now.

The edge sets the acting identity (`acting_as`): the API from a token or a session, the command line and an embedding
program as the local owner. Whatever is called below reads it (`acting`), so no use case has to be told who asks.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

import msgspec

IdentityKind = Literal["person", "service", "agent", "workflow", "connection", "system"]

DEFAULT_WORKSPACE: Final = "default"

Held = TypeVar("Held")


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody or something that acts.

    Attributes:
        kind: `person`; `service` (an account of a program); `agent`, `workflow`, `connection` (ours); `system`.
        id: Unique within its kind; never changes.
        display: How lists and records name it.
        roles: What policies grant by.
        groups: Teams; assignment and policies use them.
        workspace: Where it acts. An identity acts in one workspace at a time.
        limits: Up to where it decides by itself, by name, such as `{"amount": 5000}`. A name that is absent does not
            limit; whoever has no limit for something and needs one says so in a policy.
        scopes: Actions that the credential in use is restricted to; None where it is not. Never widens the roles.
        acts_for: On whose behalf it acts; it may do what both may.
    """

    kind: IdentityKind
    id: str
    display: str = ""
    roles: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    workspace: str = DEFAULT_WORKSPACE
    limits: dict[str, float] = {}
    scopes: frozenset[str] | None = None
    acts_for: Identity | None = None

    @property
    def name(self) -> str:
        """`kind:id`, as records write it."""
        return f"{self.kind}:{self.id}"


LOCAL_OWNER: Final = Identity(kind="person", id="owner", display="Owner", roles=frozenset({"owner"}))
"""Whoever holds the data folder itself: the bootstrap token, the command line on the folder, an embedding program."""


def owner_of(workspace: str) -> Identity:
    """The owner of a data folder, in its workspace."""
    return msgspec.structs.replace(LOCAL_OWNER, workspace=workspace)


SYSTEM: Final = Identity(kind="system", id="segue", display="Segue", roles=frozenset({"system"}))
"""Segue itself: what it does by the clock and not because somebody asked."""

_acting: ContextVar[Identity | None] = ContextVar("segue_acting", default=None)


def acting() -> Identity | None:
    """Who acts in the current context; None where no edge has said."""
    return _acting.get()


class _Inside(Generic[Held]):
    """A variable of the context has a value inside the block. A class: a generator costs five times as much."""

    __slots__ = ("_before", "_held", "_variable")

    def __init__(self, variable: ContextVar[Held], held: Held) -> None:
        self._variable = variable
        self._held = held

    def __enter__(self) -> None:
        self._before = self._variable.set(self._held)

    def __exit__(self, *_: object) -> None:
        self._variable.reset(self._before)


def acting_as(identity: Identity | None) -> AbstractContextManager[None]:
    """Let what is called inside the block act as this identity; tasks that it starts inherit it."""
    return _Inside(_acting, identity)


class Leave:
    """A permission that the record of the deed itself is to tell of. `told`: some record has.

    Attributes:
        by: `kind:id` of who asked. on: what for, such as `workflow:sales/renewal`.
        reason: Rules that decided, and the version of the policies.
    """

    __slots__ = ("action", "by", "on", "reason", "told")

    def __init__(self, action: str, by: str, on: str, reason: str) -> None:
        self.action, self.by, self.on, self.reason = action, by, on, reason
        self.told = False


_leave: ContextVar[Leave | None] = ContextVar("segue_leave", default=None)


def on_leave(leave: Leave) -> AbstractContextManager[None]:
    """Let the next deed of this action inside the block tell of the permission."""
    return _Inside(_leave, leave)


def take_leave(action: str) -> dict[str, str] | None:
    """What the record of this deed says of its permission; None where another record has said it, or nobody asked."""
    leave = _leave.get()
    if leave is None or leave.told or leave.action != action:
        return None
    leave.told = True  # tasks that were started meanwhile have the same one: it is told of once
    return {"by": leave.by, "on": leave.on, "reason": leave.reason}


class AuditSink(Protocol):
    """Takes a record of what was asked and answered. Called on the event loop; must not block and must not raise."""

    def record(
        self,
        *,
        principal: str,
        action: str,
        resource: str,
        verdict: str,
        reason: str,
        at: int,
        workspace: str = DEFAULT_WORKSPACE,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Note it.

        Args:
            principal: `kind:id` of who asked.
            action: What for, such as `run.start`.
            resource: On what, such as `workflow:sales/renewal`.
            verdict: `allow`, `deny`, `needs-approval`, or what became of an act of administration.
            reason: Rules that decided and the policy version, or the reason a person gave. Never a secret.
            at: Milliseconds since the Unix epoch, UTC.
            data: Further facts, as JSON.
        """
        ...
