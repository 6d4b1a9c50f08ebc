"""Plans by hand: short builders for tests and simulations, with Python functions for programs.

`plan(act("a"), fork("f", act("b"), act("c")))` is a whole plan. Builders give each task its section; `plan` gives
each its pointer. Anything a node's constructor takes can be said by keyword.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from segue.core.plan import (
    ActNode,
    Case,
    Correlation,
    DoNode,
    EmitNode,
    EventFilter,
    ExtendedNode,
    ForkNode,
    ForNode,
    FunctionNode,
    HumanNode,
    Iterator,
    ListenNode,
    Matcher,
    Node,
    Plan,
    Program,
    RaiseNode,
    Retry,
    SetNode,
    Strategy,
    SwitchNode,
    TryNode,
    UndoNode,
    WaitNode,
)
from segue.types import fail

Given = Any
"""A `Program`, or a value that becomes a constant one."""


def program(function: Callable[[Any, Mapping[str, Any]], Any], *reads: str) -> Program:
    """A program from `function(data, variables)`."""
    return Program(lambda data, variables, now_ms: function(data, variables), reads)


def constant(value: Any) -> Program:
    """A program that gives the same value always."""
    return Program(lambda data, variables, now_ms: value, constant=True)


def variable(name: str) -> Program:
    """The program `$name`."""
    return program(lambda data, variables: variables[name], name)


def broken(detail: str = "this expression always fails") -> Program:
    """A program that fails as expressions do."""

    def run(data: Any, variables: Mapping[str, Any], now_ms: int) -> Any:
        raise fail("expression", detail)

    return Program(run)


IDENTITY = program(lambda data, _: data)


def given(value: Given) -> Program:
    """`value` as a program."""
    return value if isinstance(value, Program) else constant(value)


def _optional(value: Given) -> Program | None:
    return None if value is None else given(value)


def act(name: str, arguments: Given = None, *, handler: str = "act", timeout: Given = None, **more: Any) -> ActNode:
    """A task that acts; by default its arguments are its input."""
    program_ = IDENTITY if arguments is None else given(arguments)
    made = ActNode(name=name, pointer="", handler=handler, arguments=program_, timeout=_optional(timeout), **more)
    if made.undo is not None:
        made.undo.name = f"undo {name}"
    return made


def undo(arguments: Given = None, *, handler: str = "act", **more: Any) -> UndoNode:
    """What takes an act back; by default its arguments are the act's result."""
    program_ = IDENTITY if arguments is None else given(arguments)
    return UndoNode(name="", pointer="", section="undo", handler=handler, arguments=program_, **more)


OUTCOMES: Mapping[str, Any] = {
    name: {"title": name, "votes": 1, "comment": name == "send-back", "form": name in ("approve", "edit")}
    for name in ("approve", "edit", "reject", "send-back")
}


def human(name: str, *, timeout: Given = None, fits: Any = None, **request: Any) -> HumanNode:
    """A human task for the role `approver`; the rest of its settled request is said by keyword."""
    usual = {"title": name, "data": None, "assign": {"roles": ["approver"]}, "outcomes": OUTCOMES, "authority": {}}
    clocks: dict[str, Any] = {
        "due_ms": None,
        "reminders_ms": [],
        "ladder": [],
        "deadline": None,
        "priority": "normal",
    }
    more = {} if fits is None else {"fits": fits}
    asked = constant({**usual, **clocks, **request})
    return HumanNode(name=name, pointer="", arguments=asked, timeout=_optional(timeout), **more)


def put(name: str, value: Given, **more: Any) -> SetNode:
    """A `set` task."""
    return SetNode(name=name, pointer="", value=given(value), **more)


def switch(name: str, *cases: tuple[Program | None, int], **more: Any) -> SwitchNode:
    """A `switch` of (condition, directive) pairs; the condition None is the default."""
    made = tuple(Case(f"case{place}", when, then) for place, (when, then) in enumerate(cases))
    return SwitchNode(name=name, pointer="", cases=made, **more)


def throw(name: str, type_: str = "https://example.com/errors/own", status: int = 418, **more: Any) -> RaiseNode:
    """A `raise` task."""
    fields = {key: more.pop(key) for key in ("title", "detail") if key in more}
    return RaiseNode(name=name, pointer="", error=constant({"type": type_, "status": status, **fields}), **more)


def emit(name: str, event: Given, **more: Any) -> EmitNode:
    """An `emit` task."""
    return EmitNode(name=name, pointer="", event=given(event), **more)


def wait(name: str, wait_ms: Given, *, timeout: Given = None, **more: Any) -> WaitNode:
    """A `wait` task."""
    return WaitNode(name=name, pointer="", duration=given(wait_ms), timeout=_optional(timeout), **more)


