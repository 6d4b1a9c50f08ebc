"""What the compiler carries along: the document, the findings so far, and what is visible at a place.

Checking and compiling are one walk. Every piece that is wrong leaves a finding and a harmless stand-in, and the
walk goes on; so all findings come at once, and a document without error findings compiles by construction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from segue.core.plan import Adjustable, Flow, Node, Signature
from segue.dsl.document import Document, escape
from segue.dsl.environment import Environment
from segue.dsl.findings import Finding
from segue.dsl.structure import Structure

NODES_MAX: Final = 20_000
"""Functions and extensions are copied to where they are used, so a short document can ask for a huge plan."""

DEPTH_MAX: Final = 60
"""Tasks inside of tasks, functions counted where they are called: a chain of calls must not fill the stack."""

FINDINGS_MAX: Final = 1_000
"""Nobody reads more, and a hostile document should not cost more."""

_NAMES_SHOWN: Final = 20

DIRECTIVES: Final[Mapping[str, int]] = {"continue": Flow.CONTINUE, "exit": Flow.EXIT, "end": Flow.END}


class TooManyTasks(Exception):
    """The plan would be too large; compiling stops."""


class TooManyFindings(Exception):
    """Enough is known about the document; compiling stops."""


@dataclass(frozen=True, slots=True)
class Place:
    """A kind of place where an expression may stand, and the variables it may read there (section 5.1)."""

    name: str
    variables: frozenset[str]

    def with_secrets(self) -> Place:
        """The same place where `$secrets` may be read as well (ruling R13)."""
        return Place(self.name, self.variables | {"secrets"})


LANGUAGE: Final = frozenset(
    {"context", "input", "output", "secrets", "task", "workflow", "runtime", "authorization", "steps", "adjustable"}
)
_RUN: Final = frozenset({"workflow", "runtime", "adjustable"})
_BEFORE: Final = _RUN | {"context", "task", "steps"}
WORKFLOW_INPUT: Final = Place("the workflow's `input.from`", _RUN)
WORKFLOW_TIMEOUT: Final = Place("the workflow's `timeout`", _RUN | {"context"})
WORKFLOW_OUTPUT: Final = Place("the workflow's `output.as`", _RUN | {"context", "steps"})
SCHEDULE: Final = Place("`schedule`", frozenset())
CONDITION: Final = Place("`if`", _BEFORE)
INPUT_FROM: Final = Place("`input.from`", _BEFORE | {"secrets"})
DEFINITION: Final = Place("the task's definition", _BEFORE | {"input", "authorization"})
UNDO: Final = Place("`undo`", _BEFORE | {"input", "output", "authorization"})
OUTPUT_AS: Final = Place("`output.as`", _BEFORE | {"input", "authorization"})
EXPORT_AS: Final = Place("`export.as`", _BEFORE | {"input", "output"})


@dataclass(slots=True)
class TaskList:
    """The tasks that stand together: what `then` can name and what `$steps` can read.

    Attributes:
        order: Name to index.
        is_sequence: False for branches of a fork and for the body of a function: nothing there can be jumped to.
        again: For each index, the last task of a backward jump that leads over it: what stands up to there may
            have run before it.
        needs: For branches: the branches that are surely done when this one starts, as bits by index.
    """

    order: dict[str, int]
    is_sequence: bool = True
    again: list[int] = field(default_factory=list)
    needs: list[int] | None = None
    used: set[str] = field(default_factory=set)
    nodes: tuple[Node, ...] = ()

    def is_done(self, name: str, at: int) -> bool:
        """Can the task of this name have run when the one at this index runs?"""
        place = self.order[name]
        if self.needs is not None:
            return at < len(self.needs) and bool(self.needs[at] >> place & 1)
        return place < at or (at < len(self.again) and place <= self.again[at])

    def use(self, name: str) -> None:
        """Some expression reads this task's output by name."""
        self.used.add(name)
        self._mark()

    def close(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """All tasks are compiled."""
        self.nodes = nodes
        self._mark()
        return nodes

    def _mark(self) -> None:
        for node in self.nodes:
            if node.name in self.used:
                node.keep = True


@dataclass(frozen=True, slots=True)
class Scope:
    """What is visible where a task stands.

    Attributes:
        bound: Variables of enclosing loops, listeners and catches.
        around: The lists around, nearest first, each with the index reached in it.
        calls: Functions being expanded, outermost first.
        extends: Extensions apply here.
        is_loop: Some enclosing task repeats this one.
        depth: How many tasks are around, callers of functions included.
    """

    bound: tuple[str, ...] = ()
    around: tuple[tuple[TaskList, int], ...] = ()
    calls: tuple[str, ...] = ()
    extends: bool = True
    is_loop: bool = False
    depth: int = 0

    def binding(self, *names: str, loop: bool = False) -> Scope:
        """The same scope with more variables."""
        bound = tuple(dict.fromkeys((*self.bound, *names)))
        return replace(self, bound=bound, is_loop=self.is_loop or loop)

    def within(self, tasks: TaskList, at: int) -> Scope:
        """The scope of the task at this index of a list that stands here."""
        return replace(self, around=((tasks, at), *self.around), depth=self.depth + 1)

    def function(self, name: str) -> Scope:
        """The scope of a function's body: it sees its arguments and nothing of its caller."""
        return Scope(calls=(*self.calls, name), extends=self.extends, depth=self.depth)

    def apart(self) -> Scope:
        """The scope of what is put in from elsewhere: extensions, and bodies of a catalogue's functions."""
        return Scope(calls=self.calls, extends=False, depth=self.depth)


@dataclass(slots=True)
class Tally:
    """Counts and collections shared by everything that becomes one plan.

    Attributes:
        seen: Pointers of the components under `use` that were compiled for some task.
        requires, pins: Become the plan's requirements and a part of its digest.
        adjusted: Adjustable values that expressions read, with the pointers of those.
        schemas, signatures: As the plan has them.
    """

    nodes: int = 0
    seen: set[str] = field(default_factory=set)
    requires: set[str] = field(default_factory=set)
    pins: dict[str, str] = field(default_factory=dict)
    adjusted: dict[str, set[str]] = field(default_factory=dict)
    schemas: dict[str, Any] = field(default_factory=dict)
    signatures: dict[str, Signature] = field(default_factory=dict)


CompileKind = Callable[["Build", dict[str, Any], str, Scope, dict[str, Any]], Node]
"""`(build, task, pointer, scope, common) -> node`; `common` are the arguments that every node takes."""


@dataclass(slots=True)
class Build:
    """One document on its way to a plan.

    Attributes:
        prefix: Put before the pointers of nodes: where a catalogue's function is called.
        kinds: How each kind of task is compiled.
        findings: Each once, in the order in which they were made.
        secrets: Declared ones.
        adjustable: Declared values that operations may adjust. A catalogue's function sees none of its caller's.
        extensions: What each extends, itself, and its pointer.
        extending: The same by kind of task, filled when a task of the kind is met.
    """

    document: Document
    environment: Environment
    structure: Structure
    kinds: Mapping[str, CompileKind]
    tally: Tally = field(default_factory=Tally)
    prefix: str = ""
    is_loose: bool = False
    findings: dict[Finding, None] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    adjustable: Mapping[str, Adjustable] = field(default_factory=dict)
    extensions: list[tuple[str, dict[str, Any], str]] = field(default_factory=list)
    extending: dict[str, list[tuple[dict[str, Any], str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.secrets = frozenset(name for name in as_list(self.use.get("secrets")) if isinstance(name, str))
        for place, item in enumerate(as_list(self.use.get("extensions"))):
            for name, extension in as_object(item).items():
                found = as_object(extension)
                pointer = below("/use/extensions", place, name)
                self.extensions.append((str(found.get("extend")), found, pointer))

    @property
    def use(self) -> dict[str, Any]:
        """`use` of the document."""
        return as_object(as_object(self.document.data).get("use"))

    def component(self, section: str, name: Any) -> Any:
        """The component of this name under `use`, or None."""
        return as_object(self.use.get(section)).get(name) if isinstance(name, str) else None

    def is_sound(self, pointer: str) -> bool:
        """True when the value there has the form that the schema describes."""
        return pointer not in self.structure.tainted

    def error(self, rule: str, pointer: str, message: str, remedy: str = "", *, key: bool = False) -> None:
        """Note an error at this pointer's value, or at its key."""
        self.add(self.document.finding(rule, "error", message, remedy, pointer=pointer, key=key))

    def warn(self, rule: str, pointer: str, message: str, remedy: str = "", *, key: bool = False) -> None:
        """Note a warning at this pointer's value, or at its key."""
        self.add(self.document.finding(rule, "warning", message, remedy, pointer=pointer, key=key))

    def add(self, finding: Finding) -> None:
        """Note a finding.

        Raises:
            TooManyFindings: There are enough.
        """
        self.findings[finding] = None
        if len(self.findings) > FINDINGS_MAX:
            raise TooManyFindings

    def count(self) -> None:
        """One more node.

        Raises:
            TooManyTasks: That is enough.
        """
        self.tally.nodes += 1
        if self.tally.nodes > NODES_MAX:
            raise TooManyTasks


def as_object(value: Any) -> dict[str, Any]:
    """The value if it is an object, otherwise an empty one: its structure has been complained about already."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, otherwise an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str | None:
    """The value if it is text."""
    return value if isinstance(value, str) else None


def below(pointer: str, *keys: str | int) -> str:
    """A pointer to something inside."""
    return "/".join((pointer, *(escape(str(key)) for key in keys)))


def listed(names: Iterable[str], otherwise: str = "none") -> str:
    """Names for a message: all of a few, the first of many."""
    found = list(names)
    more = f", and {len(found) - _NAMES_SHOWN:,} more" if len(found) > _NAMES_SHOWN else ""
    return ", ".join(found[:_NAMES_SHOWN]) + more if found else otherwise
