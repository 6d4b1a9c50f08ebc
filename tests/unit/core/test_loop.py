"""`for`: strictly one iteration at a time; each gets the output of the one before it."""

from __future__ import annotations

import pytest

from .plans import Run, act, attempt, broken, constant, loop, plan, program, put, variable, word_of


def test_each_iteration_gets_the_output_of_the_one_before() -> None:
    """Accumulating needs no context."""
    run = Run(plan(loop("l", [1, 2, 3], put("add", program(lambda d, v: d + v["item"], "item")))), 10)
    assert run.output == 16


def test_iterations_are_sequential() -> None:
    """There is no parallel map in the language."""
    run = Run(plan(loop("l", ["x", "y"], act("a", variable("item")))))
    assert [p.arguments for p in run.performs] == ["x"]
    assert [p.arguments for p in run.ok("a").performs] == ["y"]


def test_variables_can_be_renamed_and_nest() -> None:
    """The inner loop sees the outer one's variables."""
    inner = loop("m", ["a", "b"], put("p", program(lambda d, v: [*d, (v["row"], v["item"])], "row", "item")))
    run = Run(plan(loop("l", [1, 2], inner, each="row", at="place")), [])
    assert run.output == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]


def test_variables_end_with_the_loop() -> None:
    """Neither the loop's own transforms nor later tasks see them."""
    see = program(lambda d, v: v["item"], "item")
    assert Run(plan(loop("l", [1], put("a", 1), output_as=see))).output is None
    assert Run(plan(loop("l", [1], put("a", 1)), put("b", see))).output is None


def test_while_is_tested_before_each_iteration_with_its_variables() -> None:
    """False stops the loop; the output is that of the last iteration that ran."""
    small = program(lambda d, v: v["item"] < 3, "item")
    assert Run(plan(loop("l", [1, 2, 3, 1], put("a", variable("item")), while_=small))).output == 2


def test_while_sees_the_data() -> None:
    """`.` is the output of the iteration before."""
    body = put("add", program(lambda d, v: d + 1))
    assert Run(plan(loop("l", [0] * 9, body, while_=program(lambda d, v: d < 4))), 0).output == 4


@pytest.mark.parametrize("items", [None, []])
def test_nothing_to_do_gives_back_the_input(items: object) -> None:
    """Null counts as empty (R16)."""
    assert Run(plan(loop("l", items, act("a"))), "in").output == "in"


@pytest.mark.parametrize("items", [{}, "text", 5, True])
def test_anything_but_an_array_is_an_expression_failure(items: object) -> None:
    """Looping over the characters of a text helps nobody."""
    reason = Run(plan(loop("l", items, act("a")))).failure
    assert word_of(reason) == "expression"
    assert "must give an array" in (reason.detail or "")


def test_a_failure_inside_faults_the_loop() -> None:
    """Later iterations do not start."""
    run = Run(plan(attempt("t", loop("l", [1, 2], act("a"))), put("z", "caught"))).fails("a")
    assert run.output == "caught"
    assert run.acted == ["a"]


def test_a_broken_while_faults_the_loop_itself() -> None:
    """The condition is the loop's, not the iteration's."""
    assert Run(plan(loop("l", [1], put("a", 1), while_=broken()))).failure.instance == "/do/0/l"


def test_steps_are_forgotten_between_iterations() -> None:
    """An iteration that skips a task must not read what an earlier one left."""
    see = put("see", program(lambda d, v: [*d, v["steps"].get("a")], "steps"))
    first = put(
        "a", "left", keep=True, condition=program(lambda d, v: v["index"] == 0, "index"), output_as=variable("x")
    )
    first.output_as = constant([])
    assert Run(plan(loop("l", [1, 2], first, see)), []).output == [[], None]
