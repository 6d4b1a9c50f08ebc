"""Flow inside one list of tasks: where `then` leads, what is never reached, what never ends.

Source: Open Workflow DSL 1.0.x, "Flow directive"; ruling R8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from segue.core.plan import Flow
from segue.dsl.compiler.build import DIRECTIVES, Build, TaskList, as_list, as_object, below, listed
from segue.dsl.schema import TASK_KINDS

OUT: Final = -1
"""As a target: the list is left."""

_JUMPS_LINTED: Final = 100
"""Backward jumps of one list that are looked at: each look takes time with what it leads over."""

_LISTS: Final = (("do",), ("try",), ("catch", "do"), ("fork", "branches"), ("foreach", "do"))


@dataclass(frozen=True, slots=True)
class Entry:
    """One task of a list as written."""

    name: str
    task: dict[str, Any]
    pointer: str


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` may follow the task at `source`; `pointer` is where the document says so."""

    source: int
    target: int
    pointer: str


def entries_of(build: Build, value: Any, pointer: str) -> list[Entry]:
    """The tasks of a list, with findings about their names."""
    found: list[Entry] = []
    names: set[str] = set()
    for place, item in enumerate(as_list(value)):
        for name, task in as_object(item).items():
            entry = Entry(name, as_object(task), below(pointer, place, name))
            found.append(entry)
            if name in names:
                message = f"there is another task {name!r} in this list"
                build.error("duplicate-task-name", entry.pointer, message, "give each task its own name", key=True)
            if name in DIRECTIVES:
                message = f"a task may not be called {name!r}: as a target that word means something else"
                build.error("reserved-task-name", entry.pointer, message, "rename it", key=True)
            names.add(name)
    return found


def edges_of(entries: list[Entry], order: dict[str, int]) -> list[Edge]:
    """What may follow what, unknown targets left out."""
    found: list[Edge] = []
    for place, entry in enumerate(entries):
        for word, pointer in _directives(entry):
            target = _target(word, place, len(entries), order)
            if target is not None:
                found.append(Edge(place, target, pointer))
    return found


def task_list(entries: list[Entry], edges: list[Edge]) -> TaskList:
    """What `then` and `$steps` can name in a sequence."""
    again = [-1] * len(entries)
    for edge in edges:
        if OUT < edge.target <= edge.source:
            again[edge.target] = max(again[edge.target], edge.source)
    for place in range(1, len(again)):
        again[place] = max(again[place], again[place - 1])
    return TaskList({entry.name: place for place, entry in enumerate(entries)}, again=again)


def target_of(build: Build, word: Any, pointer: str, tasks: TaskList) -> int:
    """The directive, or the index of the named task; complains of names that lead nowhere."""
    if not isinstance(word, str):
        return Flow.CONTINUE
    if word in DIRECTIVES:
        return DIRECTIVES[word]
    if not tasks.is_sequence:
        message = f"{word!r} cannot be jumped to from here"
        build.error("unknown-then-target", pointer, message, "use `continue`, `exit` or `end`")
    elif word not in tasks.order:
        message = f"there is no task {word!r} in this list"
        remedy = f"a jump stays in its list: {listed(tasks.order)}; or use `continue`, `exit`, `end`"
        build.error("unknown-then-target", pointer, message, remedy)
    return tasks.order.get(word, Flow.CONTINUE)


def lint_flow(build: Build, entries: list[Entry], edges: list[Edge]) -> None:
    """Warn of tasks that nothing leads to, and of loops that nothing leads out of."""
    following: dict[int, list[int]] = {}
    for edge in edges:
        following.setdefault(edge.source, []).append(edge.target)
    reached, pending = {0}, [0]
    while pending:
        for target in following.get(pending.pop(), ()):
            if target != OUT and target not in reached:
                reached.add(target)
                pending.append(target)
    for place, entry in enumerate(entries):
        if place not in reached:
            message = f"task {entry.name!r} is never reached"
            build.warn("unreachable-task", entry.pointer, message, "remove it, or let a `then` lead to it", key=True)
    jumps = [edge for edge in edges if OUT < edge.target <= edge.source]
    for edge in jumps[:_JUMPS_LINTED]:
        if not _can_end(entries, following, edge):
            message = f"this jump back to {entries[edge.target].name!r} repeats for ever, without a pause"
            remedy = "add a `wait`, or a `switch` with a case that leads out"
            build.warn("endless-loop", edge.pointer, message, remedy)


def _can_end(entries: list[Entry], following: dict[int, list[int]], jump: Edge) -> bool:
    inside = range(jump.target, jump.source + 1)
    for place in inside:
        if any(target not in inside for target in following.get(place, ())):
            return True
        if any(_pauses_or_ends(task) for task in _tasks_within(entries[place].task)):
            return True
    return False


def _pauses_or_ends(task: dict[str, Any]) -> bool:
    cases = (as_object(case) for item in as_list(task.get("switch")) for case in as_object(item).values())
    ends = any(directive.get("then") == "end" for directive in (task, *cases))
    return ends or any(kind in task for kind in ("wait", "listen", "raise"))


def _tasks_within(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A task and all tasks inside it."""
    yield task
    for _, _, child in children_of(task, ""):
        yield from _tasks_within(child)


def children_of(task: dict[str, Any], pointer: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The tasks directly inside a task: name, pointer, task."""
    for keys in _LISTS:
        held: Any = task
        for key in keys:
            held = as_object(held).get(key)
        for place, item in enumerate(as_list(held)):
            for name, child in as_object(item).items():
                yield name, below(pointer, *keys, place, name), as_object(child)


def kind_of(task: dict[str, Any]) -> str | None:
    """The keyword that says what a task is; None when it has none, or several."""
    present = [kind for kind in TASK_KINDS if kind in task]
    if sorted(present) == ["do", "for"]:
        return "for"
    return present[0] if len(present) == 1 else None


def _directives(entry: Entry) -> Iterator[tuple[str, str]]:
    """Every directive that may take effect after a task, and where it stands."""
    task, pointer = entry.task, entry.pointer
    own = as_object(task).get("then") or "continue"
    if "if" in task:
        yield "continue", pointer
    if "raise" in task:
        return
    cases = [(place, name, as_object(case)) for place, item in enumerate(as_list(task.get("switch")))
             for name, case in as_object(item).items()]  # fmt: skip
    for place, name, case in cases:
        yield case.get("then") or "continue", below(pointer, "switch", place, name, "then")
    caught = as_object(task.get("catch")).get("then")
    if caught:
        yield caught, below(pointer, "catch", "then")
    if all("when" in case for _, _, case in cases):
        yield own, below(pointer, "then") if "then" in task else pointer


def _target(word: Any, place: int, count: int, order: dict[str, int]) -> int | None:
    if word == "continue":
        return place + 1 if place + 1 < count else OUT
    if word in ("exit", "end"):
        return OUT
    return order.get(word) if isinstance(word, str) else None
