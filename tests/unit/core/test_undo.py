"""Undo: what completed is taken back in reverse, where a `try` catches and where a run does not end well."""

from __future__ import annotations

from typing import Any

from segue.core import advance, replay, snapshot
from segue.core.machines.undo import was_undone_since
from segue.hosts.simulated.auditor import same_state
from segue.types import AwaitMessages, FailureReleased, RunStarted, TaskRestarted, TaskSkipped

from .plans import (
    Run,
    act,
    attempt,
    broken,
    do,
    fork,
    listen,
    loop,
    one,
    plan,
    program,
    put,
    retry,
    throw,
    undo,
    wait,
)


class Undoing(Run):
    """A run, with words for what is being undone."""

    flags: tuple[str, ...] = ()
    cut_off: str
    """The name of an undo that was under way when something cut it off."""

    def feed(self, event: Any) -> Undoing:
        if isinstance(event, RunStarted):
            event = RunStarted(event.at, event.run_id, event.definition, event.input, event.seed, {}, self.flags)
        super().feed(event)
        return self

    def live(self, name: str) -> int:
        return next(number for number, frame in self.state.frames.items() if frame.node.name == name)

    @property
    def effects(self) -> dict[str, str]:
        return {p.name: p.effect for p in self.performs}


class Holding(Undoing):
    """The same where failures are held."""

    flags = ("hold",)


class Alone(Undoing):
    """The same where nobody can come."""

    flags = ("unattended",)


class Finishing(Undoing):
    """The same where an undoing that was cut off is finished."""

    flags = ("finishes", "finishes-all")


def pair(**more: Any) -> Any:
    return plan(act("a", undo=undo()), act("b", undo=undo()), act("c", **more))


def test_a_run_that_faults_takes_back_what_it_did_in_reverse() -> None:
    """The last thing done may stand on the first one."""
    run = Undoing(pair()).ok("a", "A").ok("b", "B").fails("c")
    assert run.acting == ["undo b"]
    assert run.performs[0].arguments == "B"
    assert run.state.ended is None
    run.ok("undo b")
    assert run.acting == ["undo a"]
    run.ok("undo a")
    assert run.failure.instance == "/do/2/c"
    assert run.acted == ["a", "b", "c", "undo b", "undo a"]


def test_a_run_that_completes_takes_nothing_back() -> None:
    """Undo is for work that came to nothing."""
    run = Undoing(pair()).ok("a").ok("b").ok("c", 3)
    assert run.output == 3
    assert run.acted == ["a", "b", "c"]


def test_a_cancelled_run_takes_back_what_it_did_and_nothing_else() -> None:
    """What is under way is cancelled; nobody knows whether it happened, so it is not undone."""
    run = Undoing(pair()).ok("a").cancel()
    assert run.acting == ["undo a"]
    run.ok("undo a")
    assert run.state.ended == "cancelled"


def test_cancelling_a_paused_run_does_not_wait_for_its_resume() -> None:
    """Whoever cancels it wants it gone."""
    run = Undoing(pair()).ok("a").pause().ok("b").cancel()
    assert run.acting == ["undo b"]


def test_cancelling_twice_does_not_leave_anything_standing() -> None:
    """The second one finds the run on its way out."""
    run = Undoing(pair()).ok("a").cancel().cancel()
    assert run.acting == ["undo a"]


def test_a_paused_run_undoes_nothing_until_it_goes_on() -> None:
    """An undo is an act like any other."""
    run = Undoing(pair()).ok("a").ok("b").pause().fails("c")
    assert run.acting == []
    assert run.resume().acting == ["undo b"]


def test_a_try_that_catches_takes_back_its_list_before_its_handler() -> None:
    """The handler finds things as they were before the list."""
    caught = attempt("t", act("b", undo=undo()), act("c"), handle=(act("h"),))
    run = Undoing(plan(act("a", undo=undo()), caught)).ok("a").ok("b").fails("c")
    assert run.acting == ["undo b"]
    run.ok("undo b")
    assert run.acting == ["h"]
    run.ok("h", "handled")
    assert run.output == "handled"


