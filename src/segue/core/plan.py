"""The plan: a definition compiled into the tree that the core walks.

The compiler (`segue.dsl`) builds plans from documents; the core only reads them. A plan holds no state, is
shared by all runs of a definition, and its programs are pure functions.

Every expression of a document becomes a `Program`. A program says by name which variables it reads, so the
core builds only those:

    context input output task workflow runtime authorization steps adjustable   and the names bound by
    enclosing loops, listeners and catches (item, index, error, or as the document calls them).

`secrets` is not among them: secret references are constants of the program (see `segue.types.SecretText`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, Literal


class Flow(IntEnum):
    """Flow directives. A jump to a task of the same list is its index there, zero or more."""

    CONTINUE = -1
    EXIT = -2
    END = -3


Evaluate = Callable[[Any, Mapping[str, Any], int], Any]
"""`(data, variables, now_ms) -> value`. Raises `TaskFailure` (an expression failure) and nothing else."""

Check = Callable[[Any], str | None]
"""`(value) -> None`, or a sentence that says what does not fit the schema and where."""


@dataclass(frozen=True, slots=True)
class Program:
    """An expression, or a template with expressions in it, ready to evaluate.

    Attributes:
        run: The compiled function.
        reads: Names of the variables it needs, without `$`.
        text: The source, for messages and displays.
        constant: True when it reads neither data nor variables.
        shape: What the value is made of, for those who follow data through a plan (`segue.dsl.flows`); the
            core never looks at it. None: nothing is known of it.
    """

    run: Evaluate
    reads: tuple[str, ...] = ()
    text: str = ""
    constant: bool = False
    shape: Any = None


class Node:
    """One task of the document. Subclasses below, one per kind; `kind` names the machine.

    Attributes:
        index: Position in `Plan.nodes`; stable for a definition.
        name, pointer: As in the document.
        position: Index in its list.
        siblings: The list it stands in, in order (itself included). Shared by all of them.
        section: Which list of its parent it stands in: `do`, `try`, `catch`, `foreach`, `before`,
            `after`, `branch` (alone in `siblings`), `body` (function body, alone), `undo` (of an act, alone).
        condition: `if`. input_from / output_as / export_as: transforms. None means identity.
        input_check / output_check / export_check: schema checks. None means none.
        timeout: Program giving milliseconds, or None.
        then: `Flow` or an index into `siblings`.
        keep: Some expression reads this task's output through `$steps`.
        bound: Names of all variables bound around this task (loops, catches, listeners).
        definition: The task's definition as written, for `$task.definition`.
    """

    kind: str = ""

    __slots__ = (
        "bound",
        "condition",
        "definition",
        "export_as",
        "export_check",
        "index",
        "input_check",
        "input_from",
        "keep",
        "name",
        "output_as",
        "output_check",
        "pointer",
        "position",
        "section",
        "siblings",
        "then",
        "timeout",
    )

    def __init__(
        self,
        *,
        name: str,
        pointer: str,
        section: str = "do",
        condition: Program | None = None,
        input_check: Check | None = None,
        input_from: Program | None = None,
        output_as: Program | None = None,
        output_check: Check | None = None,
        export_as: Program | None = None,
        export_check: Check | None = None,
        timeout: Program | None = None,
        then: int = Flow.CONTINUE,
        keep: bool = False,
        bound: tuple[str, ...] = (),
        definition: Any = None,
    ) -> None:
        self.index = -1
        self.name = name
        self.pointer = pointer
        self.section = section
        self.position = 0
        self.siblings: tuple[Node, ...] = (self,)
        self.condition = condition
        self.input_check = input_check
        self.input_from = input_from
        self.output_as = output_as
        self.output_check = output_check
        self.export_as = export_as
        self.export_check = export_check
        self.timeout = timeout
        self.then = then
        self.keep = keep
        self.bound = bound
        self.definition = definition

    def children(self) -> tuple[tuple[Node, ...], ...]:
        """The lists of this node, in document order."""
        return ()


class SetNode(Node):
    """`set`: the template's value is the output."""

    kind = "set"
    __slots__ = ("value",)

    def __init__(self, *, value: Program, **common: Any) -> None:
        super().__init__(**common)
        self.value = value


@dataclass(frozen=True, slots=True)
class Case:
    """A case of `switch`. `when` is None for the default."""

    name: str
    when: Program | None
    then: int


class SwitchNode(Node):
    """`switch`: cases in document order; the default, if any, is tried last by the core."""

    kind = "switch"
    __slots__ = ("cases",)

    def __init__(self, *, cases: tuple[Case, ...], **common: Any) -> None:
        super().__init__(**common)
        self.cases = cases


