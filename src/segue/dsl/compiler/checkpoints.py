"""Where nobody looks before something that cannot be taken back.

A task says that it cannot be taken back by `metadata: {segue: {irreversible: true}}`. On every way to it a person
must have been asked: a human task in its list or in one around it, before it, that no `if` can skip. What a
catalogue's function asks people inside (`decision`) counts.
"""

from __future__ import annotations

from typing import Any, Final

from segue.core.plan import DoNode, HumanNode, Node
from segue.dsl.compiler.build import Build, as_object
from segue.dsl.compiler.ways import Ways

_REMEDY: Final = "ask somebody before it: `call: human-task`, or `call: decision` where a model decides"


def lint_checkpoints(build: Build, root: DoNode) -> None:
    """Warn of every act that is declared irreversible and may happen before any person was asked."""
    # Whether a function asks depends on what it decides: whoever calls it chose that.
    ways = Ways(_is_irreversible, lambda node: True, function=_holds_human)
    for node in ways.walk(root.tasks):
        build.warn(
            "irreversible-unchecked",
            node.pointer,
            "this cannot be taken back, and may happen before any person was asked",
            _REMEDY,
            key=True,
        )


def _holds_human(node: Node) -> bool:
    return isinstance(node, HumanNode) or any(_holds_human(task) for tasks in node.children() for task in tasks)


def _is_irreversible(node: Node) -> bool:
    definition: Any = node.definition
    said = as_object(as_object(as_object(definition).get("metadata")).get("segue")) if node.pointer != "/do" else {}
    return said.get("irreversible") is True
