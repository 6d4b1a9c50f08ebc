"""`set`, `switch`, `raise`, `emit`: they end in the turn in which they begin."""

from __future__ import annotations

import pytest

from segue.core.plan import Flow, Program
from segue.types import Emit

from .plans import Run, act, attempt, broken, constant, emit, plan, program, put, switch, throw, variable, word_of

BIG = program(lambda d, v: d > 10)
EVEN = program(lambda d, v: d % 2 == 0)


class TestSet:
    def test_set_replaces_the_data(self) -> None:
        """It does not merge: that is written out in the expression."""
        assert Run(plan(put("a", {"y": 2})), {"x": 1}).output == {"y": 2}


class TestSwitch:
    @pytest.mark.parametrize(("value", "expected"), [(12, "big"), (4, "even"), (3, "other")])
    def test_cases_are_tried_in_order_and_the_default_last(self, value: int, expected: str) -> None:
        """The default counts only where nothing else matches, wherever it stands."""
        cases = ((None, 3), (BIG, 1), (EVEN, 2))
        tasks = [put(name, name, then=Flow.END) for name in ("big", "even", "other")]
        assert Run(plan(switch("s", *cases), *tasks), value).output == expected

    def test_without_a_match_the_tasks_own_directive_counts(self) -> None:
        """No match and no default: as if the task were any other."""
        run = Run(plan(switch("s", (BIG, 1), then=2), put("a", "a"), put("b", program(lambda d, v: ["b", d]))), 1)
        assert run.output == ["b", 1]

    def test_a_matched_case_replaces_the_tasks_own_directive(self) -> None:
        """Even where the case says `continue`."""
        assert Run(plan(switch("s", (BIG, Flow.CONTINUE), then=Flow.END), put("a", "a")), 11).output == "a"

    def test_its_output_is_its_input(self) -> None:
        """A switch decides; it makes no data."""
        assert Run(plan(switch("s", (None, Flow.CONTINUE))), 5).output == 5

    def test_a_broken_condition_is_an_expression_failure(self) -> None:
        """It must not count as no match."""
        assert word_of(Run(plan(switch("s", (broken(), 0), (None, Flow.EXIT))), 1).failure) == "expression"

    def test_the_decision_is_told(self) -> None:
        """Whoever looks at a run asks first why it went this way."""
        run = Run(plan(switch("s", (BIG, Flow.CONTINUE))), 11)
        assert [m.data for m in run.trace if m.what == "decided"] == [{"case": "case0", "saw": 11}]


class TestRaise:
    def test_it_faults_with_the_documents_error_at_its_own_place(self) -> None:
        """`instance` is always the raising task."""
        reason = Run(plan(throw("r", "https://example.com/x", 419, title="T", detail="D"))).failure
        assert (reason.type, reason.status, reason.title, reason.detail) == ("https://example.com/x", 419, "T", "D")
        assert reason.instance == "/do/0/r"

    @pytest.mark.parametrize("field", ["type", "title", "detail"])
    def test_its_text_fields_must_be_text(self, field: str) -> None:
        """A dynamic field may give anything; what is not text is an expression failure and not a crash."""
        task = throw("r")
        task.error = constant({"type": "https://example.com/x", "status": 400, field: 5})
        assert word_of(Run(plan(task)).failure) == "expression"

    def test_a_missing_type_is_an_expression_failure(self) -> None:
        """A dynamic type that gives null must be catchable, not break the filter of a `catch`."""
        task = throw("r")
        task.error = constant({"type": None, "status": 400})
        caught = attempt("t", task, catch_with={"type": "other"})
        assert word_of(Run(plan(caught)).failure) == "expression"


class TestEmit:
    def test_the_event_is_published_and_is_the_output(self) -> None:
        """The conformance kit reads the whole envelope from the output."""
        run = Run(plan(emit("e", {"type": "made", "id": "own", "source": "/own"})))
        assert run.output["id"] == "own"
        assert [c.event for c in run.commands if isinstance(c, Emit)] == [run.output]

    def test_emitting_waits_for_nothing(self) -> None:
        """The command is not open: nobody answers it."""
        assert Run(plan(emit("e", {"type": "made"}), act("a"))).acting == ["a"]

    @pytest.mark.parametrize("type_", [None, "", 5])
    def test_the_type_must_be_text(self, type_: object) -> None:
        """CloudEvents require it; a dynamic one may have given anything."""
        assert word_of(Run(plan(emit("e", {"type": type_}))).failure) == "expression"

    def test_each_iteration_emits_an_event_of_its_own(self) -> None:
        """Two events with one id would be taken for doubles."""
        again = switch("s", (program(lambda d, v: d["id"] == "run-1-2"), 0))
        run = Run(plan(emit("e", {"type": "made"}), again))
        assert len({c.event["id"] for c in run.commands if isinstance(c, Emit)}) == 2


def test_programs_get_only_what_they_read() -> None:
    """A program that names no variable is run without any, which is what makes small ones fast."""
    seen: list[dict[str, object]] = []

    def look(data: object, variables: dict[str, object], now_ms: int) -> None:
        seen.append(dict(variables))

    Run(plan(put("a", Program(look)), put("b", Program(look, ("input", "nothing")))), 1)  # type: ignore[arg-type]
    assert seen == [{}, {"input": None, "nothing": None}]
    assert Run(plan(put("a", variable("context"))), 4).output == 4
