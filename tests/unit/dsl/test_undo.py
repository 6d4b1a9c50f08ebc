"""`undo` in the `with` of a call: compiled to an act of its own, checked like one."""

from __future__ import annotations

from textwrap import indent

import pytest

from segue.core.plan import ActNode, UndoNode
from segue.dsl import Finding

from .documents import document_of, findings_of, only_node, value_of

CALL = "call: connector\nwith: {use: crm, operation: add, undo: {operation: drop, arguments: {id: '${ .id }'}}}"


def refused(task: str) -> list[Finding]:
    return findings_of(document_of("- only:\n" + indent(task, "    ")))


def undo_of(text: str) -> UndoNode:
    node = only_node(text)
    assert isinstance(node, ActNode)
    assert node.undo is not None
    return node.undo


def test_an_undo_is_a_call_of_the_same_function() -> None:
    """It goes out through the same connection unless it names another."""
    made = undo_of(CALL)
    assert (made.kind, made.handler, made.name, made.pointer) == (
        "undo",
        "connector",
        "undo only",
        "/do/0/only/with/undo",
    )
    assert value_of(made.arguments, {"id": 7}) == {"use": "crm", "operation": "drop", "arguments": {"id": 7}}
    other = undo_of("call: connector\nwith: {use: crm, operation: add, undo: {use: erp, operation: drop}}")
    assert value_of(other.arguments)["use"] == "erp"


def test_the_call_itself_does_not_send_its_undo() -> None:
    """The handler knows nothing of it."""
    node = only_node(CALL)
    assert isinstance(node, ActNode)
    assert value_of(node.arguments) == {"use": "crm", "operation": "add"}


def test_an_undo_sees_the_result_and_what_the_call_saw() -> None:
    """Both are needed to say what is to be taken back."""
    reads = undo_of(
        "call: connector\nwith: {use: c, operation: a, undo: {operation: b, arguments:"
        " {x: '${ $output.id }', y: '${ $input.n }', z: '${ $context }'}}}"
    ).arguments.reads
    assert set(reads) == {"output", "input", "context"}


@pytest.mark.parametrize(
    ("with_", "at"),
    [
        ("{use: c, operation: a, undo: 1}", "/do/0/only/with/undo"),
        ("{use: c, operation: a, undo: {}}", "/do/0/only/with/undo"),
        ("{use: c, operation: a, undo: {operation: b, wrong: 1}}", "/do/0/only/with/undo/wrong"),
        ("{use: c, operation: a, undo: {operation: b, undo: {operation: c}}}", "/do/0/only/with/undo/undo"),
        ("{use: '${ .c }', operation: a, undo: {operation: b}}", "/do/0/only/with/undo"),
    ],
)
def test_an_undo_that_does_not_fit_is_refused_before_any_run(with_: str, at: str) -> None:
    """Nobody finds out in the middle of a failure."""
    (found,) = refused(f"call: connector\nwith: {with_}")
    assert (found.rule, found.pointer) == ("wrong-arguments", at)


def test_what_changes_nothing_has_no_undo() -> None:
    """A prediction leaves nothing to take back."""
    (found,) = refused("call: model\nwith: {name: m, input: 1, undo: {name: m}}")
    assert found.pointer == "/do/0/only/with/undo"


def test_the_first_version_of_a_function_knows_no_undo() -> None:
    """What was published with it means what it meant."""
    (found,) = refused("call: connector:1.0.0@default\nwith: {use: c, operation: a, undo: {operation: b}}")
    assert found.rule == "wrong-arguments"
