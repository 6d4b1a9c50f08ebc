"""Laws of the order of acts: limits hold, nobody waits without need, nobody is overtaken in a lane, all drains."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from segue.hosts.embedded.turns import Lane, Turns

PLACES, SCRIPTS = 7, 2
LANES = [
    Lane(handler, target, workflow) for handler in ("http", "script") for target in "abc" for workflow in ("v", "w")
]


class Traffic(RuleBasedStateMachine):
    """Acts come, go and are cancelled in any order; a simple model counts beside."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: Turns[int] = Turns(PLACES, {"script": SCRIPTS})
        self.made = 0
        self.held: dict[int, Lane] = {}
        self.waiting: dict[int, Lane] = {}

    @rule(lane=st.sampled_from(LANES))
    def come(self, lane: Lane) -> None:
        self.made += 1
        goes = self.turns.enter(self.made, lane)
        (self.held if goes else self.waiting)[self.made] = lane

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def end(self, data: Any) -> None:
        item = data.draw(st.sampled_from(sorted(self.held)))
        self.turns.leave(self.held.pop(item))
        while (following := self.turns.next()) is not None:
            lane = self.waiting.pop(following)
            assert not any(other == lane and item < following for item, other in self.waiting.items()), "overtaken"
            self.held[following] = lane

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        item = data.draw(st.sampled_from(sorted(self.waiting)))
        self.turns.drop(item, self.waiting.pop(item))

    @invariant()
    def limits_hold(self) -> None:
        assert len(self.held) <= PLACES
        assert sum(lane.handler == "script" for lane in self.held.values()) <= SCRIPTS

    @invariant()
    def counts_agree(self) -> None:
        assert self.turns.waiting == len(self.waiting)

    @invariant()
    def nobody_waits_without_need(self) -> None:
        scripts = sum(lane.handler == "script" for lane in self.held.values())
        if len(self.held) == PLACES:
            return
        busy = {lane[:2] for lane in self.held.values()}
        for lane in self.waiting.values():
            is_held_back = lane.handler == "script" and scripts == SCRIPTS
            assert is_held_back or lane[:2] in busy, "a target that holds nothing waits beside a free place"

    def teardown(self) -> None:
        while self.held:
            item = min(self.held)
            self.turns.leave(self.held.pop(item))
            while (following := self.turns.next()) is not None:
                self.held[following] = self.waiting.pop(following)
        assert not self.waiting, "something never got its turn"
        assert self.turns.waiting == 0


TestTraffic = Traffic.TestCase
