"""`listen`: it consumes what its strategy names, each event once, in the order of arrival, and no more."""

from __future__ import annotations

import re
from typing import Any

import pytest

from segue.core import consumes
from segue.core.plan import Correlation, EventFilter, Flow, Matcher, Strategy
from segue.types import AwaitMessages, MessageConsumed, SecretText

from .plans import (
    Run,
    act,
    all_of,
    any_of,
    attempt,
    broken,
    constant,
    each,
    event_filter,
    fork,
    listen,
    loop,
    one,
    plan,
    program,
    put,
    switch,
    variable,
    word_of,
)


def takes(run: Run, type_: str, data: Any = None, **more: Any) -> bool:
    event = {"type": type_, "data": data, **more}
    return consumes(run.plan, run.state, MessageConsumed(run.now, event))


class TestStrategies:
    def test_one_completes_with_an_array_of_one(self) -> None:
        """Always an array, also for `one`."""
        assert Run(plan(listen("l", one("go")))).message("go", 5).output == [5]

    def test_other_events_are_left_alone(self) -> None:
        """They belong to somebody else; a host need not even record them."""
        run = Run(plan(listen("l", one("go"))))
        assert not takes(run, "other")
        assert run.message("other").state.ended is None
        assert takes(run, "go")

    def test_all_waits_for_one_of_each_in_any_order(self) -> None:
        """The output is in the order of consumption."""
        run = Run(plan(listen("l", all_of("a", "b"))))
        run.message("b", 1)
        assert not takes(run, "b")
        assert run.message("b", 2).message("a", 3).output == [1, 3]

    def test_two_equal_filters_of_all_want_two_events(self) -> None:
        """One event satisfies one filter."""
        assert Run(plan(listen("l", all_of("a", "a")))).message("a", 1).message("a", 2).output == [1, 2]

    def test_any_completes_with_the_first_match(self) -> None:
        """Without `until`."""
        assert Run(plan(listen("l", any_of("a", "b")))).message("x").message("b", 2).output == [2]

    def test_an_empty_any_takes_every_event(self) -> None:
        """And so cannot be indexed by type."""
        run = Run(plan(listen("l", any_of())))
        assert [c.types for c in run.commands if isinstance(c, AwaitMessages)] == [()]
        assert run.message("whatever", 1).output == [1]

    def test_until_condition_is_tested_after_each_event_on_the_array_so_far(self) -> None:
        """The event that satisfies it is part of the output."""
        enough = program(lambda d, v: len(d) == 3)
        run = Run(plan(listen("l", any_of("a", until=enough)))).message("a", 1).message("a", 2)
        assert run.state.ended is None
        assert run.message("a", 3).output == [1, 2, 3]

    def test_until_strategy_stops_and_its_events_are_not_in_the_output(self) -> None:
        """They are the signal, not the data."""
        run = Run(plan(listen("l", any_of("a", until=one("stop"))))).message("a", 1).message("a", 2)
        assert run.message("stop", "s").output == [1, 2]

    def test_until_all_wants_every_signal(self) -> None:
        """Consumption goes on in between."""
        run = (
            Run(plan(listen("l", any_of("a", until=all_of("s1", "s2"))))).message("s2").message("a", 1).message("s2")
        )
        assert run.message("s1").output == [1]

    def test_until_wins_where_both_match(self) -> None:
        """An empty `any` takes everything but the signal."""
        run = Run(plan(listen("l", any_of(until=one("stop"))))).message("x", 1)
        assert run.message("stop", 2).output == [1]

    def test_a_broken_until_faults_the_listener(self) -> None:
        """And takes its wait back."""
        run = Run(plan(attempt("t", listen("l", any_of("a", until=broken()))), act("z"))).message("a")
        assert run.waits == []
        assert run.acting == ["z"]

    @pytest.mark.parametrize(
        ("strategy", "types"),
        [
            (one("a.b"), ("a.b",)),
            (any_of("b", "a"), ("a", "b")),
            (any_of("a", until=one("stop")), ("a", "stop")),
            (any_of(until=one("stop")), ()),
            (any_of("a", until=any_of()), ()),
            (one("a.*"), ()),
            (Strategy("one", (EventFilter((Matcher("source", "x"),)),)), ()),
        ],
    )
    def test_the_types_are_a_hint_that_leaves_nothing_out(self, strategy: Strategy, types: tuple[str, ...]) -> None:
        """A host that indexes by type must not miss an event that the strategy would take."""
        assert strategy.types == types