class RaiseNode(Node):
    """`raise`: `error` gives an object with type, status and optional title, detail."""

    kind = "raise"
    __slots__ = ("error",)

    def __init__(self, *, error: Program, **common: Any) -> None:
        super().__init__(**common)
        self.error = error


class EmitNode(Node):
    """`emit`: `event` gives the CloudEvent's properties; the core fills in what is missing."""

    kind = "emit"
    __slots__ = ("event",)

    def __init__(self, *, event: Program, **common: Any) -> None:
        super().__init__(**common)
        self.event = event


class WaitNode(Node):
    """`wait`: `duration` gives milliseconds."""

    kind = "wait"
    __slots__ = ("duration",)

    def __init__(self, *, duration: Program, **common: Any) -> None:
        super().__init__(**common)
        self.duration = duration


class DoNode(Node):
    """`do`: a list, in order."""

    kind = "do"
    __slots__ = ("tasks",)

    def __init__(self, *, tasks: tuple[Node, ...], **common: Any) -> None:
        super().__init__(**common)
        self.tasks = tasks

    def children(self) -> tuple[tuple[Node, ...], ...]:
        return (self.tasks,)


class ForNode(Node):
    """`for`: `items` gives the array (null counts as empty, anything else is an expression failure)."""

    kind = "for"
    __slots__ = ("at", "each", "items", "tasks", "while_")

    def __init__(
        self,
        *,
        items: Program,
        tasks: tuple[Node, ...],
        each: str = "item",
        at: str = "index",
        while_: Program | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.items = items
        self.tasks = tasks
        self.each = each
        self.at = at
        self.while_ = while_

    def children(self) -> tuple[tuple[Node, ...], ...]:
        return (self.tasks,)


class ForkNode(Node):
    """`fork`: branches start together; `needs[i]` are the indices of the branches that branch i waits for.

    Each branch is a node alone in its list (`section="branch"`, `position` = its index).
    """

    kind = "fork"
    __slots__ = ("branches", "compete", "needs")

    def __init__(
        self,
        *,
        branches: tuple[Node, ...],
        compete: bool = False,
        needs: tuple[tuple[int, ...], ...] = (),
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.branches = branches
        self.compete = compete
        self.needs = needs

    def children(self) -> tuple[tuple[Node, ...], ...]:
        return tuple((branch,) for branch in self.branches)


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry policy. Durations are programs giving milliseconds; counts are retries after the first try."""

    when: Program | None = None
    except_when: Program | None = None
    delay: Program | None = None
    backoff: Literal["constant", "linear", "exponential"] = "constant"
    jitter_from: Program | None = None
    jitter_to: Program | None = None
    count: int | None = None
    attempt_duration: Program | None = None
    duration: Program | None = None


class TryNode(Node):
    """`try`: `catch_with` holds the literal filter (`type` already canonical); None catches all."""

    kind = "try"
    __slots__ = (
        "catch_as",
        "catch_tasks",
        "catch_then",
        "catch_with",
        "except_when",
        "retry",
        "tasks",
        "when",
    )

    def __init__(
        self,
        *,
        tasks: tuple[Node, ...],
        catch_with: Mapping[str, Any] | None = None,
        catch_as: str = "error",
        when: Program | None = None,
        except_when: Program | None = None,
        retry: Retry | None = None,
        catch_tasks: tuple[Node, ...] | None = None,
        catch_then: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.tasks = tasks
        self.catch_with = catch_with
        self.catch_as = catch_as
        self.when = when
        self.except_when = except_when
        self.retry = retry
        self.catch_tasks = catch_tasks
        self.catch_then = catch_then

    def children(self) -> tuple[tuple[Node, ...], ...]:
        return (self.tasks, self.catch_tasks or ())


@dataclass(frozen=True, slots=True)
class Matcher:
    """One attribute of an event filter.

    `literal` matches an equal value; where it is text, an attribute that fully matches it as a regular
    expression matches too (`pattern`, compiled at publish, None where the text is no valid pattern).
    `program`, instead, is truthy on the event's data (attribute `data`) or on the event (ruling R21).
    """

    attribute: str
    literal: Any = None
    pattern: Callable[[str], Any] | None = None
    program: Program | None = None


@dataclass(frozen=True, slots=True)
class Correlation:
    """`from_` extracts a value from the event (its `.` is the event envelope); it must equal `expect`."""

    key: str
    from_: Program
    expect: Program | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """All matchers and all correlations must hold."""

    matchers: tuple[Matcher, ...]
    correlations: tuple[Correlation, ...] = ()


@dataclass(frozen=True, slots=True)
class Strategy:
    """Which events a listener consumes. `until` goes with `any` only."""

    mode: Literal["one", "all", "any"]
    filters: tuple[EventFilter, ...]
    until: Program | Strategy | None = None

    @property
    def types(self) -> tuple[str, ...]:
        """Literal event types that can match; empty when any type may."""
        found: set[str] = set()
        strategies = (self, self.until) if isinstance(self.until, Strategy) else (self,)
        if any(not strategy.filters for strategy in strategies):
            return ()  # an empty `any` takes every event
        for event_filter in (f for strategy in strategies for f in strategy.filters):
            literal = next((m.literal for m in event_filter.matchers if m.attribute == "type"), None)
            if not isinstance(literal, str) or not _is_plain(literal):
                return ()
            found.add(literal)
        return tuple(sorted(found))


def _is_plain(text: str) -> bool:
    """True when the text, read as a regular expression, matches only itself (dots taken as dots)."""
    return not any(sign in text for sign in r"\^$*+?{}[]|()")


Read = Literal["data", "envelope", "raw"]


@dataclass(frozen=True, slots=True)
class Iterator:
    """`foreach` of a listener: handle events one at a time, in the order of their arrival."""

    tasks: tuple[Node, ...]
    item: str = "item"
    at: str = "index"
    output_as: Program | None = None
    output_check: Check | None = None
    export_as: Program | None = None
    export_check: Check | None = None


class ListenNode(Node):
    """`listen`: output is the array of what was consumed, in order."""

    kind = "listen"
    __slots__ = ("foreach", "read", "to")

    def __init__(self, *, to: Strategy, read: Read = "data", foreach: Iterator | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.to = to
        self.read = read
        self.foreach = foreach

    def children(self) -> tuple[tuple[Node, ...], ...]:
        return (self.foreach.tasks,) if self.foreach else ()


class ActNode(Node):
    """A task that acts on the world: `call` of a protocol or of a built-in function, and `run`.

    Attributes:
        handler: Name of the handler that performs it.
        arguments: Template giving the handler's arguments.
        arguments_check: Schema check of the evaluated arguments (built-in functions), or None.
        result_check: Schema check of the result, or None.
        wait: False for `await: false`: the output is the transformed input, at once.
        authorization: Scheme for `$authorization.scheme`, when an authentication policy applies.
        undo: The act that takes this one back, or None.
    """

    kind = "act"
    __slots__ = ("arguments", "arguments_check", "authorization", "handler", "result_check", "undo", "wait")

    def __init__(
        self,
        *,
        handler: str,
        arguments: Program,
        arguments_check: Check | None = None,
        result_check: Check | None = None,
        wait: bool = True,
        authorization: str | None = None,
        undo: UndoNode | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.handler = handler
        self.arguments = arguments
        self.arguments_check = arguments_check
        self.result_check = result_check
        self.wait = wait
        self.authorization = authorization
        self.undo = undo

    def children(self) -> tuple[tuple[Node, ...], ...]:
        return () if self.undo is None else ((self.undo,),)


class UndoNode(ActNode):
    """`undo` beside an act. Its `arguments` are evaluated on the act's result, when that comes."""

    kind = "undo"
    __slots__ = ()


class HumanNode(Node):
    """`call: human-task`: work that waits for a person with authority.

    Attributes:
        arguments: Gives the settled request of `Offer`; fails where it does not fit.
        fits: `(form, data) -> complaint`: does the data fit the form's JSON Schema?
        result_check: Schema check of the result, or None.
    """

    kind = "human"
    __slots__ = ("arguments", "fits", "result_check")

    def __init__(
        self,
        *,
        arguments: Program,
        fits: Callable[[Any, Any], str | None] = lambda form, data: None,
        result_check: Check | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.arguments = arguments
        self.fits = fits
        self.result_check = result_check


class FunctionNode(Node):
    """`call` of a function that is itself a task: `arguments` become the raw input of `body`.

    Attributes:
        result_check: Schema check of the result, or None. Only for runs whose first event says `results`.
    """

    kind = "function"
    __slots__ = ("arguments", "body", "result_check")

    def __init__(
        self, *, arguments: Program | None, body: Node, result_check: Check | None = None, **common: Any
    ) -> None:
        super().__init__(**common)
        self.arguments = arguments
        self.body = body
        self.result_check = result_check

    def children(self) -> tuple[tuple[Node, ...], ...]:
        return ((self.body,),)


class ExtendedNode(Node):
    """A task wrapped by one extension: `before`, the task itself (`section="body"`), `after`.

    The wrapper has no transforms of its own. `then` stands on the inner task and means the wrapper's siblings, so
    that a case, a `catch.then` or a skip can replace it; `number` moves it there from the wrapper.
    `keep` stands on the wrapper. `when`, where present, is tested on the raw input; false runs the inner task alone.
    """

    kind = "extended"
    __slots__ = ("after", "before", "inner", "when")

    def __init__(
        self,
        *,
        inner: Node,
        before: tuple[Node, ...] = (),
        after: tuple[Node, ...] = (),
        when: Program | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.inner = inner
        self.before = before
        self.after = after
        self.when = when

    def children(self) -> tuple[tuple[Node, ...], ...]:
        return (self.before, (self.inner,), self.after)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When runs start by themselves: exactly one of the first four is set. Durations in milliseconds."""

    every_ms: int | None = None
    cron: str | None = None
    after_ms: int | None = None
    on: Strategy | None = None
    read: Read = "data"
    zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Adjustable:
    """One value that may be adjusted.

    Attributes:
        schema: JSON Schema of what it may be.
        check: The same as a function; it answers with what does not fit, or None.
        role: Who changes it must have this role besides; empty where any who may adjust may change it.
        read_by: Pointers of the expressions that read it.
    """

    name: str
    schema: Mapping[str, Any]
    default: Any
    check: Check
    title: str = ""
    role: str = ""
    read_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Consequence:
    """What a task says of its acts.

    Attributes:
        affects: Whom they have consequences for: `person`.
        adverse: They go against them.
    """

    affects: str
    adverse: bool = False


RUNTIME_NAME: Final = "segue"


@dataclass(slots=True)
class Plan:
    """A compiled definition.

    Attributes:
        namespace, name, version, digest: Identity of the definition.
        root: A `DoNode` with pointer `/do` and section `root`. Its `input_check`, `input_from`, `output_as`,
            `output_check` and `timeout` are the workflow's own.
        nodes: All nodes in document order; `nodes[0]` is the root. Filled by `number`.
        definition: The document as data, for `$workflow.definition`.
        runtime: `$runtime`: name, version, metadata.
        secrets: Names that the document declares in `use.secrets`.
        requires: Handlers and functions the plan calls, for checks at publish and start.
        undoes: Some act of it has an `undo`.
        promises: It calls a function that is itself a task and has a schema of its result.
        adjustable: Values that operations may adjust, by name, as `segue.core.adjustable` has them.
        consequences: What acts mean for somebody, by index of their node, as `segue.core.consequences` has them.
        others: Finds other definitions by digest, for histories that go on from one to another. None: there are none.
    """

    namespace: str
    name: str
    version: str
    digest: str
    root: DoNode
    definition: Any = None
    runtime: Mapping[str, Any] = field(default_factory=lambda: {"name": RUNTIME_NAME, "metadata": {}})
    secrets: tuple[str, ...] = ()
    schedule: Schedule | None = None
    requires: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    undoes: bool = False
    promises: bool = False
    adjustable: Mapping[str, Adjustable] = field(default_factory=dict)
    consequences: Mapping[int, Consequence] = field(default_factory=dict)
    others: Callable[[str], Plan] | None = None

    def __post_init__(self) -> None:
        if not self.nodes:
            self.nodes = number(self.root)
        self.undoes = any(node.kind == "undo" for node in self.nodes)
        self.promises = any(isinstance(node, FunctionNode) and node.result_check is not None for node in self.nodes)

    def at(self, digest: str) -> Plan:
        """The plan of this definition: this one, or another that it knows.

        Raises:
            LookupError: There is none.
        """
        return self if digest == self.digest or self.others is None else self.others(digest)


def number(root: Node) -> tuple[Node, ...]:
    """Give every node its index, its place in its list and the list itself; return them in order."""
    found: list[Node] = []
    seen: set[int] = set()
    pending: list[Node] = [root]
    while pending:
        node = pending.pop()
        assert id(node) not in seen, f"{node.pointer} stands in the tree twice: compile it once for each place"
        seen.add(id(node))
        node.index = len(found)
        found.append(node)
        if isinstance(node, ExtendedNode):
            _hand_down(node)
        for listed in reversed(node.children()):
            for place, child in enumerate(listed):
                child.siblings = listed
                child.position = place
            pending.extend(reversed(listed))
        if isinstance(node, ForkNode):
            for place, branch in enumerate(node.branches):
                branch.position = place
    return tuple(found)


def _hand_down(wrapper: ExtendedNode) -> None:
    """Put the directive where it can be replaced, and the name where the siblings are."""
    if wrapper.then != Flow.CONTINUE:
        wrapper.inner.then, wrapper.then = wrapper.then, Flow.CONTINUE
    wrapper.keep = wrapper.keep or wrapper.inner.keep
