"""Consents: which workflow may use a connection or model that somebody owns. Asked for each act, so in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from segue.types import Perform

Access = Literal["read", "write", "use"]
AccessOf = Callable[[str, str], Access]
"""`(connection, operation) -> what the operation does there`; what is not known writes."""

MODEL: Final = "model:"
"""Stands before the name of a model, where what is owned is named."""
OWNED_HANDLERS: Final = frozenset({"connector", "model"})
"""Handlers whose acts use something that may have an owner."""
CONSENT_RULE: Final = "consent"
"""What a verdict names as its rule where a consent is missing."""


class Consents:
    """What owners of connections and models consented to. Of models there is one access, `use`.

    Args:
        owner_of: Whom a connection, or `model:NAME`, belongs to; None for nobody.
    """

    def __init__(self, owner_of: Callable[[str], str | None], access_of: AccessOf) -> None:
        self.owner_of = owner_of
        self.access_of = access_of
        self._granted: set[tuple[str, str, Access]] = set()

    def grant(self, workflow: str, connection: str, access: Access) -> None:
        """A workflow (`namespace/name`) may use it from now on."""
        self._granted.add((workflow, connection, access))

    def withdraw(self, workflow: str, connection: str, access: Access) -> None:
        """It may not any more."""
        self._granted.discard((workflow, connection, access))

    def lacks(self, workflow: str, connection: str, access: Access) -> bool:
        """The owner has not consented to this use. Whoever may write may read."""
        if self.owner_of(connection) is None:
            return False
        enough: tuple[Access, ...] = ("read", "write") if access == "read" else (access,)
        return not any((workflow, connection, one) in self._granted for one in enough)

    def refusal(self, workflow: str, command: Perform) -> str:
        """Why this act may not use its connection or model; empty where it may, or uses none."""
        arguments: Any = command.arguments
        if command.handler not in OWNED_HANDLERS or not isinstance(arguments, dict):
            return ""
        if command.handler == "model":
            return self._refused_model(workflow, arguments.get("name"))
        connection, operation = arguments.get("use"), arguments.get("operation")
        if not isinstance(connection, str) or (owner := self.owner_of(connection)) is None:
            return ""
        access = self.access_of(connection, operation) if isinstance(operation, str) else "write"
        if not self.lacks(workflow, connection, access):
            return ""
        return f"{owner} owns the connection {connection!r} and has not consented to this {access}"

    def _refused_model(self, workflow: str, name: Any) -> str:
        if not isinstance(name, str) or (owner := self.owner_of(MODEL + name)) is None:
            return ""
        if not self.lacks(workflow, MODEL + name, "use"):
            return ""
        return f"{owner} owns the model {name!r} and has not consented to this use"


def named_owned(name: str) -> str:
    """What is owned, as a part of a sentence."""
    model = name.removeprefix(MODEL)
    return f"the connection {name!r}" if model == name else f"the model {model!r}"
