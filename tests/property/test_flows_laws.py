"""Laws of following data: what really arrives in an act was foreseen before anything ran.

Every text of the input, and of each act's result, is made unique. Whatever text then turns up whole in a value must
be among the origins that the plan was said to have for it: the analysis may name too much, never too little.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.documents.driver import START_MS, Outcome, _Run, environment_of
from tests.conformance.documents.loading import Case, load_all

from segue.core import Plan
from segue.dsl import DefinitionError, compile_plan, read_document
from segue.dsl.expressions import ExpressionError, compile_expression
from segue.dsl.flows import ITEM, Cover, Labels, Origin, Traced
from segue.dsl.flows.covers import cover_of
from segue.dsl.flows.expressions import trace
from segue.dsl.flows.tasks import Walk
from segue.service.masks import masked
from segue.types import AttemptFailed, AttemptSucceeded, Event, Perform, failure

pytestmark = pytest.mark.filterwarnings("ignore:The recursion limit will not be reset")


class Canaries:
    """Makes every text of a value unique and remembers where it stood."""

    def __init__(self) -> None:
        self.places: dict[str, Origin] = {}

    def hide(self, value: Any, source: str, path: tuple[str, ...] = ()) -> Any:
        if isinstance(value, dict):
            return {key: self.hide(held, source, (*path, key)) for key, held in value.items()}
        if isinstance(value, list):
            return [self.hide(held, source, (*path, ITEM)) for held in value]
        if not isinstance(value, str):
            return value
        name = f"canary-{len(self.places):04}-"
        self.places[name] = Origin(source, path)
        return name

    def found_in(self, value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Origin]]:
        """Where in `value` one of them stands whole, and where it came from."""
        if isinstance(value, dict):
            for key, held in value.items():
                yield from self.found_in(key, (*path, key))
                yield from self.found_in(held, (*path, key))
        elif isinstance(value, list):
            for held in value:
                yield from self.found_in(held, (*path, ITEM))
        elif isinstance(value, str):
            yield from ((path, place) for name, place in self.places.items() if name in value)


def foresees(traced: Traced, path: tuple[str, ...], origin: Origin) -> bool:
    """Whether the part at `path` was said to come from there, or from something that contains it."""
    for key in path:
        traced = traced.any() if key == ITEM else traced.at(key)
    return any(_contains(known, origin) for known in traced.origins())


def _contains(known: Origin, origin: Origin) -> bool:
    same = all(a == b or ITEM in (a, b) for a, b in zip(known.path, origin.path, strict=False))
    return known.source == origin.source and len(known.path) <= len(origin.path) and same


# Programs that move data about. `#e` is any of them, `#v` one that also sees `$v`.

DATA: Any = {
    "a": {"a": "t", "b": ["t", "t"], "k": {"a": "t"}},
    "b": [{"a": "t", "b": "t"}, {"a": "t", "k": ["t"]}],
    "c": "t",
    "k": {"c": "t", "b": [["t"], ["t", "t"]]},
}
LEAVES = ["."] * 3 + [".a", ".b", ".c", ".k", ".a.b", ".b[0]", ".b[]", ".a[]", ".k.c", ".[]?", "..", '"text"', "$v"]
SHAPES = """
#e | #e
#e, #e
{a: #e, b: #e}
{(#e | tostring): #e}
{c: #e} + {k: #e}
#e + #e
[#e]
[#e, #e] | #e
"in \\(#e) a text"
@json "with \\(#e)"
if .c then #e else #e end
if . == null then #e elif #e then #e end
#e // #e
#e? // #e
try error(#e) catch #e
#e as $v | #v
#e as [$v] | #v
#e as {a: $v, b: [$w]} | [#v, $w]
#e as {$a} | $a
. as {a: $v} ?// [$v] | #v
reduce (#e, #e) as $v (#e; #v)
reduce .b[]? as $v ({}; .k = $v | .a = #v)
[foreach #e as $v (#e; #v)]
[foreach #e as $v (#e; #v; [., $v])]
map(#e)?
map_values(#e)?
[.[]? | select(#e)]
[.[]? | #e]
first(#e)
[limit(2; #e)]
last(#e)
to_entries?
with_entries(.value |= #e)?
tojson
[paths]
getpath(["a", "b"])?
[recurse(.[]?; true)] | #e
del(.a)?
.a = #e
.a |= #e
.b[0].a = #e
.k += #e
def f: #e; f
def f(g): #e | g; f(#e)
def f($x): [$x, #e]; f(#e)
label $out | #e, break $out
min_by(tostring)?
sort_by(tostring)? // #e
group_by(tostring)?
(add? // #e)
[splits("-")?, #e]
[.[]?][1:] | #e
input_line_number? // #e
walk(#e)?
keys
[.. | strings]
any(#e; .) | [., 1]
[range(2) as $i | #e]
. as $v | #v
env? // #e
""".strip().splitlines()


@st.composite
def movers(draw: st.DrawFn, depth: int, names: tuple[str, ...] = ()) -> str:
    """A program; `$v` stands only where it is bound."""
    if depth == 0:
        leaf = draw(st.sampled_from(LEAVES))
        return leaf if leaf != "$v" or names else "."
    shape = draw(st.sampled_from(SHAPES))
    pieces = re.split("#([ev])", shape)
    text = pieces[0]
    for kind, rest in zip(pieces[1::2], pieces[2::2], strict=True):
        inner = draw(movers(depth - 1, ("v",) if kind == "v" else names))
        text += f"({inner})" + rest
    return text


@settings(max_examples=1200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(program=st.one_of(movers(1), movers(2), movers(3)))
def test_what_an_expression_gives_was_foreseen(program: str) -> None:
    """A missed path is a label lost: personal data would leave as if it were public."""
    canaries = Canaries()
    data = canaries.hide(DATA, "input")
    try:
        expression = compile_expression(program, variables=())
        result = list(expression.results(data))
    except (ExpressionError, RecursionError):
        return
    traced = trace(expression.tree, Traced(frozenset({Origin("input")})), {})
    for one in result:
        for path, origin in canaries.found_in(one):
            assert foresees(traced, path, origin), f"{program} gave {one}; foreseen: {traced}"


class _Watched(_Run):
    """A run whose acts are answered with canaries, and which keeps what the acts were given."""

    def __init__(self, plan: Plan, given: dict[str, Any], canaries: Canaries) -> None:
        super().__init__(plan, given, Outcome([]))
        self.canaries = canaries
        self.sent: list[tuple[str, Any]] = []

    def _perform(self, command: Perform) -> None:
        if len(self.sent) > 80:
            return
        self.sent.append((command.pointer, command.arguments))
        if len(self.sent) % 4 == 3:
            # A failure may quote what the act was given, and what it was answered.
            told = json.dumps([command.arguments, self.canaries.hide("x", command.pointer)])
            event: Event = AttemptFailed(0, command.id, failure("communication", told))
            self._later(self.now - START_MS, "answer", event)
            return
        name = command.arguments.get("name") if command.handler == "function" else None
        step = self.stubs[name].next() if name in self.stubs else {}
        output = self.canaries.hide(step.get("returns", {"a": "x", "id": "y", "items": ["z"]}), command.pointer)
        self._later(self.now - START_MS, "answer", AttemptSucceeded(0, command.id, output))


def _judge(text: str, given: dict[str, Any]) -> int:
    """Run a document; whatever turned up anywhere must have been foreseen. Gives the number of things that did."""
    try:
        plan = compile_plan(read_document(text), environment_of(given))
    except DefinitionError:
        return 0
    canaries = Canaries()
    watched = _Watched(plan, {**given, "input": canaries.hide(given.get("input", {}), "input")}, canaries)
    watched.to_the_end()
    walk = Walk(plan, lambda node, given: given.derived()).run()
    foreseen = {plan.nodes[index].pointer: traced for index, traced in walk.given.items()}
    turned_up = 0
    arrived = [*watched.sent]
    if watched.outcome.status == "completed":
        foreseen["output"] = walk.output
        arrived.append(("output", watched.outcome.output))
    for pointer, arguments in arrived:
        for path, origin in canaries.found_in(arguments):
            turned_up += 1
            assert foresees(foreseen[pointer], path, origin), (pointer, path, origin, foreseen[pointer])
    _judge_masks(watched, walk, canaries)
    return turned_up


def _judge_masks(watched: _Watched, walk: Walk, canaries: Canaries) -> None:
    """What every task was given and gave was foreseen too; and masked, nothing of a labelled part is left in it."""
    labelled = {origin for number, origin in enumerate(canaries.places.values()) if number % 5 == 1}
    names = [name for name, origin in canaries.places.items() if origin in labelled]
    personal = Labels(frozenset({"personal"}))

    def declared(source: str) -> dict[tuple[str, ...], Labels]:
        return {origin.path: personal for origin in labelled if origin.source == source}

    covers: dict[tuple[str, str], Cover] = {}
    for moment in watched.trace:
        kind = {"started": "input", "decided": "input", "completed": "output"}.get(moment.what)
        if kind is None or moment.kind == "workflow" or moment.pointer not in walk.seen:
            continue
        traced = getattr(walk.seen[moment.pointer], kind)
        value = moment.data["saw"] if moment.what == "decided" else moment.data
        for path, origin in canaries.found_in(value):
            assert foresees(traced, path, origin), (moment.what, moment.pointer, path, origin, traced)
        place = (moment.pointer, kind)
        cover = covers[place] = covers.get(place) or cover_of(traced, declared)
        shown = json.dumps(masked(value, cover, personal.classes), default=str)
        assert not any(name in shown for name in names), (moment.what, moment.pointer, value, shown, cover)


@pytest.mark.parametrize(
    "case",
    [case for case in load_all() if not case.expect.get("refused") and "refuses" not in case.expect],
    ids=lambda case: case.name,
)
def test_what_an_act_of_a_document_is_given_was_foreseen(case: Case) -> None:
    """The same law over every document of the conformance suite."""
    _judge(case.text(), case.given)


READS = [".", ".a", ".b", ".a.a", ".b[0]", "$context", "$context.a", "$input.k", "$task.input", "$workflow.input.c"]


@st.composite
def tasks(draw: st.DrawFn, depth: int, bound: tuple[str, ...] = (), before: tuple[str, ...] = ()) -> list[Any]:
    """A list of tasks; `$v`, `$e` and earlier tasks are read where they can be."""
    reads = READS + [f"${name}" for name in bound] + [f"$steps.{name}" for name in before]
    listed: list[Any] = []
    count = draw(st.integers(1, 3))
    for place in range(count):
        name = f"t{depth}{place}"
        read = st.sampled_from(reads + [f"$steps.{next(iter(task))}" for task in listed])
        template = st.dictionaries(st.sampled_from("abck"), read.map(lambda text: f"${{ {text} }}"), min_size=1)
        kind = draw(st.sampled_from(["set", "call", "call", "do", "for", "fork", "try", "switch", "emit"]))
        inner = ("do",) if depth == 0 and kind in ("do", "for", "fork", "try") else ()
        task: dict[str, Any] = {}
        known = (*before, *(next(iter(other)) for other in listed))
        match "set" if inner else kind:
            case "set":
                task = {"set": draw(template)}
            case "call":
                task = {"call": "f", "with": draw(template)}
            case "do":
                task = {"do": draw(tasks(depth - 1, bound, known))}
            case "for":
                items = draw(st.sampled_from([".b", ".a.b", "[.a, .c]", "[$context]"]))
                task = {"for": {"each": "v", "in": f"${{ {items} }}"}, "do": draw(tasks(depth - 1, ("v",), known))}
            case "fork":
                branches = [{f"x{depth}{i}": {"do": draw(tasks(depth - 1, bound, known))}} for i in range(2)]
                task = {"fork": {"branches": branches}}
            case "try":
                catch = {"as": "e", "do": draw(tasks(depth - 1, (*bound, "e"), known))}
                task = {"try": draw(tasks(depth - 1, bound, known)), "catch": catch}
            case "switch":
                task = {
                    "switch": [
                        {"one": {"when": "${ .a != null }", "then": draw(st.sampled_from(["continue", "exit"]))}}
                    ]
                }
            case "emit":
                task = {"emit": {"event": {"with": {"source": "/x", "type": "x.y", "data": draw(template)}}}}
        if draw(st.booleans()):
            task["input"] = {"from": f"${{ {draw(read)} }}"}
        if draw(st.booleans()) and kind != "switch":
            task["output"] = {"as": draw(st.sampled_from(["${ . }", "${ {a: ., b: [$input]} }", "${ .a // . }"]))}
        if draw(st.booleans()):
            task["export"] = {
                "as": draw(st.sampled_from(["${ . }", "${ $context + {a: .} }", "${ {a: $output, b: $task.input} }"]))
            }
        if draw(st.integers(0, 3)) == 0:
            task["if"] = draw(st.sampled_from(["${ .a != null }", "${ .nothing == 1 }"]))
        if place and draw(st.integers(0, 3)) == 0 and kind != "switch":
            task["if"] = "${ $context.stop == null and ($task.input | tostring | length) < 200 }"
        listed.append({name: task})
    return listed


MANY = int(os.environ.get("SEGUE_FLOW_DOCUMENTS", "30"))
"""How many documents are made; a few thousand are a campaign."""


def test_what_an_act_is_given_was_foreseen() -> None:
    """The same law over documents made at random: tasks, loops, branches, catches, exports."""
    turned_up: list[int] = []

    @settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck), derandomize=MANY == 30)
    @given(listed=tasks(2))
    def foreseen(listed: list[Any]) -> None:
        document = {"document": {"dsl": "1.0.3", "namespace": "n", "name": "d", "version": "1.0.0"}, "do": listed}
        answer = {"returns": {"a": {"a": "t", "b": ["t"]}, "b": ["t", {"a": "t"}], "c": "t"}}
        turned_up.append(_judge(json.dumps(document), {"input": DATA, "functions": {"f": answer}}))

    foreseen()
    # Documents that move nothing would prove nothing.
    assert sum(1 for count in turned_up if count > 3) > len(turned_up) // 4
