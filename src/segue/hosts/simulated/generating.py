"""Random plans: every kind of task, every common key, small programs that are pure and total.

A swarm-style `Taste` is drawn first: each plan uses only some kinds of tasks and some habits, and those a lot.
Plans where everything is a little likely find less than plans that are one-sided.

Programs make numbers from whatever they see (`mixed`), so data stays small however often it goes round. A backward
jump always passes an act, so no plan goes round for ever within one event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from zlib import crc32

import msgspec

from segue.core.plan import ActNode, Correlation, Flow, Node, Plan, Program, Schedule, Strategy
from segue.hosts.simulated import building as b
from segue.types import ERROR_BASE, fail

HANDLERS: Final = ("read", "keyed", "lookup", "manual", "model")
"""Kinds of handlers: two that repeat, one that is looked up, one that a person is asked about, one that talks."""

TYPES: Final = ("order.made", "order.paid", "note", "stop")
"""Types of the events that plans emit and listen for."""

_KINDS: Final = (
    "act",
    "put",
    "switch",
    "throw",
    "emit",
    "wait",
    "do",
    "loop",
    "fork",
    "attempt",
    "listen",
    "function",
    "extended",
    "child",
)
LATER_KINDS: Final = ("human",)
"""Kinds that a taste does not draw: the first worlds had none of them."""

_COMPOSITE: Final = frozenset({"do", "loop", "fork", "attempt", "listen", "function", "extended"})
_HABITS: Final = (
    "condition",
    "input_from",
    "output_as",
    "export_as",
    "timeout",
    "check",
    "broken",
    "directive",
    "jump_back",
    "detached",
    "keep",
)
_STYLES: Final = ("compete", "needs", "retry", "handler_list", "until", "foreach", "correlate")
"""Habits of single kinds, which come up seldom enough to be taken more often."""


@dataclass(frozen=True, slots=True)
class Taste:
    """What one plan likes: weights of kinds, and how likely each habit is."""

    kinds: Mapping[str, float]
    habits: Mapping[str, float]
    depth_max: int
    length_max: int

    @classmethod
    def drawn(cls, rng: Random) -> Taste:
        """A one-sided taste; acts are always among it."""
        kinds = {kind: rng.choice((0.0, 0.0, 1.0, 1.0, 4.0)) for kind in _KINDS} | {"act": rng.choice((3.0, 6.0))}
        kinds["attempt"] += rng.choice((0.0, 1.0, 3.0))
        habits = {habit: rng.choice((0.0, 0.0, 0.1, 0.3)) for habit in _HABITS}
        habits |= {style: rng.choice((0.0, 0.4, 0.8)) for style in _STYLES}
        # What always fails drowns everything else, so it stays rare.
        habits["broken"] *= 0.1
        habits["check"] *= 0.2
        habits["directive"] *= 0.3
        kinds["throw"] *= 0.1
        return cls(kinds, habits, rng.randint(1, 4), rng.randint(2, 6))


def random_plan(rng: Random, *, name: str = "random", below: Sequence[str] = ()) -> Plan:
    """A plan drawn from a fresh taste, which may start runs of the workflows `below`."""
    return Generator(rng, Taste.drawn(rng), below).plan(name)


def scheduled_plan(rng: Random, *, name: str) -> Plan:
    """A plan that starts by itself. What it emits nobody listens for, or it would start itself for ever."""
    generator = Generator(rng, Taste.drawn(rng))
    generator.echoing = True
    made = generator.plan(name)
    made.schedule = rng.choice(
        (
            Schedule(every_ms=rng.choice((1_000, 60_000, 3_600_000))),
            Schedule(cron=rng.choice(("* * * * *", "*/20 * * * *"))),
            Schedule(after_ms=rng.choice((1_000, 600_000))),
            Schedule(on=b.one(rng.choice(TYPES[:3]))),
            Schedule(on=b.any_of(*TYPES[:2])),
        )
    )
    return made


def human_plan(rng: Random, *, name: str, below: Sequence[str] = ()) -> Plan:
    """A plan with human tasks."""
    taste = Taste.drawn(rng)
    likes_people = Taste({**taste.kinds, "human": 4.0}, taste.habits, taste.depth_max, taste.length_max)
    return Generator(rng, likes_people, below).plan(name)


def with_undos(rng: Random, plan: Plan, *, likely: float = 0.6) -> Plan:
    """The same plan, where this share of the acts has an undo."""
    for node in plan.nodes:
        if isinstance(node, ActNode) and node.wait and node.handler != "workflow" and rng.random() < likely:
            node.undo = b.undo(b.broken() if rng.random() < 0.05 else None, handler=node.handler)
            node.undo.name, node.undo.pointer = f"undo {node.name}", f"{node.pointer}/undo"
    return Plan(plan.namespace, plan.name, plan.version, plan.digest, plan.root, plan.definition)


def mixed(salt: int, *values: Any) -> int:
    """A number below 1000 that depends on all values and nothing else."""
    return crc32(msgspec.json.encode((salt, values))) % 1000


class Generator:
    """Draws tasks of one plan."""

    def __init__(self, rng: Random, taste: Taste, below: Sequence[str] = ()) -> None:
        self.rng = rng
        self.taste = taste
        self.below = tuple(below)
        self.made = 0
        self.echoing = False

    def plan(self, name: str) -> Plan:
        """A whole plan; `name` tells it apart from others."""
        common: dict[str, Any] = {}
        if self.likes("timeout"):
            common["timeout"] = self.rng.choice((50, 500_000, 50_000_000))
        if self.likes("output_as"):
            common["output_as"] = self.number("context")
        tasks = self.tasks(0)
        if self.rng.random() < 0.6:
            # Otherwise the first failure is the end of most plans, and their later tasks are never seen.
            retry = self._retry() if self.likes("retry") else None
            guarded = b.attempt(self.name("try"), *tasks, handle=self.tasks(1), retry=retry)
            tasks = (guarded, b.do(self.name("do"), *self.tasks(0)))
        return b.plan(*tasks, name=name, **common)

    def likes(self, habit: str) -> bool:
        """Whether to do this now."""
        return self.rng.random() < self.taste.habits[habit]

    # -- programs --------------------------------------------------------------------------------

    def number(self, *reads: str) -> Program:
        """A small number made of the data and these variables, or, rarely, an expression failure."""
        salt = self.rng.randrange(1000)
        if self.likes("broken"):
            return b.program(lambda data, v: self._fails_sometimes(salt, data), *reads)
        return b.program(lambda data, v: mixed(salt, data, *(v[name] for name in reads)) % 100, *reads)

    def truth(self, *reads: str, likely: int = 2) -> Program:
        """True in `likely` of three cases."""
        salt = self.rng.randrange(1000)
        return b.program(lambda data, v: mixed(salt, data, *(v[name] for name in reads)) % 3 < likely, *reads)

    def ms(self) -> Any:
        """A duration, short or long."""
        return self.rng.choice((0, 1, 20, 300, 4_000, 60_000, 3_600_000))

    @staticmethod
    def _fails_sometimes(salt: int, data: Any) -> Any:
        value = mixed(salt, data)
        if value % 2:
            raise fail("expression", f"a program that fails on {value}")
        return value % 100

    # -- tasks -----------------------------------------------------------------------------------

    def tasks(self, depth: int) -> tuple[Node, ...]:
        """A list of tasks, perhaps empty, with directives among them."""
        longest = max(1, self.taste.length_max - depth)
        count = self.rng.randint(0, longest) if depth else self.rng.randint(2, longest + 3)
        listed = [self.task(depth) for _ in range(count)]
        for place, node in enumerate(listed):
            if self.likes("directive"):
                node.then = self._directive(place, count)
        if listed and self.likes("jump_back"):
            # The plain act before the jump makes each round wait for an answer, which decides whether to go on.
            listed.append(b.act(self.name("act"), self.number(), handler=self.rng.choice(HANDLERS)))
            listed.append(b.switch(self.name("again"), (self.truth(likely=1), 0)))
        return tuple(listed)

    def _directive(self, place: int, count: int) -> int:
        forward = place + 1 + self.rng.randrange(max(1, count - place - 1))
        return self.rng.choice((Flow.EXIT, Flow.END, forward if forward < count else Flow.CONTINUE))

    def task(self, depth: int) -> Node:
        """One task of any kind that may stand at this depth."""
        kinds = [k for k in (*_KINDS, *LATER_KINDS) if depth < self.taste.depth_max or k not in _COMPOSITE]
        # What a child emits, its parent may hear: while it handles an event, two such would never fall silent.
        has_children = bool(self.below) and not self.echoing
        weights = [self.taste.kinds.get(kind, 0.0) if kind != "child" or has_children else 0.0 for kind in kinds]
        kind = self.rng.choices(kinds, weights)[0]
        makers: dict[str, Callable[[int], Node]] = {
            "act": lambda _: self.act(),
            "put": lambda _: b.put(self.name("put"), self.number("context", "steps"), **self.common()),
            "switch": self._switch,
            "throw": self._throw,
            "emit": self._emit,
            "wait": lambda _: b.wait(self.name("wait"), self.ms(), **self.common(timed=True)),
            "do": lambda d: b.do(self.name("do"), *self.tasks(d), **self.common(timed=True)),
            "loop": self._loop,
            "fork": self._fork,
            "attempt": self._attempt,
            "listen": self._listen,
            "function": self._function,
            "extended": self._extended,
            "child": self._child,
            "human": self._human,
        }
        return makers[kind](depth + 1)

    def name(self, kind: str) -> str:
        """A name that no other task of the plan has."""
        self.made += 1
        return f"{kind}{self.made}"

    def common(self, *, timed: bool = False) -> dict[str, Any]:
        """Keys that every task may have."""
        keys: dict[str, Any] = {}
        if self.likes("condition"):
            keys["condition"] = self.truth("context")
        if self.likes("input_from"):
            keys["input_from"] = self.number("task")
        if self.likes("output_as"):
            keys["output_as"] = self.number("input")
        if self.likes("export_as"):
            keys["export_as"] = self.number("context", "output")
        if self.likes("check"):
            salt = self.rng.randrange(1000)
            place = self.rng.choice(("input_check", "output_check", "export_check"))
            keys[place] = lambda value: "it does not fit" if mixed(salt, value) % 5 == 0 else None
        if self.likes("keep"):
            keys["keep"] = True
        if timed and self.likes("timeout"):
            keys["timeout"] = self.ms()
        return keys

    def act(self) -> Node:
        """A task that acts, through a random handler."""
        reads = self.rng.sample(("context", "item", "error", "steps"), self.rng.randint(0, 2))
        keys = self.common(timed=True)
        if self.likes("check"):
            keys["result_check"] = lambda value: None if isinstance(value, int) else "not a number"
        return b.act(
            self.name("act"),
            self.number(*reads),
            handler=self.rng.choice(HANDLERS),
            wait=not self.likes("detached"),
            **keys,
        )

    def _child(self, depth: int) -> Node:
        # Rarely one that is not published.
        workflow = self.rng.choice(self.below) if self.rng.random() < 0.95 else "nowhere"
        named = {"namespace": "tests", "name": workflow, "version": "1.0.0"}
        salt = self.rng.randrange(1000)
        arguments = b.program(lambda data, v: named | {"input": mixed(salt, data) % 100})
        wait = not self.likes("detached")
        return b.act(self.name("child"), arguments, handler="workflow", wait=wait, **self.common(timed=True))

    def _human(self, depth: int) -> Node:
        rng, keys = self.rng, self.common(timed=True)
        votes = rng.choice((1, 1, 2))
        request: dict[str, Any] = {
            "outcomes": {
                name: {"title": name, "votes": votes, "comment": False, "form": False}
                for name in ("approve", "reject", "send-back")
            },
            "requester": rng.choice((None, "rita")),
            "send_back": rng.choice((None, {"people": ["rita"]})),
            "reminders_ms": rng.choice(([], [1_000, 60_000])),
            "ladder": rng.choice(([], [{"after_ms": 30_000, "to": {"roles": ["boss"]}}])),
            "deadline": rng.choice((None, {"after_ms": rng.choice((20_000, 86_400_000)), "outcome": "expired"})),
        }
        made = b.human(self.name("human"), timeout=keys.pop("timeout", None), **request)
        keys.setdefault("output_as", self.number())
        for key, value in keys.items():
            setattr(made, key, value)
        return made

    def _switch(self, depth: int) -> Node:
        choices = (Flow.CONTINUE, Flow.CONTINUE, Flow.EXIT, Flow.END)
        cases = [(self.truth(likely=1), self.rng.choice(choices)) for _ in range(self.rng.randint(1, 2))]
        return b.switch(self.name("switch"), *cases, **self.common())

    def _throw(self, depth: int) -> Node:
        word = self.rng.choice(("runtime", "validation", "own"))
        return b.throw(self.name("throw"), ERROR_BASE + word, self.rng.choice((400, 500)), **self.common())

    def _emit(self, depth: int) -> Node:
        # What a listener emits while it handles an event, nobody listens for: two such would never fall silent.
        salt, type_ = self.rng.randrange(1000), "echo" if self.echoing else self.rng.choice(TYPES[:3])
        event = b.program(lambda data, v: {"type": type_, "data": mixed(salt, data), "order": mixed(salt, data) % 3})
        keys = self.common()
        keys.setdefault("output_as", self.number())
        return b.emit(self.name("emit"), event, **keys)

    def _loop(self, depth: int) -> Node:
        items = list(range(self.rng.randint(0, 3)))
        while_ = self.truth("index", likely=2) if self.likes("condition") else None
        keys = self.common(timed=True)
        return b.loop(self.name("loop"), items, *self.tasks(depth), while_=while_, **keys)

    def _fork(self, depth: int) -> Node:
        branches = [self.task(depth) for _ in range(self.rng.randint(0, 3))]
        compete = self.likes("compete")
        needs: tuple[tuple[int, ...], ...] = ()
        if self.likes("needs"):
            needs = tuple(tuple(i for i in range(place) if self.rng.random() < 0.6) for place in range(len(branches)))
        keys = self.common(timed=True)
        # Outputs of forks nest; made into numbers, they stay small in loops.
        keys.setdefault("output_as", self.number())
        return b.fork(self.name("fork"), *branches, compete=compete, needs=needs, **keys)

    def _attempt(self, depth: int) -> Node:
        keys = self.common(timed=True)
        if self.likes("condition"):
            keys["when"] = self.truth("error")
        if self.rng.random() < 0.2:
            keys["catch_with"] = self.rng.choice(({"status": 500}, {"type": ERROR_BASE + "communication"}))
        if self.likes("retry"):
            keys["retry"] = self._retry()
        if self.likes("directive"):
            keys["catch_then"] = self.rng.choice((Flow.CONTINUE, Flow.EXIT, Flow.END))
        handle = self.tasks(depth) if self.likes("handler_list") else None
        return b.attempt(self.name("try"), *self.tasks(depth), handle=handle, **keys)

    def _retry(self) -> Any:
        policy: dict[str, Any] = {"count": self.rng.randint(0, 3), "delay": self.ms()}
        policy["backoff"] = self.rng.choice(("constant", "linear", "exponential"))
        if self.rng.random() < 0.3:
            policy |= {"jitter_from": 5, "jitter_to": 50}
        if self.rng.random() < 0.3:
            policy["attempt_duration"] = self.ms()
        if self.rng.random() < 0.2:
            policy["duration"] = self.rng.choice((100, 100_000))
        return b.retry(**policy)

    def _listen(self, depth: int) -> Node:
        foreach = None
        if self.likes("foreach"):
            output_as = self.number("item") if self.likes("output_as") else None
            was_echoing, self.echoing = self.echoing, True
            foreach = b.each(*self.tasks(depth), output_as=output_as)
            self.echoing = was_echoing
        keys = self.common(timed=True)
        keys.setdefault("output_as", self.number())
        return b.listen(self.name("listen"), self._strategy(), foreach=foreach, **keys)

    def _strategy(self) -> Strategy:
        types = self.rng.sample(TYPES[:3], self.rng.randint(1, 2))
        mode = self.rng.choice(("one", "all", "any"))
        correlate: tuple[Correlation, ...] = ()
        if self.likes("correlate"):
            correlate = (Correlation("order", b.program(lambda event, v: event.get("order"))),)
        if mode == "one":
            return b.one(types[0], correlate=correlate)
        filters = tuple(b.event_filter(type_, correlate=correlate) for type_ in types)
        if mode == "any" and self.likes("until"):
            size = self.rng.randint(1, 3)
            until = self.rng.choice((b.program(lambda events, v: len(events) >= size), b.one("stop")))
            return Strategy("any", filters, until)
        return Strategy("all" if mode == "all" else "any", filters)

    def _function(self, depth: int) -> Node:
        arguments = self.number("context") if self.rng.random() < 0.5 else None
        return b.function(self.name("function"), self.task(depth), arguments, **self.common(timed=True))

    def _extended(self, depth: int) -> Node:
        when = self.truth() if self.likes("condition") else None
        before, after = self.tasks(depth), self.tasks(depth)
        return b.extended(self.task(depth), before=before, after=after, when=when)
