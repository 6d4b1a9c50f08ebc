"""Tasks: from the document's objects to the plan's nodes, extensions woven in.

One function for each kind. Forks, calls and processes stand in `forks.py`, `calls.py` and `runs.py`.
"""

from __future__ import annotations

from typing import Any

from segue.core.plan import (
    Case,
    DoNode,
    EmitNode,
    ExtendedNode,
    Flow,
    ForNode,
    Iterator,
    ListenNode,
    Node,
    RaiseNode,
    Retry,
    SetNode,
    SwitchNode,
    TryNode,
    WaitNode,
)
from segue.dsl.compiler.build import (
    CONDITION,
    DEFINITION,
    DEPTH_MAX,
    EXPORT_AS,
    LANGUAGE,
    OUTPUT_AS,
    Build,
    CompileKind,
    Scope,
    TaskList,
    as_list,
    as_object,
    below,
)
from segue.dsl.compiler.common import common_arguments, duration, is_uri, portable, schema, unknown_component
from segue.dsl.compiler.events import strategy
from segue.dsl.compiler.flow import (
    Entry,
    edges_of,
    entries_of,
    kind_of,
    lint_flow,
    target_of,
    task_list,
)
from segue.dsl.compiler.programs import NOTHING, combine, expression, template, transform
from segue.dsl.expressions import is_wrapped
from segue.types import canonical_type

_COMPOSITE = frozenset({"do", "fork"})


def compile_list(build: Build, value: Any, pointer: str, scope: Scope, section: str) -> tuple[Node, ...]:
    """Compile a list of tasks."""
    return compile_known_list(build, value, pointer, scope, section)[0]


def compile_known_list(
    build: Build, value: Any, pointer: str, scope: Scope, section: str
) -> tuple[tuple[Node, ...], TaskList]:
    """Compile a list of tasks; also give what can be read of it by name."""
    entries = entries_of(build, value, pointer)
    edges = edges_of(entries, {entry.name: place for place, entry in enumerate(entries)})
    tasks = task_list(entries, edges)
    lint_flow(build, entries, edges)
    nodes = [compile_task(build, entry, scope.within(tasks, place), section) for place, entry in enumerate(entries)]
    return tasks.close(tuple(nodes)), tasks


def compile_task(build: Build, entry: Entry, scope: Scope, section: str) -> Node:
    """Compile one task that stands at `scope.around[0]`."""
    build.count()
    kind = kind_of(entry.task)
    if scope.depth > DEPTH_MAX:
        message = f"tasks and calls of functions are nested more than {DEPTH_MAX} deep here"
        build.error("tasks-too-deep", entry.pointer, message, "split the workflow, or call another one with `run`")
        return SetNode(value=NOTHING, name=entry.name, pointer=build.prefix + entry.pointer, section=section)
    wrappers = _extensions(build, kind, scope)
    common = common_arguments(build, entry.name, entry.task, entry.pointer, scope, section)
    common["then"] = _then(build, entry, scope, section)
    # A wrapped task leaves its place to the wrapper: its condition, so that a skipped task skips its extensions
    # too. Its `then` stays with it, where a case or a `catch.then` can replace it.
    around = {key: common[key] for key in ("name", "pointer", "section", "condition", "bound", "definition")}
    if wrappers:
        common |= {"section": "body", "condition": None}
    if kind is None:
        return SetNode(value=NOTHING, **common)
    node = build.kinds[kind](build, entry.task, entry.pointer, scope, common)
    for place, (extension, pointer) in reversed(list(enumerate(wrappers))):
        own = around if place == 0 else around | {"section": "body", "condition": None}
        node = _extended(build, node, extension, pointer, scope, own)
    return node


def _then(build: Build, entry: Entry, scope: Scope, section: str) -> int:
    if section == "body":
        return Flow.CONTINUE  # the body of a function is followed by what follows its call
    return target_of(build, entry.task.get("then"), below(entry.pointer, "then"), scope.around[0][0])


# -- extensions ------------------------------------------------------------------------------------


def _extensions(build: Build, kind: str | None, scope: Scope) -> list[tuple[dict[str, Any], str]]:
    """The extensions that apply to this kind of task, outermost first (ruling R29)."""
    if not scope.extends or kind is None:
        return []
    if kind not in build.extending:
        words = {kind, "all", "composite"} if kind in _COMPOSITE else {kind, "all"}
        build.extending[kind] = [(found, pointer) for word, found, pointer in build.extensions if word in words]
    return build.extending[kind]


def _extended(
    build: Build, inner: Node, extension: dict[str, Any], pointer: str, scope: Scope, around: dict[str, Any]
) -> Node:
    build.count()
    build.tally.seen.add(pointer)
    when, before, after = compile_extension(build, extension, pointer, scope)
    return ExtendedNode(inner=inner, before=before, after=after, when=when, **around)


