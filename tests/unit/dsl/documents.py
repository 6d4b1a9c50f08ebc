"""Builders: a valid document, of which a test changes one thing."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import dedent, indent
from typing import Any

from segue.core.plan import Node, Plan
from segue.dsl import Environment, Finding, check_document, compile_plan, read_document
from segue.types import TaskFailure

HEAD = """\
document:
  dsl: '1.0.3'
  namespace: test
  name: sample
  version: '1.0.0'
"""
MARK = "#<"
"""Stands in a document at the end of the line where a finding is expected."""


def document_of(tasks: str, *, root: str = "") -> str:
    """The text of a document with these tasks (a YAML list) and these other keys of the root."""
    return HEAD + dedent(root) + "do:\n" + indent(dedent(tasks), "  ")


def findings_of(text: str, environment: Environment | None = None) -> list[Finding]:
    """All findings about a whole document."""
    return check_document(read_document(text), environment)


def plan_of(tasks: str, *, root: str = "", environment: Environment | None = None) -> Plan:
    """The plan of a document with these tasks."""
    return compile_plan(read_document(document_of(tasks, root=root)), environment)


def node_of(plan: Plan, name: str) -> Any:
    """The node of this name; the inner one where an extension wraps it."""
    return next(node for node in reversed(plan.nodes) if node.name == name and node.kind != "extended")


def only_node(task: str, *, root: str = "", environment: Environment | None = None) -> Any:
    """The node of a task given as the object behind its name."""
    plan = plan_of("- only:\n" + indent(dedent(task), "    "), root=root, environment=environment)
    return plan.root.tasks[0]


def value_of(program: Any, data: Any = None, variables: Mapping[str, Any] | None = None) -> Any:
    """Evaluate a program of the plan, with no more variables than it asks for."""
    given = variables or {}
    return program.run(data, {name: given.get(name) for name in program.reads}, 0)


def failure_of(program: Any, data: Any = None, variables: Mapping[str, Any] | None = None) -> Any:
    """The failure with which a program ends."""
    try:
        value = value_of(program, data, variables)
    except TaskFailure as error:
        return error.failure
    raise AssertionError(f"it gave {value!r}")


def kinds(nodes: tuple[Node, ...]) -> list[str]:
    """Kinds of nodes, in order."""
    return [node.kind for node in nodes]
