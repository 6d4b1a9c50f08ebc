"""Listeners and extensions."""

from __future__ import annotations

import time

import pytest

from segue.core.plan import Flow, Strategy

from .documents import failure_of, kinds, node_of, only_node, plan_of, value_of


def test_a_strategy_is_compiled_with_its_filters() -> None:
    """Literals, patterns, expressions and correlations each in their own form (ruling R21)."""
    node = only_node(
        """\
        listen:
          to:
            all:
            - with: {type: com.example.order, subject: 'order-\\d+', priority: 5}
              correlate: {order: {from: .data.id, expect: '${ .id }'}, tenant: {from: .tenant}}
            - with: {data: '${ .total > 100 }'}
          read: envelope
        """
    )
    first, second = node.to.filters
    kind, subject, priority = first.matchers
    assert (kind.literal, kind.pattern) == ("com.example.order", None)
    assert subject.pattern("order-12")
    assert not subject.pattern("order-12x")
    assert priority.literal == 5
    assert second.matchers[0].program is not None
    assert value_of(second.matchers[0].program, {"total": 101}) is True
    order, tenant = first.correlations
    assert value_of(order.from_, {"data": {"id": 7}}) == 7
    assert value_of(order.expect, {"id": 7}) == 7
    assert tenant.expect is None
    assert (node.to.mode, node.read) == ("all", "envelope")


def test_an_expression_on_an_attribute_decides_or_names_the_value() -> None:
    """A text that is merely true would let every event through."""
    node = only_node("listen: {to: {one: {with: {subject: '${ $context.id }', type: '${ .priority > 1 }'}}}}")
    subject, kind = (matcher.program for matcher in node.to.filters[0].matchers)
    assert value_of(subject, {"subject": "a"}, {"context": {"id": "a"}}) is True
    assert value_of(subject, {"subject": "b"}, {"context": {"id": "a"}}) is False
    assert value_of(kind, {"priority": 2}) is True


def test_a_pattern_takes_time_linear_in_the_event() -> None:
    """Events come from strangers."""
    pattern = only_node("listen: {to: {one: {with: {subject: '(a+)+b'}}}}").to.filters[0].matchers[0].pattern
    started = time.perf_counter()
    assert not pattern("a" * 5_000)
    assert time.perf_counter() - started < 1


def test_until_is_a_condition_or_a_strategy() -> None:
    """Both stop an `any`."""
    condition = only_node("listen: {to: {any: [], until: length > 2}}").to
    assert value_of(condition.until, [1, 2, 3]) is True
    nested = only_node("listen: {to: {any: [], until: {one: {with: {type: stop}}}}}").to
    assert isinstance(nested.until, Strategy)
    assert nested.until.types == ("stop",)


def test_foreach_binds_the_event_and_its_place() -> None:
    """As a loop does."""
    node = only_node(
        """\
        listen: {to: {any: [], until: '. | length > 1'}}
        foreach:
          item: order
          do: [{a: {set: {x: '${ $order.id + $index }'}}}]
          output: {as: .x, schema: {document: {type: integer}}}
          export: {as: '{last: $output}'}
        """
    )
    foreach = node.foreach
    assert (foreach.item, foreach.at) == ("order", "index")
    assert value_of(foreach.tasks[0].value, None, {"order": {"id": 1}, "index": 2}) == {"x": 3}
    assert value_of(foreach.output_as, {"x": 1}) == 1
    assert foreach.output_check("a") is not None
    assert value_of(foreach.export_as, None, {"output": 1}) == {"last": 1}


# -- extensions ------------------------------------------------------------------------------------

TWO = """\
use:
  extensions:
  - outer: {extend: all, before: [{o1: {set: {x: 1}}}], after: [{o2: {set: {x: 1}}}]}
  - inner: {extend: call, when: .log, before: [{i1: {set: {x: 1}}}]}
"""


def test_extensions_nest_in_declared_order() -> None:
    """Before in order, after in reverse (ruling R29)."""
    plan = plan_of("- a: {call: connector, with: {use: c, operation: o}}\n- b: {set: {x: 1}}\n", root=TWO)
    outer, simple = plan.root.tasks
    assert outer.kind == "extended"
    inner = outer.inner  # type: ignore[attr-defined]
    assert [node.name for node in outer.before] == ["o1"]  # type: ignore[attr-defined]
    assert [node.name for node in outer.after] == ["o2"]  # type: ignore[attr-defined]
    assert (inner.kind, [node.name for node in inner.before], inner.after) == ("extended", ["i1"], ())
    assert value_of(inner.when, {"log": True}) is True
    assert inner.inner.kind == "act"
    assert simple.inner.kind == "set"  # type: ignore[attr-defined]


def test_tasks_of_extensions_are_not_extended() -> None:
    """They would extend each other without end."""
    plan = plan_of("- a: {set: {x: 1}}\n", root=TWO)
    assert kinds(plan.nodes) == ["do", "extended", "set", "set", "set"]


def test_the_wrapper_has_the_tasks_place() -> None:
    """A skipped task skips its extensions; where the flow goes on, the task itself says."""
    plan = plan_of("- a: {set: {x: 1}, if: .go, then: c}\n- b: {set: {x: 1}}\n- c: {set: {x: 1}}\n", root=TWO)
    wrapper = plan.root.tasks[0]
    inner = wrapper.inner  # type: ignore[attr-defined]
    assert (wrapper.name, wrapper.pointer, wrapper.section) == ("a", "/do/0/a", "do")
    assert wrapper.condition is not None
    assert (wrapper.then, inner.then) == (Flow.CONTINUE, 2)
    assert (inner.section, inner.condition) == ("body", None)


def test_steps_see_an_extended_task_by_its_name() -> None:
    """What it was wrapped in changes nothing for its readers."""
    plan = plan_of("- a: {set: {x: 1}}\n- b: {set: {x: '${ $steps.a }'}}\n", root=TWO)
    assert [node.keep for node in plan.root.tasks] == [True, False]


@pytest.mark.parametrize(
    ("word", "extended"), [("composite", ["a", "b"]), ("do", ["a"]), ("fork", ["b"]), ("set", ["c"])]
)
def test_an_extension_chooses_its_kind(word: str, extended: list[str]) -> None:
    """`composite` is an old word for `do` and `fork` (ruling R29)."""
    plan = plan_of(
        "- a: {do: []}\n- b: {fork: {branches: []}}\n- c: {set: {x: 1}}\n",
        root=f"use: {{extensions: [{{e: {{extend: {word}, after: [{{z: {{wait: PT1S}}}}]}}}}]}}\n",
    )
    assert [node.name for node in plan.root.tasks if node.kind == "extended"] == extended


def test_branches_are_extended_in_their_place() -> None:
    """A branch stays alone in its list."""
    plan = plan_of("- a: {fork: {branches: [{b: {set: {x: 1}}}]}}\n", root=TWO)
    branch = node_of(plan, "a").branches[0]
    assert (branch.kind, branch.section, branch.inner.section) == ("extended", "branch", "body")


def test_a_failing_extension_condition_is_an_expression_error() -> None:
    """It is an expression like any other."""
    plan = plan_of("- a: {call: connector, with: {use: c, operation: o}}\n", root=TWO)
    wrapper = plan.root.tasks[0].inner  # type: ignore[attr-defined]
    assert failure_of(wrapper.when, [1]).status == 400