def test_a_swallowed_failure_takes_back_its_list_too() -> None:
    """A list is done as a whole, or not at all."""
    run = Undoing(plan(attempt("t", act("a", undo=undo()), act("b")))).ok("a").fails("b").ok("undo a")
    assert run.output is None


def test_what_a_try_completed_is_the_runs_to_take_back() -> None:
    """A list that went well belongs to what is around it."""
    run = Undoing(plan(attempt("t", act("a", undo=undo())), act("b"))).ok("a").fails("b")
    assert run.acting == ["undo a"]


def test_a_try_does_not_undo_what_stands_before_it() -> None:
    """Its failure is handled; the work before it goes on."""
    run = Undoing(plan(act("a", undo=undo()), attempt("t", act("b"), handle=(put("h", 1),)))).ok("a").fails("b")
    assert run.output == 1
    assert run.acted == ["a", "b"]


def test_a_failure_that_is_not_caught_is_undone_further_out() -> None:
    """Once, and in the order of all that was done there."""
    inner = attempt("t", act("b", undo=undo()), act("c"), except_when=program(lambda *_: True))
    run = Undoing(plan(attempt("o", act("a", undo=undo()), inner))).ok("a").ok("b").fails("c")
    run.ok("undo b").ok("undo a")
    assert run.output is None
    assert run.acted == ["a", "b", "c", "undo b", "undo a"]


def test_a_retried_list_undoes_nothing() -> None:
    """Its acts keep their keys, so those that happened are not done twice."""
    caught = attempt("t", act("a", undo=undo()), act("b"), retry=retry(count=1), handle=(put("h", 0),))
    run = Undoing(plan(caught)).ok("a", 1).fails("b").fire()
    assert run.acting == ["a"]
    first = run.performs[0].effect
    run.ok("a", 1).fails("b")
    assert run.acting == ["undo a"]
    run.ok("undo a")
    assert run.output == 0
    assert {p.effect for p in run.commands if getattr(p, "name", "") == "a"} == {first}
    assert run.acted.count("undo a") == 1


def test_each_iteration_is_undone_under_its_own_key() -> None:
    """Three bookings, three cancellations."""
    run = Undoing(plan(loop("l", [1, 2, 3], act("a", undo=undo())), act("b")))
    run.ok("a", 10).ok("a", 20).ok("a", 30).fails("b")
    seen = []
    while run.acting:
        seen.append((run.performs[0].arguments, run.performs[0].effect, run.performs[0].iteration))
        run.ok(run.acting[0])
    assert [s[0] for s in seen] == [30, 20, 10]
    assert [s[2] for s in seen] == [(2,), (1,), (0,)]
    assert len({s[1] for s in seen}) == 3


def test_branches_are_undone_in_reverse_of_their_answers() -> None:
    """Not in the order of the document: what came last may stand on what came first."""
    run = Undoing(plan(fork("f", act("a", undo=undo()), act("b", undo=undo())), act("c")))
    run.ok("b").ok("a").fails("c")
    run.ok("undo a").ok("undo b")
    assert run.acted[-2:] == ["undo a", "undo b"]


def test_what_undoes_is_decided_when_the_act_is_done() -> None:
    """The context may say something else by then."""
    fill = put("s", 1, export_as=program(lambda *_: {"to": "changed"}))
    run = Undoing(plan(act("a", undo=undo(program(lambda data, v: (data, v["context"]), "context"))), fill, act("b")))
    run.ok("a", "A").fails("b")
    assert run.performs[0].arguments == ("A", None)


def test_an_answer_that_fits_nothing_was_given_all_the_same() -> None:
    """The task fails, but its act happened."""
    check = act("a", undo=undo(), result_check=lambda value: "no")
    assert Undoing(plan(check)).ok("a").acting == ["undo a"]
    assert Undoing(plan(act("a", undo=undo(), output_as=broken()))).ok("a").acting == ["undo a"]