class TestReading:
    @pytest.mark.parametrize(
        ("read", "expected"),
        [
            ("data", {"x": 1}),
            ("raw", '{"x":1}'),
            ("envelope", {"specversion": "1.0", "id": "1", "source": "/test", "type": "go", "data": {"x": 1}}),
        ],
    )
    def test_what_is_read_of_an_event(self, read: str, expected: object) -> None:
        """`data` is the default."""
        assert Run(plan(listen("l", one("go"), read=read))).message("go", {"x": 1}).output == [expected]

    def test_raw_text_and_binary_stay_as_they_came(self) -> None:
        """Undecoded."""
        assert Run(plan(listen("l", one("go"), read="raw"))).message("go", "text").output == ["text"]
        assert Run(plan(listen("l", one("go"), read="raw"))).message("go", data_base64="AA==").output == ["AA=="]


class TestMatching:
    def filtered(self, *matchers: Matcher) -> Run:
        return Run(plan(listen("l", Strategy("one", (EventFilter(matchers),)))), "in")

    def test_every_attribute_must_match(self) -> None:
        """Equal values; extension attributes are attributes."""
        run = Run(plan(listen("l", Strategy("one", (event_filter("go", tenant="x"),)))))
        assert takes(run, "go", tenant="x")
        assert not takes(run, "go", tenant="y")
        assert not takes(run, "go")

    def test_true_is_not_one(self) -> None:
        """Python says they are equal; JSON does not."""
        assert not takes(self.filtered(Matcher("n", 1)), "go", n=True)

    def test_a_text_may_be_a_pattern_that_matches_in_full(self) -> None:
        """Ruling R21: equality, else a full match."""
        run = self.filtered(Matcher("type", "com[.].*", re.compile("com[.].*").fullmatch))
        assert takes(run, "com.x")
        assert not takes(run, "a.com.x")
        assert takes(run, "com[.].*")

    def test_an_expression_on_data_sees_the_data(self) -> None:
        """On another attribute it sees the event."""
        run = self.filtered(Matcher("data", program=program(lambda d, v: d["x"] > 1)))
        assert takes(run, "go", {"x": 2})
        assert not takes(run, "go", {"x": 1})
        run = self.filtered(Matcher("subject", program=program(lambda d, v: d["type"] == "go")))
        assert takes(run, "go")

    def test_an_event_that_a_filter_cannot_read_does_not_match(self) -> None:
        """A stranger's odd event must not fault a run."""
        run = self.filtered(Matcher("data", program=broken()))
        assert run.message("go").state.ended is None


def correlated(*, expect: Any = None, key: str = "order") -> Strategy:
    made = None if expect is None else expect
    return one("go", correlate=(Correlation(key, program(lambda d, v: d.get("order")), made),))


class TestCorrelation:
    def test_expect_is_compared_with_what_the_event_says(self) -> None:
        """It may be an expression over the task's input."""
        strategy = correlated(expect=program(lambda d, v: d["id"]))
        run = Run(plan(listen("l", strategy)), {"id": 7})
        assert not takes(run, "go", {}, order=8)
        assert run.message("go", "x", order=7).output == ["x"]

    def test_without_expect_the_first_value_becomes_the_expectation(self) -> None:
        """For every later filter of the run with the same key."""
        run = Run(plan(listen("l", correlated()), listen("m", correlated()))).message("go", 1, order=7)
        assert not takes(run, "go", order=8)
        assert run.message("go", 2, order=7).output == [2]

    def test_an_event_without_the_value_does_not_match(self) -> None:
        """Null ties nothing to anything."""
        assert not takes(Run(plan(listen("l", correlated()))), "go", {})

    def test_paths_may_start_at_the_data(self) -> None:
        """Documents write both; the envelope is tried first."""
        assert takes(Run(plan(listen("l", correlated()))), "go", {"order": 1})

    def test_a_secret_never_correlates(self) -> None:
        """A comparison would answer questions about its value."""
        run = Run(plan(listen("l", correlated(expect=constant(SecretText.of("s"))))))
        assert not takes(run, "go", order="s")

    def test_a_key_ties_the_filters_of_one_strategy(self) -> None:
        """Both events must speak of the same order."""
        both = Strategy(
            "all",
            tuple(
                EventFilter(f.filters[0].matchers, correlated().filters[0].correlations) for f in (one("a"), one("b"))
            ),
        )
        run = Run(plan(listen("l", both))).message("a", 1, order=7)
        assert not takes(run, "b", order=8)
        assert run.message("b", 2, order=7).output == [1, 2]

    def test_a_completed_correlation_is_told_with_its_keys(self) -> None:
        """The lifecycle events carry them."""
        run = Run(plan(listen("l", correlated()))).message("go", 1, order=7)
        told = {m.what: m.data for m in run.trace if m.what.startswith("correlation")}
        assert told == {"correlation-started": None, "correlation-completed": {"order": 7}}


