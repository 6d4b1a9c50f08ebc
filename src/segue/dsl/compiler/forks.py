"""`fork`: branches, what they need of each other, and what they may not do side by side.

Source: Open Workflow DSL 1.0.x, "Fork"; ruling R18; the addition `needs`.
"""

from __future__ import annotations

from typing import Any

from segue.core.plan import ForkNode, Node
from segue.dsl.compiler.build import Build, CompileKind, Scope, TaskList, as_list, as_object, below, listed
from segue.dsl.compiler.flow import Entry, children_of, entries_of
from segue.dsl.compiler.tasks import compile_task


def _fork(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    fork = as_object(task["fork"])
    at = below(pointer, "fork", "branches")
    entries = entries_of(build, fork.get("branches"), at)
    order = {entry.name: place for place, entry in enumerate(entries)}
    needs, done = _without_circles(build, entries, _wanted(build, entries, order))
    tasks = TaskList(order, is_sequence=False, needs=done)
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


Need = tuple[int, str]
"""Which branch is needed, and where the document says so."""


def _wanted(build: Build, entries: list[Entry], order: dict[str, int]) -> list[list[Need]]:
    """What each branch says it needs, names that lead nowhere left out."""
    found: list[list[Need]] = [[] for _ in entries]
    for place, entry in enumerate(entries):
        for number, name in enumerate(as_list(entry.task.get("needs"))):
            at = below(entry.pointer, "needs", number)
            if isinstance(name, str) and name in order:
                found[place].append((order[name], at))
            else:
                message = f"there is no branch {name!r} in this fork"
                build.error("unknown-need", at, message, f"its branches: {listed(order)}")
    return found


def _without_circles(
    build: Build, entries: list[Entry], wanted: list[list[Need]]
) -> tuple[list[set[int]], list[int]]:
    """What each branch waits for, and all branches that are done when it starts, as bits.

    A walk in depth; a need that leads back to a branch on the way closes a circle, is reported and left out.
    """
    needs: list[set[int]] = [set() for _ in entries]
    done = [0] * len(entries)
    seen: set[int] = set()
    for root in range(len(entries)):
        if root in seen:
            continue
        seen.add(root)
        way = [(root, iter(wanted[root]))]
        on_way = {root}
        while way:
            place, left = way[-1]
            for target, at in left:
                if target in on_way:
                    message = f"{entries[place].name!r} and {entries[target].name!r} wait for each other for ever"
                    build.error("circular-needs", at, message, "remove one of the needs of this circle")
                    continue
                needs[place].add(target)
                if target not in seen:
                    seen.add(target)
                    on_way.add(target)
                    way.append((target, iter(wanted[target])))
                    break
                done[place] |= done[target] | 1 << target
            else:
                way.pop()
                on_way.discard(place)
                if way:
                    done[way[-1][0]] |= done[place] | 1 << place
    return needs, done


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
