"""Documents and core together: what a document says is what a run does.

Only documents that need nothing from outside, or one answer of it; hosts have suites of their own.
"""

from __future__ import annotations

from typing import Any

import pytest

from segue.core import RunState, advance
from segue.dsl import Environment, compile_plan, read_document
from segue.types import AttemptSucceeded, EndRun, MessageConsumed, Perform, RunStarted, StartTimer, TimerFired

from .documents import document_of


def run_of(
    tasks: str,
    given: Any = None,
    *,
    root: str = "",
    answer: Any = None,
    messages: tuple[dict[str, Any], ...] = (),
    environment: Environment | None = None,
) -> RunState:
    """Run a document to its end: acts get `answer`, timers fire, messages arrive in order."""
    plan = compile_plan(read_document(document_of(tasks, root=root)), environment)
    state, commands = advance(plan, None, RunStarted(0, "r", plan.digest, given, "seed"))
    pending, now, left = list(commands), 0, list(messages)
    while state.ended is None:
        now += 1
        command = pending.pop(0) if pending else None
        if isinstance(command, Perform):
            state, commands = advance(plan, state, AttemptSucceeded(now, command.id, answer))
        elif isinstance(command, StartTimer):
            now = max(now, command.due_ms)
            state, commands = advance(plan, state, TimerFired(now, command.id))
        elif command is not None:
            continue
        else:
            assert left, "the run waits for something that never comes"
            state, commands = advance(plan, state, MessageConsumed(now, left.pop(0)))
        pending += commands
    assert not any(isinstance(command, EndRun) for command in pending[:-1])
    return state


def output_of(tasks: str, given: Any = None, **more: Any) -> Any:
    state = run_of(tasks, given, **more)
    assert state.ended == "completed", state.failure
    return state.output


def test_data_flows_from_task_to_task() -> None:
    """Input, transforms, context and output of the workflow, in the order of the language."""
    tasks = """\
    - a: {set: {n: '${ .n + 1 }'}, export: {as: '$context + {a: .n}'}}
    - b: {set: {n: '${ $context.a * 10 }', was: '${ $input.n }'}, output: {as: '. + {out: true}'}}
    """
    root = "input: {from: '{n: .start}'}\noutput: {as: '{result: ., context: $context}'}\n"
    assert output_of(tasks, {"start": 1}, root=root) == {
        "result": {"n": 20, "was": 2, "out": True},
        "context": {"n": 1, "a": 2},
    }


def test_steps_are_read_by_name() -> None:
    """What was replaced by `set` is still there by its task's name."""
    tasks = """\
    - first: {set: {n: 1}}
    - second: {set: {n: 2}}
    - both: {do: [{sum: {set: {n: '${ $steps.first.n + $steps.second.n }'}}}]}
    """
    assert output_of(tasks, root="output: {as: '{sum: .n, first: $steps.first}'}\n") == {"sum": 3, "first": {"n": 1}}


def test_needs_order_the_branches() -> None:
    """A branch gets what it needs, by name."""
    tasks = """\
    - f:
        fork:
          branches:
          - sum: {set: {n: '${ .a.n + .b.n + $steps.a.n }'}, needs: [a, b]}
          - a: {set: {n: 1}}
          - b: {set: {n: '${ .a.n + 1 }'}, needs: [a]}
    """
    assert output_of(tasks) == [{"n": 4}, {"n": 1}, {"n": 2}]


def test_a_loop_hands_its_output_on() -> None:
    """Each iteration gets what the one before gave."""
    tasks = (
        "- l: {for: {in: .rows, each: row}, while: .sum < 5, do: [{add: {set: {sum: '${ (.sum // 0) + $row }'}}}]}\n"
    )
    assert output_of(tasks, {"rows": [1, 2, 3, 4], "sum": 0}) == {"sum": 6}


