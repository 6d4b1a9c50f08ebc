"""Contracts between rooms: what a host expects of handlers, and handlers of a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from segue.types.commands import Perform

Recovery = Literal["repeat", "verify", "ask"]
"""What to do with an act whose outcome is unknown because the process died in between.

`repeat`: do it again (it is safe, or its key makes it so). `verify`: look it up by its key first.
`ask`: a person must say whether it happened.
"""


class Cipher(Protocol):
    """Keeps what is stored unreadable for whoever has the file alone. Called from several threads."""

    def seal(self, raw: bytes, run: int | None = None, *, packed: bool = False) -> str:
        """Stored form of a text, or of bytes that are `packed`: ASCII that means nothing without the key.

        Args:
            run: Sequence number of the run that it belongs to, whose data subject may have a key of its own.
        """
        ...

    def seal_rows(self, rows: Sequence[tuple[int, bytes]]) -> list[str]:
        """Sealed texts of many runs at once: the number of each run, and the text."""
        ...

    def unseal(self, stored: Any) -> Any:
        """What was sealed, as text or bytes; the JSON text `"erased"` where its key is gone; else what was given."""
        ...

    def blind(self, text: str) -> str:
        """A stand-in for a text that must be looked up: the same for the same text, and it cannot be turned back."""
        ...

    def keyed(self, digest: bytes, run: int | None = None) -> bytes:
        """A stand-in for a digest of content, so that equal content cannot be told by whoever lacks the key."""
        ...

    def assign(self, run: int, subject: str | None) -> None:
        """From now on what belongs to this run is sealed for this data subject, given as its blind stand-in.

        Raises:
            ValueError: Its key was destroyed.
        """
        ...


class SecretSource(Protocol):
    """Where secrets come from. Values are read when they are needed and never kept."""

    async def read(self, name: str) -> Any:
        """The secret's value: a string, or an object for a structured one.

        Raises:
            TaskFailure: `authorization`, when there is no such secret or it may not be read.
        """
        ...


@runtime_checkable
class SecretVault(SecretSource, Protocol):
    """A source that knows who may use which secret."""

    def for_act(self, workflow: str, command: Perform) -> SecretSource:
        """The secrets as this act of a run of `namespace/name:version` may use them."""
        ...


class EffectContext(msgspec.Struct, frozen=True, gc=False):
    """What a handler knows of the act it performs.

    Attributes:
        run_id: The run that asks.
        workflow: `namespace/name:version` of its definition.
        key: Effect key: the same over all attempts and restarts, unique over all runs. Goes out as the
            system's own idempotency mechanism where it has one.
        recovering: This act may have been performed before a crash.
        secrets: Where to reveal `SecretText` from.
        cause: Why the run was started.
        has_undo: What the act does may be taken back later, or it takes something back. A failure then says
            `outcome_unknown` wherever it may have happened, also where it went out with a key and may be repeated.
    """

    run_id: str
    workflow: str
    key: str
    secrets: SecretSource
    recovering: bool = False
    cause: Mapping[str, Any] | None = None
    has_undo: bool = False


class Handler(Protocol):
    """Performs one kind of command against the world."""

    async def perform(self, command: Perform, context: EffectContext) -> Any:
        """Act and return the result as a JSON value.

        Must stop promptly when its asyncio task is cancelled, and leave nothing running.

        Raises:
            TaskFailure: The act failed; the failure becomes the task's error.
        """
        ...

    def recovery(self, command: Perform) -> Recovery:
        """How this command recovers when the process died between acting and recording."""
        ...

    async def verify(self, command: Perform, context: EffectContext) -> Any:
        """Look the act up by its key: its result when it happened, `NOT_DONE` when it did not.

        Called only where `recovery` answered `verify`.
        """
        ...


class _NotDone:
    __slots__ = ()

    def __repr__(self) -> str:
        return "NOT_DONE"


NOT_DONE = _NotDone()
