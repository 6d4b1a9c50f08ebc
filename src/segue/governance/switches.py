"""Switches: what is stopped now. Asked for every act, so it is a look-up in memory."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from segue.types import DEFAULT_WORKSPACE, Perform

SwitchKind = Literal["agent", "model", "tool", "connection", "workflow", "workspace"]
SWITCH_KINDS: Final = ("agent", "model", "tool", "connection", "workflow", "workspace")
# Where an act names what can be stopped: the handler, and the argument that holds the name.
_NAMED: Final = {"connector": ("connection", "use"), "model": ("model", "name"), "agent": ("agent", "name")}


class Thrown(msgspec.Struct, frozen=True):
    """Something that is stopped."""

    kind: SwitchKind
    name: str
    by: str
    reason: str
    at: int


class Switches:
    """What is stopped in one workspace.

    Attributes:
        any: Something is. Asked before every act, so it is kept and not found out.
    """

    def __init__(self, workspace: str = DEFAULT_WORKSPACE) -> None:
        self.any = False
        self._workspace = workspace
        self._thrown: dict[tuple[str, str], Thrown] = {}

    def all(self) -> list[Thrown]:
        """Everything that is stopped."""
        return list(self._thrown.values())

    def throw(self, switch: Thrown) -> None:
        """Stop it."""
        self._thrown[(switch.kind, switch.name)] = switch
        self.any = True

    def release(self, kind: str, name: str) -> None:
        """Let it go on."""
        self._thrown.pop((kind, name), None)
        self.any = bool(self._thrown)

    def find(self, kind: str, name: str) -> Thrown | None:
        """The switch that stops this one, itself or its whole workspace."""
        return self._thrown.get((kind, name)) or self._thrown.get(("workspace", self._workspace))

    def stops(self, workflow: str, command: Perform) -> Thrown | None:
        """The switch that stops this act of this workflow (`namespace/name`)."""
        if not self._thrown:
            return None
        found = self.find("workflow", workflow) or self._thrown.get(named_by(command))
        return found or next((t for name in tools_of(command) if (t := self._thrown.get(("tool", name)))), None)


def tools_of(command: Perform) -> tuple[str, ...]:
    """What an act can be stopped by as a tool: its handler, and `CONNECTION/OPERATION` or `function/NAME`."""
    arguments: Any = command.arguments if isinstance(command.arguments, dict) else {}
    if command.handler == "connector":
        return command.handler, f"{arguments.get('use')}/{arguments.get('operation')}"
    if command.handler == "function":
        return command.handler, f"function/{arguments.get('name')}"
    return (command.handler,)


def named_by(command: Perform) -> tuple[str, str]:
    """Kind and name of the connection, model or agent that an act names; empty where it names none."""
    kind, argument = _NAMED.get(command.handler, ("", ""))
    arguments: Any = command.arguments
    name = arguments.get(argument) if kind and isinstance(arguments, dict) else None
    return (kind, name) if isinstance(name, str) else ("", "")