def test_an_undo_that_fails_waits_for_a_person_and_the_next_one_for_it() -> None:
    """What stands outside and should not is nobody's to ignore, whatever the run does with its failures."""
    run = Undoing(pair()).ok("a").ok("b").fails("c").fails("undo b")
    assert run.state.status == "suspended"
    assert run.acting == []
    number = run.live("undo b")
    run.feed(TaskRestarted(run.now, number, input="mended"))
    assert run.performs[0].arguments == "mended"
    run.ok("undo b").ok("undo a")
    assert run.state.ended == "faulted"


def test_an_undo_that_starts_again_is_the_same_act() -> None:
    """A system that took the first one must see no second one."""
    run = Undoing(pair()).ok("a").fails("b")
    before = run.effects["undo a"]
    run.fails("undo a").feed(TaskRestarted(run.now, run.live("undo a")))
    assert run.effects["undo a"] == before


def test_a_person_goes_past_an_undo_and_the_others_go_on() -> None:
    """Done by hand, or left standing; both are in the history."""
    run = Undoing(pair()).ok("a").ok("b").fails("c").fails("undo b")
    run.feed(TaskSkipped(run.now, run.live("undo b"), "by hand"))
    assert run.acting == ["undo a"]
    run.fails("undo a").feed(FailureReleased(run.now, run.live("undo a")))
    assert run.failure.instance == "/do/2/c"


def test_where_nobody_can_come_the_next_one_begins() -> None:
    """A document that is run by hand must end."""
    run = Alone(pair()).ok("a").ok("b").fails("c").fails("undo b").ok("undo a")
    assert run.state.ended == "faulted"
    assert run.seen("faulted") == ["c", "undo b"]


def test_an_undo_whose_arguments_cannot_be_made_waits_for_them() -> None:
    """The act happened all the same; a person can say what takes it back."""
    run = Undoing(plan(act("a", undo=undo(broken())), act("b"))).ok("a").fails("b")
    assert run.acting == []
    run.feed(TaskRestarted(run.now, run.live("undo a")))
    assert run.acting == []
    run.feed(TaskRestarted(run.now, run.live("undo a"), input={"id": 1}))
    assert run.performs[0].arguments == {"id": 1}


def test_what_was_undone_is_another_act_when_it_is_done_again() -> None:
    """Its first key would give the answer of what does not exist any more."""
    caught = attempt("t", act("a", undo=undo()), act("b"), handle=(act("h"),))
    run = Holding(plan(caught)).ok("a")
    first = replay(run.plan, run.history[:1]).open
    run.fails("b").ok("undo a").feed(TaskRestarted(run.now, run.live("t")))
    (again,) = run.performs
    assert again.name == "a"
    assert again.effect not in {getattr(c, "effect", None) for c in first.values()}
    run.ok("a").fails("b")
    assert run.acting == ["undo a"]
    assert run.effects["undo a"] not in [p.effect for p in run.commands[:-1] if getattr(p, "name", "") == "undo a"]


def test_nobody_goes_back_behind_what_was_undone() -> None:
    """The middle of the list stands on what does not exist any more; its beginning does not."""
    caught = attempt("t", act("a", undo=undo()), act("b"), handle=(act("h"),))
    run = Undoing(plan(caught)).ok("a").fails("b").ok("undo a")
    place = {node.name: node.index for node in run.plan.nodes}
    run.feed(TaskRestarted(run.now, run.live("t"), place["b"], 1))
    assert run.acting == ["h"]
    run.feed(TaskRestarted(run.now, run.live("t"), place["a"], 1))
    assert run.acting == ["a"]


def test_while_it_is_undone_a_run_is_taken_nowhere_else() -> None:
    """It has ended for everything but what it takes back."""
    run = Undoing(pair()).ok("a").ok("b").fails("c")
    before = replay(run.plan, run.history)
    place = {node.name: node.index for node in run.plan.nodes}
    for name in ("a", "b", "c", "undo b"):
        run.feed(TaskRestarted(run.now, run.live("test"), place[name], 1))
    run.feed(TaskSkipped(run.now, run.live("test"), 1))
    assert same_state(run.state, before)


