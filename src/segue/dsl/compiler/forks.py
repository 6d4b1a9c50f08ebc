"""`fork`: branches, what they need of each other, and what they may not do side by side.

Source: Open Workflow DSL 1.0.x, "Fork"; ruling R18; the addition `needs`.
"""

from __future__ import annotations

from typing import Any

from segue.core.plan import ForkNode, Node
from segue.dsl.compiler.build import Build, CompileKind, Scope, TaskList, as_list, as_object, below
from segue.dsl.compiler.flow import Entry, children_of, entries_of
from segue.dsl.compiler.tasks import compile_task


def _fork(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    fork = as_object(task["fork"])
    at = below(pointer, "fork", "branches")
    entries = entries_of(build, fork.get("branches"), at)
    needs = _needs(build, entries)
    order = {entry.name: place for place, entry in enumerate(entries)}
    tasks = TaskList(order, is_sequence=False, needs=[_closure(place, needs) for place in range(len(entries))])
    branches = tasks.close(
        tuple(compile_task(build, entry, scope.within(tasks, place), "branch") for place, entry in enumerate(entries))
    )
    competes = fork.get("compete") is True
    if competes:
        _refuse_needs(build, entries, needs)
    else:
        _lint_exports(build, entries)
    return ForkNode(
        branches=branches,
        compete=competes,
        needs=tuple(tuple(sorted(found)) for found in needs) if any(needs) else (),
        **common,
    )


def _needs(build: Build, entries: list[Entry]) -> list[set[int]]:
    """Which branches each branch waits for; what closes a circle is reported and left out."""
    order = {entry.name: place for place, entry in enumerate(entries)}
    found: list[set[int]] = [set() for _ in entries]
    for place, entry in enumerate(entries):
        for number, name in enumerate(as_list(entry.task.get("needs"))):
            at = below(entry.pointer, "needs", number)
            target = order.get(name) if isinstance(name, str) else None
            if target is None:
                message = f"there is no branch {name!r} in this fork"
                build.error("unknown-need", at, message, f"its branches: {', '.join(order)}")
            elif target == place or place in _closure(target, found):
                message = f"{entry.name!r} and {name!r} wait for each other, so neither would ever start"
                build.error("circular-needs", at, message, "remove one of the needs of this circle")
            else:
                found[place].add(target)
    return found


def _closure(place: int, needs: list[set[int]]) -> set[int]:
    """All branches that are done when this one starts."""
    found: set[int] = set()
    pending = list(needs[place])
    while pending:
        other = pending.pop()
        if other not in found:
            found.add(other)
            pending.extend(needs[other])
    return found


def _refuse_needs(build: Build, entries: list[Entry], needs: list[set[int]]) -> None:
    for entry, found in zip(entries, needs, strict=True):
        if found:
            message = "competing branches cannot need each other: the first one done cancels the rest"
            build.error("needs-with-compete", below(entry.pointer, "needs"), message, "remove `compete` or `needs`")


def _lint_exports(build: Build, entries: list[Entry]) -> None:
    """Two branches that export overwrite each other's context (ruling R18)."""
    exporting = [pointer for entry in entries if (pointer := _first_export(entry.task, entry.pointer))]
    for pointer in exporting[1:]:
        message = "another branch of this fork exports too; the later one would replace the earlier one's context"
        remedy = "export after the fork, from its output, which holds every branch's result"
        build.error("two-branches-export", pointer, message, remedy, key=True)


def _first_export(task: dict[str, Any], pointer: str) -> str:
    if "export" in task:
        return below(pointer, "export")
    if "export" in as_object(task.get("foreach")):
        return below(pointer, "foreach", "export")
    found = (_first_export(child, at) for _, at, child in children_of(task, pointer))
    return next(filter(None, found), "")


KINDS: dict[str, CompileKind] = {"fork": _fork}
