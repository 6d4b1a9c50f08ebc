"""Tasks of a plan that act on the world or ask people, and those that are made of other tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segue.core.nodes import Check, Node, Program


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