def compile_extension(build: Build, extension: dict[str, Any], pointer: str, scope: Scope) -> Any:
    """Compile an extension's `when`, `before` and `after`. They see nothing of the task but its data."""
    inside = scope.apart()
    when = expression(build, extension.get("when"), below(pointer, "when"), inside, CONDITION)
    before, known = compile_known_list(build, extension.get("before"), below(pointer, "before"), inside, "before")
    seen = inside.within(known, len(before))
    return when, before, compile_list(build, extension.get("after"), below(pointer, "after"), seen, "after")


# -- kinds -----------------------------------------------------------------------------------------


def _set(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    return SetNode(value=template(build, task["set"], below(pointer, "set"), scope, DEFINITION), **common)


def _do(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    return DoNode(tasks=compile_list(build, task["do"], below(pointer, "do"), scope, "do"), **common)


def _wait(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    length = duration(build, task["wait"], below(pointer, "wait"), scope) or NOTHING
    return WaitNode(duration=length, **common)


def _emit(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    properties = as_object(as_object(task["emit"]).get("event")).get("with")
    at = below(pointer, "emit", "event", "with")
    return EmitNode(event=template(build, properties, at, scope, DEFINITION), **common)


def _for(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    loop, at = as_object(task["for"]), below(pointer, "for")
    each, place = variable(build, loop, "each", "item", at), variable(build, loop, "at", "index", at)
    if each == place:
        message = f"the element and its place are both called {each!r}"
        build.error("same-variable", at, message, "give `each` and `at` different names")
    inside = scope.binding(each, place, loop=True)
    source = loop.get("in")
    if isinstance(source, str):
        items = expression(build, source, below(at, "in"), scope, DEFINITION) or NOTHING
    else:
        items = template(build, source, below(at, "in"), scope, DEFINITION)
    return ForNode(
        items=items,
        tasks=compile_list(build, task.get("do"), below(pointer, "do"), inside, "do"),
        each=each,
        at=place,
        while_=expression(build, task.get("while"), below(pointer, "while"), inside, DEFINITION),
        **common,
    )


def variable(build: Build, holder: dict[str, Any], key: str, default: str, pointer: str) -> str:
    """The name of a variable that the document binds."""
    name = holder.get(key, default)
    at = below(pointer, key)
    if not isinstance(name, str) or not build.is_sound(at):
        return default
    # A document that declares no adjustable values may have called something so before there were any.
    if name in LANGUAGE and (name != "adjustable" or build.adjustable):
        message = f"${name} is a variable of the language, and could not be read any more inside"
        build.error("shadowed-variable", at, message, "choose another name")
        return default
    return name


def _switch(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    cases: list[Case] = []
    defaults = 0
    for place, item in enumerate(as_list(task["switch"])):
        for name, held in as_object(item).items():
            case, at = as_object(held), below(pointer, "switch", place, name)
            when = expression(build, case.get("when"), below(at, "when"), scope, DEFINITION)
            if "when" in case and when is None:
                when = NOTHING
            defaults += when is None
            if when is None and defaults > 1:
                message = "this switch has more than one default case"
                build.error("two-defaults", at, message, "give all cases but one a `when`", key=True)
            then = target_of(build, case.get("then"), below(at, "then"), scope.around[0][0])
            cases.append(Case(name, when, then))
    return SwitchNode(cases=tuple(cases), **common)


def _raise(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    error: Any = as_object(task["raise"]).get("error")
    at = below(pointer, "raise", "error")
    if isinstance(error, str):
        named = build.component("errors", error)
        if named is None:
            unknown_component(build, "errors", error, at)
        error, at = named, below("/use/errors", error)
    return RaiseNode(error=error_template(build, error, at, scope), **common)


def error_template(build: Build, error: Any, pointer: str, scope: Scope) -> Any:
    """Compile an error's definition; `instance` is left to the core."""
    if not isinstance(error, dict) or not build.is_sound(pointer):
        return NOTHING
    if not is_wrapped(error["type"]) and not build.is_loose:
        is_uri(build, error["type"], below(pointer, "type"))
    for key in ("type", "title", "detail"):
        portable(build, error.get(key), below(pointer, key))
    parts: dict[str, Any] = {
        key: template(build, error[key], below(pointer, key), scope, DEFINITION)
        for key in ("type", "title", "detail")
        if key in error
    }
    return combine({**parts, "status": int(error["status"])})


def _try(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    catch, at = as_object(task.get("catch")), below(pointer, "catch")
    caught = variable(build, catch, "as", "error", at)
    inside = scope.binding(caught)
    then = None
    if "then" in catch:
        then = target_of(build, catch["then"], below(at, "then"), scope.around[0][0])
    handler = None
    if "do" in catch:
        handler = compile_list(build, catch["do"], below(at, "do"), inside, "catch")
    return TryNode(
        tasks=compile_list(build, task.get("try"), below(pointer, "try"), scope, "try"),
        catch_with=_error_filter(as_object(catch.get("errors")).get("with")),
        catch_as=caught,
        when=expression(build, catch.get("when"), below(at, "when"), inside, DEFINITION),
        except_when=expression(build, catch.get("exceptWhen"), below(at, "exceptWhen"), inside, DEFINITION),
        retry=_retry(build, catch.get("retry"), below(at, "retry"), inside),
        catch_tasks=handler,
        catch_then=then,
        **common,
    )


def _error_filter(value: Any) -> dict[str, Any] | None:
    """The literal filter, in the words of the core (ruling R2)."""
    if not isinstance(value, dict):
        return None
    found = {("detail" if key == "details" else key): held for key, held in value.items()}
    if isinstance(found.get("type"), str):
        found["type"] = canonical_type(found["type"])
    return found


def _retry(build: Build, value: Any, pointer: str, scope: Scope) -> Retry | None:
    if value is None:
        return None
    if isinstance(value, str):
        named = build.component("retries", value)
        if named is None:
            unknown_component(build, "retries", value, pointer)
            return None
        value, pointer = named, below("/use/retries", value)
    return retry_policy(build, as_object(value), pointer, scope)


def retry_policy(build: Build, policy: dict[str, Any], pointer: str, scope: Scope) -> Retry:
    """Compile a retry policy; `scope` binds the error's variable."""
    build.tally.seen.add(pointer)
    jitter, limit = as_object(policy.get("jitter")), as_object(policy.get("limit"))
    attempt = as_object(limit.get("attempt"))
    count = attempt.get("count")
    within = below(pointer, "limit", "attempt")
    if "delay" not in policy and "jitter" not in policy and count is None and "duration" not in limit:
        message = "this retries at once and without an end, as fast as the machine can"
        build.warn("endless-retry", pointer, message, "give it a `delay`, or a `limit`")
    return Retry(
        when=expression(build, policy.get("when"), below(pointer, "when"), scope, DEFINITION),
        except_when=expression(build, policy.get("exceptWhen"), below(pointer, "exceptWhen"), scope, DEFINITION),
        delay=duration(build, policy.get("delay"), below(pointer, "delay"), scope),
        backoff=next(iter(as_object(policy.get("backoff"))), "constant"),  # type: ignore[arg-type]
        jitter_from=duration(build, jitter.get("from"), below(pointer, "jitter", "from"), scope),
        jitter_to=duration(build, jitter.get("to"), below(pointer, "jitter", "to"), scope),
        count=int(count) if build.is_sound(within) and count is not None else None,
        attempt_duration=duration(build, attempt.get("duration"), below(within, "duration"), scope),
        duration=duration(build, limit.get("duration"), below(pointer, "limit", "duration"), scope),
    )


def _listen(build: Build, task: dict[str, Any], pointer: str, scope: Scope, common: dict[str, Any]) -> Node:
    listen = as_object(task["listen"])
    at = below(pointer, "listen", "to")
    if scope.is_loop and as_object(listen.get("to")).get("any") == [] and "until" not in as_object(listen["to"]):
        message = "inside a loop this takes whatever event comes next, each time"
        build.warn("listen-to-anything", at, message, "add filters to `any`, or `until`")
    return ListenNode(
        to=strategy(build, listen.get("to"), at, scope),
        read=listen.get("read", "data"),
        foreach=_iterator(build, task["foreach"], below(pointer, "foreach"), scope) if "foreach" in task else None,
        **common,
    )


def _iterator(build: Build, value: Any, pointer: str, scope: Scope) -> Iterator:
    foreach = as_object(value)
    item, at = variable(build, foreach, "item", "item", pointer), variable(build, foreach, "at", "index", pointer)
    inside = scope.binding(item, at, loop=True)
    out, export = as_object(foreach.get("output")), as_object(foreach.get("export"))
    return Iterator(
        tasks=compile_list(build, foreach.get("do"), below(pointer, "do"), inside, "foreach"),
        item=item,
        at=at,
        output_as=transform(build, out.get("as"), below(pointer, "output", "as"), inside, OUTPUT_AS),
        output_check=schema(build, out.get("schema"), below(pointer, "output", "schema")),
        export_as=transform(build, export.get("as"), below(pointer, "export", "as"), inside, EXPORT_AS),
        export_check=schema(build, export.get("schema"), below(pointer, "export", "schema")),
    )


KINDS: dict[str, CompileKind] = {
    "do": _do,
    "emit": _emit,
    "for": _for,
    "listen": _listen,
    "raise": _raise,
    "set": _set,
    "switch": _switch,
    "try": _try,
    "wait": _wait,
}
