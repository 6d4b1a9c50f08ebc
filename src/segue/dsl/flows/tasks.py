"""Following data through the tasks of a plan.

A list is walked in order, again where a directive jumps back; what tasks export and what `$steps` holds only
grows, so the walk ends. Branches that cannot both run count as if both did.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from segue.core.plan import (
    ActNode,
    DoNode,
    EmitNode,
    ExtendedNode,
    Flow,
    ForkNode,
    ForNode,
    FunctionNode,
    HumanNode,
    ListenNode,
    Node,
    Plan,
    Program,
    SetNode,
    SwitchNode,
    TryNode,
)
from segue.dsl.flows.covers import Seen
from segue.dsl.flows.expressions import trace_shape
from segue.dsl.flows.sources import failure_of, given_of, result_of
from segue.dsl.flows.traced import (
    DEPTH_MAX,
    INPUT_SOURCE,
    ITEM,
    NOTHING,
    Origin,
    Path,
    Traced,
    join,
    made_of,
    named,
)

Returned = Callable[[ActNode, Traced], Traced]
"""`(act, arguments) -> what of them it may give back`."""

_ROUNDS_MAX = 12
"""How often a list or a loop is walked before it is given up to understand its parts one by one.

Two or three are the rule; each further one is a value that a loop nests into itself.
"""

_REMEMBERED_MAX = 8
"""Walks of one task that are remembered: loops within loops come back to the last few of them."""

_UNLABELLED: Mapping[str, Collection[Path]] = MappingProxyType({})

INPUT = Traced(frozenset({Origin(INPUT_SOURCE)}))
"""The input of the run."""


@dataclass(frozen=True, slots=True)
class _Around:
    """What a task sees of the tasks around it."""

    bound: Mapping[str, Traced] = field(default_factory=dict)
    steps: Mapping[str, Traced] = field(default_factory=dict)
    raw: Traced = INPUT
    """The raw input of the task itself, which `$task.input` is."""


@dataclass(frozen=True, slots=True)
class _Walked:
    """A walk of a task that changed nothing else: the same again gives the same output.

    A walk reads its inputs, the context, and what the acts inside it were given; what they are given with these
    inputs, it has seen itself when it comes to its end.
    """

    raw: Traced
    bound: Mapping[str, Traced]
    steps: Mapping[str, Traced]
    context: Traced
    output: Traced

    def is_of(self, raw: Traced, around: _Around, context: Traced) -> bool:
        """It began with the same."""
        return (
            self.raw == raw and self.context == context and self.bound == around.bound and self.steps == around.steps
        )


class Walk:
    """One plan. `given` holds, by the index of an acting node, what its arguments may come from; `seen`, by the
    pointer of any task, what it is given and gives. `labelled` says which places of which sources have labels.
    """

    def __init__(
        self, plan: Plan, returned: Returned, labelled: Mapping[str, Collection[Path]] = _UNLABELLED
    ) -> None:
        self.plan = plan
        self.returned = returned
        self.labelled = labelled
        self.given: dict[int, Traced] = {}
        self.seen: dict[str, Seen] = {}
        self.context = NOTHING
        self._walked: dict[int, list[_Walked]] = {}
        self.output = NOTHING

    def run(self) -> Walk:
        """Walk until nothing new is found."""
        root = self.plan.root
        turns = 0
        while True:
            before = self.context
            started = self._value(root.input_from, INPUT, _Around())
            # The context begins as the workflow's input.
            self.context = join(self.context, started)
            done = self._list(root.tasks, started, _Around())
            self.output = self._value(root.output_as, done, _Around())
            turns += 1
            self.context = _settled(self.context, turns)
            if self.context == before:
                return self

    def let_go(self) -> None:
        """It is over: what it asked, and what it remembered for itself, need not be kept with it."""
        self.returned = _over
        self._walked.clear()

    # -- programs ----------------------------------------------------------------------------------

    def _value(self, program: Program | None, data: Traced, around: _Around, **more: Traced) -> Traced:
        if program is None:
            return data
        if program.constant:
            return NOTHING
        variables = {
            "context": self.context,
            "steps": named(around.steps),
            "workflow": made_of({"input": INPUT}),
            "task": made_of({"input": around.raw, "output": more.get("output", NOTHING)}),
            **more,
            **around.bound,
        }
        return trace_shape(program.shape, data, variables)

    # -- tasks -------------------------------------------------------------------------------------

    def _task(self, node: Node, raw: Traced, around: _Around) -> Traced:
        """What a task gives. Those with others inside are walked once for the same input: nested loops come back."""
        if type(node) not in _NESTING:
            return self._walk(node, raw, around)
        walked = self._walked.setdefault(node.index, [])
        for known in walked:
            if known.is_of(raw, around, self.context):
                return known.output
        context = self.context
        output = self._walk(node, raw, around)
        if self.context == context:
            del walked[: max(0, len(walked) - _REMEMBERED_MAX + 1)]
            walked.append(_Walked(raw, around.bound, around.steps, context, output))
        return output

    def _walk(self, node: Node, raw: Traced, around: _Around) -> Traced:
        raw = _described(node, "input", raw)
        around = replace(around, raw=raw)
        data = self._value(node.input_from, raw, around)
        done = self._kinds.get(type(node), Walk._passes)(self, node, data, around)
        output = _described(node, "output", self._value(node.output_as, done, around, input=data, output=done))
        self._see(node, raw=raw, input=data, output=output)
        if node.export_as is not None:
            exported = self._value(node.export_as, output, around, input=data, output=output)
            self.context = join(self.context, exported)
        return join(output, raw) if node.condition is not None else output

    def _see(self, node: Node, **what: Traced) -> None:
        self.seen.setdefault(node.pointer, Seen()).add(**what)

    def _passes(self, node: Node, data: Traced, around: _Around) -> Traced:
        return data

    def _set(self, node: Node, data: Traced, around: _Around) -> Traced:
        assert isinstance(node, SetNode)
        return self._value(node.value, data, around, input=data)

    def _act(self, node: Node, data: Traced, around: _Around) -> Traced:
        assert isinstance(node, ActNode)
        given = self._note(node, self._signed(node, self._value(node.arguments, data, around, input=data)))
        if not node.wait:
            return data
        result = join(Traced(frozenset({Origin(node.pointer)})), self.returned(node, given))
        self._see(node, result=result)
        if node.undo is not None:
            self._note(node.undo, self._value(node.undo.arguments, result, around, input=data))
        return result

    def _human(self, node: Node, data: Traced, around: _Around) -> Traced:
        """A person may write anything into the form, and may copy what is shown."""
        assert isinstance(node, HumanNode)
        given = self._note(node, self._signed(node, self._value(node.arguments, data, around, input=data)))
        result = join(Traced(frozenset({Origin(node.pointer)})), given.derived())
        self._see(node, result=result)
        return result

    def _emit(self, node: Node, data: Traced, around: _Around) -> Traced:
        assert isinstance(node, EmitNode)
        return join(data, self._note(node, self._value(node.event, data, around, input=data)))

    def _signed(self, node: Node, given: Traced) -> Traced:
        """What a function is given; labels on the schema of its arguments hold for them, too."""
        return join(given, self._said(given_of(node)))

    def _said(self, source: str) -> Traced:
        """Values with the labels of a schema, each at its place."""
        found = NOTHING
        for path in self.labelled.get(source, ()):
            part = Traced(frozenset({Origin(source, path)}))
            for key in reversed(path[:DEPTH_MAX]):
                part = made_of({key: part})
            found = join(found, part)
        return found

    def _note(self, node: Node, given: Traced) -> Traced:
        self.given[node.index] = join(self.given.get(node.index, NOTHING), given)
        self._see(node, sent=given)
        return given

    def _do(self, node: Node, data: Traced, around: _Around) -> Traced:
        assert isinstance(node, DoNode)
        return self._list(node.tasks, data, around)

    def _for(self, node: Node, data: Traced, around: _Around) -> Traced:
        assert isinstance(node, ForNode)
        items = self._value(node.items, data, around, input=data)
        inner = replace(around, bound={**around.bound, node.each: items.any(), node.at: NOTHING})
        return self._again(lambda before: self._list(node.tasks, before, inner), data)

    def _listen(self, node: Node, data: Traced, around: _Around) -> Traced:
        assert isinstance(node, ListenNode)
        # What a schema says of its output, it says of an array of events.
        event = Traced(frozenset({Origin(node.pointer, (ITEM,))}))
        if node.foreach is None:
            return made_of({ITEM: event})
        inner = replace(around, bound={**around.bound, node.foreach.item: event, node.foreach.at: NOTHING})
        done = self._list(node.foreach.tasks, data, inner) if node.foreach.tasks else event
        output = self._value(node.foreach.output_as, done, inner, input=data, output=done)
        if node.foreach.export_as is not None:
            exported = self._value(node.foreach.export_as, output, inner, input=data, output=output)
            self.context = join(self.context, exported)
        return made_of({ITEM: output})

    def _fork(self, node: Node, data: Traced, around: _Around) -> Traced:
        assert isinstance(node, ForkNode)
        outputs: dict[str, Traced] = {}
        for _ in node.branches if node.needs else (None,):
            before = dict(outputs)
            for place, branch in enumerate(node.branches):
                needs = node.needs[place] if node.needs else ()
                needed = {node.branches[i].name: outputs.get(node.branches[i].name, NOTHING) for i in needs}
                around_branch = replace(around, steps={**around.steps, **outputs}) if needs else around
                outputs[branch.name] = self._task(branch, made_of(needed) if needs else data, around_branch)
            if outputs == before:
                break
        done = join(*outputs.values())
        return done if node.compete else made_of({ITEM: done})

    def _try(self, node: Node, data: Traced, around: _Around) -> Traced:
        assert isinstance(node, TryNode)
        done = self._list(node.tasks, data, around)
        seen = join(data, self.context, *around.steps.values(), *around.bound.values())
        caught = replace(around, bound={**around.bound, node.catch_as: self._failure(node.tasks, seen)})
        if node.catch_tasks is None:
            return join(done, data)
        return join(done, self._list(node.catch_tasks, data, caught))

    def _failure(self, tasks: tuple[Node, ...], seen: Traced) -> Traced:
        """A failure may quote what an act was given and what it was answered, and what an expression read."""
        told = seen
        pending = list(tasks)
        while pending:
            node = pending.pop()
            pending.extend(child for listed in node.children() for child in listed)
            if isinstance(node, ActNode | HumanNode | ListenNode):
                origins = frozenset({Origin(node.pointer), Origin(failure_of(node))})
                told = join(told, Traced(origins), self.given.get(node.index, NOTHING))
        words = told.derived()
        return made_of({"type": words, "title": words, "detail": words})

    def _function(self, node: Node, data: Traced, around: _Around) -> Traced:
        assert isinstance(node, FunctionNode)
        given = NOTHING if node.arguments is None else self._value(node.arguments, data, around, input=data)
        done = self._task(node.body, self._signed(node, given), around)
        return join(done, self._said(result_of(node)))

    def _extended(self, node: Node, data: Traced, around: _Around) -> Traced:
        assert isinstance(node, ExtendedNode)
        before = self._list(node.before, data, around) if node.before else data
        inner = self._task(node.inner, join(before, data) if node.when is not None else before, around)
        after = self._list(node.after, inner, around) if node.after else inner
        return join(after, inner, before) if node.before or node.when is not None else after

    _kinds: Mapping[type[Node], Callable[[Walk, Node, Traced, _Around], Traced]] = {
        SetNode: _set,
        ActNode: _act,
        HumanNode: _human,
        EmitNode: _emit,
        DoNode: _do,
        ForNode: _for,
        ListenNode: _listen,
        ForkNode: _fork,
        TryNode: _try,
        FunctionNode: _function,
        ExtendedNode: _extended,
    }

    # -- lists -------------------------------------------------------------------------------------

    def _list(self, tasks: tuple[Node, ...], raw: Traced, around: _Around) -> Traced:
        """What a list gives: the output of any task that may end it."""
        if not tasks:
            return raw
        into: list[Traced | None] = [raw, *[None] * (len(tasks) - 1)]
        steps: dict[str, Traced] = {}
        ends = NOTHING
        turns = 0
        while True:
            was = [*into, *steps.values()]
            for place, node in enumerate(tasks):
                given = into[place]
                if given is None:
                    continue
                output = self._task(node, given, replace(around, steps={**around.steps, **steps}))
                steps[node.name] = join(steps.get(node.name, NOTHING), output)
                for target in _targets(node):
                    goal = place + 1 if target == Flow.CONTINUE else int(target)
                    if 0 <= goal < len(tasks):
                        into[goal] = _settled(join(into[goal] or NOTHING, output), turns)
                    else:
                        ends = join(ends, output)
            turns += 1
            if not _jumps_back(tasks) or was == [*into, *steps.values()]:
                return ends

    def _again(self, body: Callable[[Traced], Traced], data: Traced) -> Traced:
        """A loop whose iterations feed each other."""
        reached, turns = data, 0
        while True:
            turns += 1
            following = _settled(join(reached, body(reached)), turns)
            if following == reached:
                return reached
            reached = following


def _over(node: ActNode, given: Traced) -> Traced:
    raise AssertionError("a walk that is over asks nothing")


_NESTING = frozenset({DoNode, ForNode, ListenNode, ForkNode, TryNode, FunctionNode, ExtendedNode})


def _described(node: Node, part: str, value: Traced) -> Traced:
    """The same value; where a schema of the task describes it, labels on that schema hold too."""
    definition = node.definition if isinstance(node.definition, dict) else {}
    holder = definition.get(part)
    if not isinstance(holder, dict) or "schema" not in holder:
        return value
    return join(value, Traced(frozenset({Origin(f"{node.pointer}/{part}")})))


def _settled(value: Traced, turns: int) -> Traced:
    """The value, or, when it went round too often, the little that is certain of it: all that it is made of."""
    return value if turns < _ROUNDS_MAX else value.derived()


def _targets(node: Node) -> set[int]:
    """Where the list may go on after this task."""
    found = {int(node.then)}
    inner = node.inner if isinstance(node, ExtendedNode) else node
    found.add(int(inner.then))
    if isinstance(inner, SwitchNode):
        found.update(int(case.then) for case in inner.cases)
        found.add(int(Flow.CONTINUE))
    if isinstance(inner, TryNode) and inner.catch_then is not None:
        found.add(int(inner.catch_then))
    if node.condition is not None or inner.condition is not None:
        found.add(int(Flow.CONTINUE))
    return found


def _jumps_back(tasks: tuple[Node, ...]) -> bool:
    return any(0 <= target <= node.position for node in tasks for target in _targets(node))
