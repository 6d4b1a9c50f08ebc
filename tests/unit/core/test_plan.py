"""The tree that the core walks."""

from __future__ import annotations

import pytest

from segue.core.plan import DoNode, number

from .plans import act, attempt, do, extended, fork, plan, put


def test_nodes_are_numbered_in_document_order() -> None:
    """Displays list tasks as the document does, and effect names are made of these numbers."""
    made = plan(
        do("d", act("a"), act("b")),
        fork("f", act("x"), do("y", act("z"))),
        attempt("t", act("p"), handle=(act("q"),)),
    )
    assert [node.name for node in made.nodes] == ["test", "d", "a", "b", "f", "x", "y", "z", "t", "p", "q"]
    assert [node.index for node in made.nodes] == list(range(11))


def test_every_node_knows_its_place_in_its_list() -> None:
    """A branch stands alone in its list but keeps its index among the branches."""
    first, second = act("x"), act("y")
    made = plan(put("a", 1), fork("f", first, second))
    assert [n.position for n in made.root.tasks] == [0, 1]
    assert second.position == 1
    assert second.siblings == (second,)


def test_a_node_stands_in_one_place() -> None:
    """A body shared by two calls would give two acts one name."""
    shared = act("a")
    with pytest.raises(AssertionError, match="twice"):
        number(DoNode(name="d", pointer="/do", tasks=(shared, shared)))


def test_numbering_twice_changes_nothing() -> None:
    """A compiler may number before it builds the plan."""
    made = plan(extended(act("a"), then=2), act("b"))
    before = [(n.index, n.then, n.keep) for n in made.nodes]
    assert [(n.index, n.then, n.keep) for n in number(made.root)] == before
