"""What the simulated engine asks of the world around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from segue.types import Command, Perform, Recovery

Reply = Callable[[Any], None]
"""Takes a result, or a `Failure`."""


class Performer(Protocol):
    """How commands reach the world. Answers come through the reply, later or never."""

    def recovery(self, command: Perform) -> Recovery:
        """What to do when the outcome is unknown."""
        ...

    def perform(self, run_id: str, command: Perform, key: str, recovering: bool, reply: Reply) -> None:
        """Act."""
        ...

    def verify(self, run_id: str, command: Perform, key: str, reply: Reply, absent: Callable[[], None]) -> None:
        """Look the act up; call `absent` when it did not happen."""
        ...

    def ask(self, run_id: str, command: Perform, key: str, reply: Reply, absent: Callable[[], None]) -> None:
        """Ask a person whether it happened."""
        ...

    def cancel(self, run_id: str, command_id: int) -> None:
        """Stop acting; unknown ids are no mistake."""
        ...


class Watcher(Protocol):
    """Who is told what the host lets out."""

    def released(self, run_id: str, command: Command) -> None:
        """A command leaves the host."""
        ...