def test_a_backward_jump_repeats() -> None:
    """The language's `while`."""
    tasks = """\
    - more: {set: {n: '${ .n + 1 }'}}
    - again: {switch: [{yes: {when: .n < 5, then: more}}, {no: {then: done}}]}
    - never: {set: {n: -1}}
    - done: {set: {n: '${ .n * 10 }'}}
    """
    assert output_of(tasks, {"n": 0}) == {"n": 50}


def test_errors_are_caught_by_any_of_their_names() -> None:
    """Ruling R2: the vintage of the address does not matter."""
    tasks = """\
    - t:
        try: [{boom: {set: {x: '${ .n + {} }'}}}]
        catch:
          errors: {with: {type: 'https://serverlessworkflow.io/spec/1.0.0/errors/expression'}}
          as: problem
          do: [{note: {set: {status: '${ $problem.status }', at: '${ $problem.instance }'}}}]
    """
    assert output_of(tasks, {"n": 1}) == {"status": 400, "at": "/do/0/t/try/0/boom"}


def test_a_function_sees_its_arguments_only() -> None:
    """And its output is the call's."""
    root = "use: {functions: {twice: {do: [{x: {set: {n: '${ .n * 2 }'}}}]}}}\n"
    tasks = "- a: {call: twice, with: {n: '${ .m }'}}\n- b: {call: twice, with: {n: '${ .n }'}}\n"
    assert output_of(tasks, {"m": 3}, root=root) == {"n": 12}


def test_map_makes_rows() -> None:
    """Without leaving the run."""
    tasks = "- m: {call: map, with: {value: '${ .rows }', fields: {id: .no, name: '.first + \" \" + .last'}}}\n"
    rows = [{"no": 1, "first": "Ada", "last": "L"}, {"no": 2, "first": "Alan", "last": "T"}]
    assert output_of(tasks, {"rows": rows}) == [{"id": 1, "name": "Ada L"}, {"id": 2, "name": "Alan T"}]


EXTENDED = """\
use:
  extensions:
  - stamp:
      extend: set
      before: [{b: {do: [{w: {wait: PT0S}}]}}]
      after: [{a: {do: [{w: {wait: PT0S}}], output: {as: '. + {stamped: true}'}}}]
"""


def test_an_extension_wraps_and_the_flow_goes_on() -> None:
    """`then` of the wrapped task still counts, and so does its name."""
    tasks = """\
    - a: {set: {n: 1}, then: c}
    - b: {emit: {event: {with: {type: x}}}}
    - c: {do: [], output: {as: '{a: $steps.a}'}}
    """
    assert output_of(tasks, root=EXTENDED) == {"a": {"n": 1, "stamped": True}}


def test_a_skipped_task_skips_its_extensions_and_its_then() -> None:
    """Ruling R8."""
    tasks = "- a: {set: {n: 1}, if: .go, then: end}\n- b: {do: [], output: {as: '. + {b: true}'}}\n"
    assert output_of(tasks, {"go": False}, root=EXTENDED) == {"go": False, "b": True}


@pytest.mark.parametrize(("given", "status"), [({"id": [1]}, 400), ({}, 200)])
def test_an_act_gets_its_arguments_or_fails_before_it(given: dict[str, Any], status: int) -> None:
    """What cannot be said is not sent."""
    state = run_of("- a: {call: http, with: {method: get, endpoint: 'https://x/{id}'}}\n", given, answer={"ok": True})
    assert (state.failure.status if state.failure else 200) == status


def test_a_listener_takes_what_correlates() -> None:
    """Filter, correlation and `foreach` together."""
    tasks = """\
    - l:
        listen:
          to:
            any:
            - with: {type: paid, data: '${ .amount > 0 }'}
              correlate: {o: {from: .data.order, expect: '${ .order }'}}
            until: length >= 2
        foreach: {do: [{x: {set: {n: '${ $item.amount * 10 + $index }'}}}]}
    """
    messages = tuple(
        {"type": "paid", "data": {"order": order, "amount": amount}}
        for order, amount in (("a", 1), ("b", 2), ("a", 0), ("a", 3))
    )
    assert output_of(tasks, {"order": "a"}, messages=messages) == [{"n": 10}, {"n": 31}]