class TestSeveralListeners:
    def test_each_wait_takes_a_shared_event_once(self) -> None:
        """Branches that listen for the same event all get it."""
        run = Run(plan(fork("f", listen("l", one("go")), listen("m", one("go"))))).message("go", 1)
        assert run.output == [[1], [1]]

    def test_a_wait_that_opens_because_of_an_event_does_not_take_that_event(self) -> None:
        """Otherwise one click would confirm twice."""
        run = Run(plan(listen("l", one("go")), listen("m", one("go")))).message("go", 1)
        assert len(run.waits) == 1
        assert run.message("go", 2).output == [2]

    def test_a_listener_that_an_event_closed_does_not_take_it_too(self) -> None:
        """The winner of a competition cancels the others within the same event."""
        run = Run(plan(fork("f", listen("l", one("go")), listen("m", one("go")), compete=True), act("z")))
        run.message("go", 1)
        assert [p.arguments for p in run.performs] == [[1]]
        assert len(run.cancelled) == 2

    def test_an_event_may_be_offered_to_some_waits_only(self) -> None:
        """A host that delivers early events names the wait that has not seen them."""
        run = Run(plan(fork("f", listen("l", one("go")), listen("m", one("go")))))
        second = run.waits[1]
        run.message("go", 1, ids=(second,))
        assert second not in run.waits
        assert len(run.waits) == 1

    def test_a_fault_in_one_keeps_the_others_from_taking_it(self) -> None:
        """The first one's failure faults the fork around both."""
        bad = listen("l", any_of("go", until=broken()))
        run = Run(plan(attempt("t", fork("f", bad, listen("m", one("go")))), act("z"))).message("go", 1)
        assert run.acting == ["z"]
        assert run.waits == []