def test_an_act_that_a_person_says_happened_can_be_undone() -> None:
    """They give its result, and the result says what takes it back."""
    run = Holding(pair()).ok("a").fails("b", outcome_unknown=True)
    run.feed(TaskSkipped(run.now, run.live("b"), "B", happened=True)).cancel()
    assert run.performs[0].arguments == "B"
    skipped = Holding(pair()).ok("a", "A").fails("b")
    skipped.feed(TaskSkipped(skipped.now, skipped.live("b"), "B")).cancel()
    assert skipped.performs[0].arguments == "A"


def test_a_copied_past_is_not_undone() -> None:
    """It is another run's, which undoes it itself, or has gone well."""
    run = Undoing(pair()).ok("a")
    run.feed(TaskRestarted(run.now, run.live("b"), apart=True)).ok("b").fails("c").ok("undo b")
    assert run.state.ended == "faulted"
    assert run.acted.count("undo a") == 0


def test_a_time_out_around_leaves_no_undo_behind() -> None:
    """What a cut-off `try` did not come to undo, the run undoes, under the same key."""
    caught = attempt("t", act("a", undo=undo()), act("b"), handle=(act("h"),))
    run = Undoing(plan(do("d", caught, timeout=500))).ok("a").fails("b")
    before = run.effects["undo a"]
    run.fire()
    assert run.effects == {"undo a": before}
    run.ok("undo a")
    assert run.state.ended == "faulted"


def half_undone(run: Undoing) -> Undoing:
    """An inner `try` is taking back its list when a branch beside it fails, and the list around both starts again."""
    return run.ok("a").fails("b").fails("c").fire()


def side_by_side() -> Any:
    inner = attempt("i", act("a", undo=undo()), act("b"), handle=(act("h"),))
    return plan(attempt("o", fork("f", inner, act("c")), retry=retry(count=1), handle=(put("h", 0),)))


def test_an_undoing_that_was_cut_off_is_finished_before_its_list_starts_again() -> None:
    """Else an act that is half undone outside would give its first answer, as if it stood."""
    run = half_undone(Finishing(side_by_side()))
    undone = [p.effect for p in run.performs if p.name == "undo a"]
    assert run.acting == ["undo a"]
    assert len(set(undone)) == 1
    run.ok("undo a")
    assert run.acting == ["a", "c"]
    assert run.effects["a"].endswith("^1")


def test_histories_from_before_do_not_finish_an_undoing() -> None:
    """What an earlier release recorded must lead to the same commands."""
    assert half_undone(Undoing(side_by_side())).acting == ["a", "c"]


def race() -> Any:
    loser = attempt("t", act("a", undo=undo()), act("b", undo=undo()), act("c"), handle=(act("h"),))
    return plan(act("kept", undo=undo()), fork("f", loser, act("w"), compete=True), act("last", undo=undo()))


def cut_off_by_a_winner(run: Any) -> Any:
    run.ok("kept").ok("a", "A").ok("b", "B").fails("c")
    assert run.acting == ["w", "undo b"]
    run.cut_off = run.effects["undo b"]
    run.ok("w", "W")
    assert run.acting == ["last"]
    return run


def test_an_undoing_that_a_winner_cut_off_is_finished_before_the_run_ends_well() -> None:
    """The loser's failure was caught for good: what it had begun to take back may be half gone outside."""
    run = cut_off_by_a_winner(Finishing(race()))
    run.ok("last", "L")
    assert run.acting == ["undo b"]
    assert run.effects["undo b"] == run.cut_off, "the same act, so it happens once"
    run.ok("undo b")
    assert run.acting == ["undo a"]
    assert run.performs[0].arguments == "A"
    assert run.state.ended is None
    run.ok("undo a")
    assert (run.state.ended, run.output) == ("completed", "L")
    assert "undo kept" not in run.acted
    assert "undo last" not in run.acted


def test_histories_from_before_end_well_without_finishing() -> None:
    """What an earlier release recorded must lead to the same commands."""
    assert cut_off_by_a_winner(Undoing(race())).ok("last", 1).state.ended == "completed"


