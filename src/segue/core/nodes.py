"""Programs, and the tasks of a plan that need nobody outside: `plan.py` says what a plan is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal


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