def do(name: str, *tasks: Node, timeout: Given = None, **more: Any) -> DoNode:
    """A `do` task."""
    return DoNode(name=name, pointer="", tasks=_in("do", tasks), timeout=_optional(timeout), **more)


def loop(name: str, items: Given, *tasks: Node, timeout: Given = None, **more: Any) -> ForNode:
    """A `for` task."""
    listed = _in("do", tasks)
    return ForNode(name=name, pointer="", items=given(items), tasks=listed, timeout=_optional(timeout), **more)


def fork(name: str, *branches: Node, timeout: Given = None, **more: Any) -> ForkNode:
    """A `fork` task."""
    listed = _in("branch", branches)
    return ForkNode(name=name, pointer="", branches=listed, timeout=_optional(timeout), **more)


def attempt(name: str, *tasks: Node, handle: tuple[Node, ...] | None = None, **more: Any) -> TryNode:
    """A `try` task; `handle` is `catch.do`."""
    handlers = None if handle is None else _in("catch", handle)
    timeout = _optional(more.pop("timeout", None))
    return TryNode(name=name, pointer="", tasks=_in("try", tasks), catch_tasks=handlers, timeout=timeout, **more)


def retry(**policy: Any) -> Retry:
    """A retry policy; durations and conditions may be plain values."""
    plain = ("backoff", "count")
    fields: dict[str, Any] = {key: value if key in plain else given(value) for key, value in policy.items()}
    return Retry(**fields)


def event_filter(type_: str, *, correlate: tuple[Correlation, ...] = (), **attributes: Any) -> EventFilter:
    """A filter on an event's type and other attributes."""
    matchers = [Matcher("type", type_), *(Matcher(key, value) for key, value in attributes.items())]
    return EventFilter(tuple(matchers), correlate)


def one(type_: str, **more: Any) -> Strategy:
    """Wait for one event."""
    return Strategy("one", (event_filter(type_, **more),))


def all_of(*types: str) -> Strategy:
    """Wait for one event of each type."""
    return Strategy("all", tuple(event_filter(type_) for type_ in types))


def any_of(*types: str, until: Program | Strategy | None = None) -> Strategy:
    """Wait for any event of these types."""
    return Strategy("any", tuple(event_filter(type_) for type_ in types), until)


def each(*tasks: Node, **more: Any) -> Iterator:
    """The `foreach` of a listener."""
    return Iterator(_in("foreach", tasks), **more)


def listen(name: str, to: Strategy, *, timeout: Given = None, **more: Any) -> ListenNode:
    """A `listen` task."""
    return ListenNode(name=name, pointer="", to=to, timeout=_optional(timeout), **more)


def function(name: str, body: Node, arguments: Given = None, *, timeout: Given = None, **more: Any) -> FunctionNode:
    """A call of a function whose body is this task."""
    _in("body", (body,))
    return FunctionNode(
        name=name, pointer="", arguments=_optional(arguments), body=body, timeout=_optional(timeout), **more
    )


def extended(
    inner: Node,
    *,
    before: tuple[Node, ...] = (),
    after: tuple[Node, ...] = (),
    when: Program | None = None,
    **more: Any,
) -> ExtendedNode:
    """A task wrapped by an extension."""
    _in("body", (inner,))
    return ExtendedNode(
        name=inner.name,
        pointer="",
        inner=inner,
        before=_in("before", before),
        after=_in("after", after),
        when=when,
        **more,
    )


def plan(*tasks: Node, name: str = "test", timeout: Given = None, **root: Any) -> Plan:
    """A whole plan of these tasks; `root` is what stands at the workflow itself."""
    top = DoNode(name=name, pointer="/do", section="root", tasks=_in("do", tasks), timeout=_optional(timeout), **root)
    _point(top, "")
    return Plan("tests", name, "1.0.0", f"digest-of-{name}", top)


def _in(section: str, tasks: tuple[Node, ...]) -> tuple[Node, ...]:
    for task in tasks:
        task.section = section
    return tasks


_PATHS = {"do": "do", "try": "try", "catch": "catch/do", "branch": "fork/branches", "foreach": "foreach/do"}


def _point(top: Node, base: str) -> None:
    """Give everything below `top` its pointer; `base` is the pointer of `top` itself."""
    pending = [(top, base)]
    while pending:
        node, pointer = pending.pop()
        for listed in node.children():
            for place, child in enumerate(listed):
                number = node.branches.index(child) if isinstance(node, ForkNode) else place
                path = _PATHS.get(child.section, child.section)
                child.pointer = f"{pointer}/{path}/{number}/{child.name}"
                pending.append((child, child.pointer))