def test_a_run_that_is_cancelled_while_it_finishes_takes_everything_back() -> None:
    """Whoever cancels it wants none of it to stay, and the undo under way keeps its key."""
    run = cut_off_by_a_winner(Finishing(race())).ok("last")
    run.cancel()
    assert run.acting == ["undo last"]
    run.ok("undo last")
    assert run.effects["undo b"] == run.cut_off
    run.ok("undo b").ok("undo a").ok("undo kept")
    assert run.state.ended == "cancelled"


def test_a_paused_run_finishes_when_it_goes_on() -> None:
    """A pause starts nothing, at the end of a run neither."""
    run = cut_off_by_a_winner(Finishing(race())).pause().ok("last")
    assert run.acting == []
    run.resume()
    assert run.acting == ["undo b"]


def test_a_person_goes_past_what_cannot_be_finished() -> None:
    """The run was done well, and ends so."""
    run = cut_off_by_a_winner(Finishing(race())).ok("last", "L").fails("undo b")
    assert list(run.state.held) == [run.live("undo b")]
    run.feed(FailureReleased(run.now, run.live("undo b"))).ok("undo a")
    assert (run.state.ended, run.output) == ("completed", "L")


def test_what_a_run_gives_survives_a_snapshot_while_it_finishes() -> None:
    """Its output was made before, and nothing of it may be lost in a crash."""
    run = cut_off_by_a_winner(Finishing(race())).ok("last", {"x": [1]})
    read = snapshot.restore(run.plan, snapshot.take(run.plan, run.state))
    assert read.closing == run.state.closing
    assert read.closing.output == {"x": [1]}


def test_starting_a_task_again_finishes_what_it_was_undoing() -> None:
    """A person who starts the whole over does not want what is half gone to count."""
    caught = attempt("t", act("a", undo=undo()), act("b"), handle=(act("h"),))
    run = Finishing(plan(caught)).ok("a").fails("b")
    run.feed(TaskRestarted(run.now, run.live("t")))
    assert run.acting == ["undo a"]
    run.ok("undo a")
    assert (run.acting, run.effects["a"][-2:]) == (["a"], "^1")


def test_a_raise_undoes_as_any_failure_does() -> None:
    """It is how an author says that the work came to nothing."""
    assert Holding(plan(act("a", undo=undo()), throw("r"))).ok("a").acting == ["undo a"]


def test_a_snapshot_in_the_middle_changes_nothing() -> None:
    """A run may be parked while a failed undo waits."""
    run = Undoing(pair()).ok("a", {"x": [1]}).ok("b").fails("c").fails("undo b")
    read = snapshot.restore(run.plan, snapshot.take(run.plan, run.state))
    event = TaskSkipped(run.now, run.live("undo b"), 1)
    assert list(advance(run.plan, read, event)[1]) == list(advance(run.plan, run.state, event)[1])


def test_the_limit_of_a_run_does_not_cut_its_undoing_off() -> None:
    """It has passed already."""
    run = Undoing(plan(act("a", undo=undo()), wait("w", 10_000), timeout=1_000)).ok("a").fire()
    assert run.acting == ["undo a"]
    assert run.timers == {}


def test_a_past_whose_acts_were_undone_since_is_told_from_one_that_stands() -> None:
    """Nothing may be built on it: a copy of that past would go on from what does not exist."""
    run = Undoing(pair()).ok("a").ok("b")
    then = replay(run.plan, run.history)
    run.fails("c").ok("undo b")
    assert {name: was_undone_since(entry, run.state, then) for name, entry in then.undos.items()} == {
        then_name: then_name == list(then.undos)[1] for then_name in then.undos
    }


def test_a_copied_past_brings_no_events_along() -> None:
    """What came before the copy left was another run's to take, however long that run had taken by then."""
    run = Undoing(plan(act("a"), listen("l", one("paid"))), now=1_000)
    run.now = 9_000
    run.feed(TaskRestarted(run.now, run.live("a"), apart=True)).ok("a")
    (wait_for,) = [c for c in run.commands if isinstance(c, AwaitMessages)]
    assert wait_for.since_ms == 9_000
