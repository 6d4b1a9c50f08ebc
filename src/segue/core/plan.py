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

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from segue.core.act_nodes import ActNode, ExtendedNode, FunctionNode, HumanNode, UndoNode
from segue.core.event_nodes import Correlation, EventFilter, Iterator, ListenNode, Matcher, Read, Strategy
from segue.core.nodes import (
    Case,
    Check,
    DoNode,
    EmitNode,
    Evaluate,
    Flow,
    ForkNode,
    ForNode,
    Node,
    Program,
    RaiseNode,
    Retry,
    SetNode,
    SwitchNode,
    TryNode,
    WaitNode,
)

__all__ = [
    "RUNTIME_NAME",
    "ActNode",
    "Adjustable",
    "Case",
    "Check",
    "Consequence",
    "Correlation",
    "DoNode",
    "EmitNode",
    "Evaluate",
    "EventFilter",
    "ExtendedNode",
    "Flow",
    "ForNode",
    "ForkNode",
    "FunctionNode",
    "HumanNode",
    "Iterator",
    "ListenNode",
    "Matcher",
    "Node",
    "Plan",
    "Program",
    "RaiseNode",
    "Read",
    "Retry",
    "Schedule",
    "SetNode",
    "Signature",
    "Strategy",
    "SwitchNode",
    "TryNode",
    "UndoNode",
    "WaitNode",
    "number",
    "place_of",
]


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


class Signature(NamedTuple):
    """JSON Schemas of a function's arguments and of its result; None: anything goes."""

    parameters: Mapping[str, Any] | None
    result: Mapping[str, Any] | None


def place_of(endpoint: Any) -> str:
    """The address of something that is kept elsewhere, as a text: the same for the same endpoint."""
    return json.dumps(endpoint, sort_keys=True)


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
        schemas: JSON Schemas that are kept elsewhere, by `place_of` where the document refers to them.
        signatures: JSON Schemas of the functions that are not the document's own, by the name that calls them.
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
    schemas: Mapping[str, Any] = field(default_factory=dict)
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    others: Callable[[str], Plan] | None = None
    _around: dict[Node, tuple[Node, ...]] = field(default_factory=dict, repr=False, compare=False)

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

    def around(self, node: Node) -> tuple[Node, ...]:
        """The tasks around one, outermost first. Found when somebody first asks, which few runs do."""
        if not self._around:
            self._around[self.root] = ()
            for above in self.nodes:
                inside = (*self._around[above], above)
                self._around |= {child: inside for listed in above.children() for child in listed}
        return self._around[node]


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
