"""Tests of a workflow: cases that its document declares, played without the world."""

from __future__ import annotations

import time
from textwrap import indent
from typing import Any

import msgspec
import pytest
from tests.unit.service.told import plan_of

from segue.core import Plan
from segue.dsl import compile_plan, read_document
from segue.service import cases
from segue.service.cases import failing, play
from segue.service.rehearsing import Case, Stuck, rehearse

HEAD = """
document:
  dsl: '1.0.3'
  namespace: demo
  name: told
  version: '1.2.3'
  metadata:
    segue:
      tests: TESTS
do:
"""
CALLS = """
- send:
    try:
      - call-it:
          call: http
          with: { method: post, endpoint: https://crm.example.com/x }
    catch:
      errors: { with: { status: 503 } }
      retry: { delay: { hours: 1 }, limit: { attempt: { count: 1 } } }
      do:
        - by-hand: { set: { todo: '${ .amount }' } }
"""
ASKS = """
- ask:
    call: human-task
    with:
      title: Pay?
      assign: { role: approver }
      requester: rita
      approvals: 2
      deadline: { after: P1D, outcome: expired }
- say: { set: { outcome: '${ .outcome }' } }
"""
LISTENS = """
- hear:
    listen: { to: { one: { with: { type: paid } } } }
- late: { wait: PT1H }
- say: { set: { paid: '${ $steps.hear[0].amount }' } }
"""
LOOPS = """
- again: { wait: PT1S }
- back:
    set: { a: 1 }
    then: again
"""
DOWN = {"error": {"type": "communication", "status": 503}}


def played(tasks: str, **said: Any) -> Any:
    case = msgspec.convert({"name": "one", "expect": {"output": None}, **said}, Case)
    return rehearse(plan_of(tasks), case, until=time.monotonic() + 30)


@pytest.mark.parametrize(
    ("tasks", "said", "output", "acts"),
    [
        (CALLS, {"answers": {"call-it": {"output": 7}}}, 7, ["call-it"]),
        (CALLS, {"answers": {"/do/0/send/try/0/call-it": {"output": 7}}}, 7, ["call-it"]),
        (CALLS, {"answers": {"call-it": [DOWN, {"output": 8}]}}, 8, ["call-it", "call-it"]),
        (CALLS, {"answers": {"call-it": DOWN}, "input": {"amount": 3}}, {"todo": 3}, ["call-it", "call-it"]),
        (ASKS, {"answers": {"ask": {"decide": "approve"}}}, {"outcome": "approve"}, ["ask", "ask"]),
        (ASKS, {"answers": {"ask": {"decide": "reject"}}}, {"outcome": "reject"}, ["ask"]),
        (ASKS, {"answers": {"ask": {"silent": True}}}, {"outcome": "expired"}, []),
        (LISTENS, {"events": [{"type": "paid", "data": {"amount": 4}}]}, {"paid": 4}, []),
    ],
)  # fmt: skip
def test_a_case_comes_out_as_a_run_with_these_answers_would(
    tasks: str, said: dict[str, Any], output: Any, acts: list[str]
) -> None:
    """The core that drives real runs plays it: retries, clocks, two-person rules and catches count."""
    ending = played(tasks, **said)

    assert (ending.output, ending.failure, ending.acts) == (output, None, acts)


@pytest.mark.parametrize(
    ("tasks", "said", "why"),
    [
        (CALLS, {}, "nothing answers the act 'call-it' at /do/0/send/try/0/call-it; write `answers"),
        (CALLS, {"answers": {"call-it": [DOWN]}}, "asked once more than it has answers"),
        (CALLS, {"answers": {"call-it": {"decide": "approve"}}}, "decides nothing"),
        (ASKS, {"answers": {"ask": {"decide": "perhaps"}}}, "'perhaps' about 'ask' does not count"),
        (ASKS, {"answers": {"ask": {"decide": "approve", "by": "rita"}}}, "requester never decides"),
        (ASKS, {"answers": {"ask": {"decide": "approve", "by": "ann"}}}, "does not count"),
        (LISTENS, {}, "an event that the case does not send"),
        (LISTENS, {"events": [{"type": "sold"}]}, "none takes the next one of the case, 'sold'"),
        (LOOPS, {}, "it goes on after 1000"),
        (CALLS, {"adjustable": {"x": 1}}, "'x' is no adjustable value"),
    ],
)
def test_a_case_that_cannot_be_played_says_what_to_write(tasks: str, said: dict[str, Any], why: str) -> None:
    """An act that nobody answered must never look like one that went well."""
    with pytest.raises(Stuck, match=why):
        played(tasks, **said)


def findings(tests: str, tasks: str = "- one: { set: { a: 1 } }") -> list[str]:
    document = read_document(HEAD.replace("TESTS", tests) + indent(tasks.strip("\n"), "  "))
    plan: Plan = compile_plan(document)
    found = list(failing(document, plan))
    assert all(one.remedy and one.line for one in found)
    return [f"{one.rule} {one.pointer.removeprefix(cases.PLACE)} {one.message}" for one in found]


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("none yet", "untested  `tests` says nothing that can be played: 'none yet'"),
        ("[]", "untested  it has no tests"),
        ("flow.tests.yaml", "untested  `tests` says nothing"),
        ("[{ name: x }]", "untested /0 test 1 has another form"),
        ("[{ name: x, expect: { output: 1, error: { type: runtime } } }]", "untested /0 test 1 has another form"),
        (
            "[{ name: x, expect: {output: {a: true}} }]",
            "failing-test /0 the test 'x' does not pass: it gave {\"a\":1}",
        ),
        ("[{ name: x, expect: { error: { type: timeout } } }]", "failing-test /0 the test 'x' does not pass: it did"),
        (
            "[{ name: x, expect: { output: {a: 1}, acts: [pay] } }]",
            "failing-test /0 the test 'x' does not pass: it d",
        ),
    ],
)
def test_tests_that_prove_nothing_are_findings(tests: str, said: str) -> None:
    """`tests: none yet` is no test, and one that expects something else does not pass: each with its place."""
    (found,) = findings(tests)

    assert found.startswith(said)


def test_a_failure_is_compared_by_its_type_and_status() -> None:
    """Standard types of all vintages are one (R2)."""
    fails = (
        "- no: { raise: { error: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/timeout', status: 408 } } }"
    )
    assert findings("[{ name: x, expect: { error: { type: timeout, status: 408 } } }]", fails) == []
    (other,) = findings("[{ name: x, expect: { error: { type: timeout, status: 500 } } }]", fails)
    assert "not with the status 500" in other
    assert "it failed: timeout 408 at /do/0/no" in findings("[{ name: x, expect: { output: 1 } }]", fails)[0]


def test_time_for_all_cases_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may check documents must not be able to keep a server busy."""
    monkeypatch.setattr(cases, "SECONDS_MAX", -1.0)
    document = read_document(HEAD.replace("TESTS", "[{ name: x, expect: { output: 1 } }]") + indent(LOOPS, "  "))
    (result,), _ = play(document, compile_plan(document))
    assert "takes too long" in str(result.why)