class TestForeach:
    def test_events_are_handled_one_at_a_time_in_order(self) -> None:
        """Later ones queue."""
        handle = each(act("a", program(lambda d, v: [v["item"], v["index"]], "item", "index")))
        run = Run(plan(listen("l", all_of("x", "y", "z"), foreach=handle))).message("y", 1).message("z", 2)
        assert [p.arguments for p in run.performs] == [[1, 0]]
        run.message("x", 3).ok("a", "A")
        assert [p.arguments for p in run.performs] == [[2, 1]]
        run.ok("a", "B")
        assert run.state.ended is None
        assert run.ok("a", "C").output == ["A", "B", "C"]

    def test_every_iteration_starts_from_the_tasks_input(self) -> None:
        """Events do not feed each other as iterations of `for` do."""
        handle = each(put("p", program(lambda d, v: [d, v["item"]], "item")))
        run = Run(plan(listen("l", all_of("x", "y"), foreach=handle)), "in").message("x", 1).message("y", 2)
        assert run.output == [["in", 1], ["in", 2]]

    def test_until_looks_at_every_event_consumed_so_far(self) -> None:
        """Also at the one being handled just now."""
        enough = program(lambda d, v: len(d) == 3)
        run = Run(plan(listen("l", any_of("x", until=enough), foreach=each(act("a")))))
        run.message("x", 1).message("x", 2)
        assert len(run.waits) == 1
        run.message("x", 3)
        assert run.waits == []
        assert run.ok("a", 1).ok("a", 2).ok("a", 3).output == [1, 2, 3]

    def test_its_output_and_export_apply_to_each_iteration(self) -> None:
        """The items of the output are the transformed ones."""
        handle = each(
            put("p", variable("item")),
            output_as=program(lambda d, v: d * 10),
            export_as=program(lambda d, v: [*v["context"], d], "context"),
        )
        task = listen("l", all_of("x", "y"), foreach=handle)
        run = Run(plan(task, put("see", program(lambda d, v: [d, v["context"]], "context"))), [])
        assert run.message("x", 1).message("y", 2).output == [[10, 20], [10, 20]]

    @pytest.mark.parametrize("where", ["output_check", "export_check"])
    def test_its_checks_fault_the_listener(self, where: str) -> None:
        """And the wait is taken back, in the same turn."""
        handle = each(put("p", 1), **{where: lambda value: "no"})
        run = Run(plan(listen("l", all_of("x", "y"), foreach=handle)), "old").message("x")
        assert word_of(run.failure) == "validation"
        assert len(run.cancelled) == 1

    @pytest.mark.parametrize("where", ["output_as", "export_as"])
    def test_its_broken_transforms_fault_the_listener(self, where: str) -> None:
        """With and without tasks in the iteration."""
        for tasks in ((put("p", 1),), ()):
            run = Run(plan(listen("l", all_of("x", "y"), foreach=each(*tasks, **{where: broken()})))).message("x")
            assert word_of(run.failure) == "expression"

    def test_an_iteration_without_tasks_gives_the_item(self) -> None:
        """So that `foreach.output` alone can transform."""
        handle = each(output_as=program(lambda d, v: d + 1))
        assert Run(plan(listen("l", all_of("x", "y"), foreach=handle))).message("y", 1).message("x", 2).output == [
            2,
            3,
        ]

    def test_exit_means_next_event(self) -> None:
        """As in a loop."""
        handle = each(put("p", variable("item"), then=Flow.EXIT), act("never"))
        assert Run(plan(listen("l", all_of("x", "y"), foreach=handle))).message("x", 1).message("y", 2).output == [
            1,
            2,
        ]

    def test_a_failure_in_an_iteration_faults_the_listener(self) -> None:
        """What is queued is dropped with it."""
        run = Run(plan(attempt("t", listen("l", all_of("x", "y"), foreach=each(act("a")))), act("z")))
        run.message("x").message("y").fails("a")
        assert run.acting == ["z"]
        assert run.waits == []

    def test_a_time_out_drops_the_queue_and_the_iteration(self) -> None:
        """Everything inside the task."""
        run = Run(plan(attempt("t", listen("l", any_of("x", until=one("s")), foreach=each(act("a")), timeout=9))))
        run.message("x", 1).message("x", 2).fire()
        assert run.output is None
        assert len(run.cancelled) == 2

    def test_iterations_have_places_and_variables_of_their_own(self) -> None:
        """Inside a loop, the event's index comes after the loop's."""
        handle = each(act("a", variable("event")), item="event")
        run = Run(plan(loop("l", [1, 2], listen("m", one("x"), foreach=handle)))).message("x", "e")
        assert [(p.iteration, p.arguments) for p in run.performs] == [((0, 0), "e")]
        run.ok("a").message("x", "e2")
        assert run.performs[0].iteration == (1, 0)

    def test_a_pause_queues_what_arrives(self) -> None:
        """Nothing starts, nothing is lost, and the order stays."""
        run = Run(plan(listen("l", all_of("x", "y"), foreach=each(act("a", variable("item")))))).pause()
        run.message("y", 1).message("x", 2)
        assert run.acting == []
        run.resume()
        assert [p.arguments for p in run.performs] == [1]
        run.ok("a", "A")
        assert [p.arguments for p in run.performs] == [2]


def test_a_backward_jump_opens_a_fresh_wait() -> None:
    """Each visit consumes its own event."""
    again = switch("again", (program(lambda d, v: d != ["stop"]), 0))
    run = Run(plan(listen("l", one("go")), again)).message("go", 1).message("go", 2)
    assert run.state.ended is None
    assert run.message("go", "stop").output == ["stop"]


def test_early_events_are_wanted_from_the_start_of_the_run() -> None:
    """Ruling R22: events that arrived before the wait opened are offered to it."""
    run = Run(plan(act("a"), listen("l", one("go"))))
    run.now = 9_000
    run.ok("a")
    assert [c.since_ms for c in run.commands if isinstance(c, AwaitMessages)] == [1_000]
