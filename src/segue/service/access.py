"""The first door: every use case declares what it lets somebody do, and asks the guard before it does it.

    class Runs(UseCases):
        @governed("run.start", on=lambda self, workflow, *_, **__: workflow_resource(workflow))
        async def start(self, workflow: str, …) -> …

What one use case calls of another in the same task is its own doing and is not asked again. Actions are listed in
`segue.governance.actions`; an architecture test finds a public method without a declaration.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, Final, ParamSpec, TypeVar, cast

from segue.governance import ACTIONS, SWITCH_RULE, Guard, PolicyDenied, Resource, Verdict, in_scope, roles_for, told
from segue.service.errors import ServiceError
from segue.store import ErasedData
from segue.types import Leave, acting, acting_as, on_leave

P = ParamSpec("P")
R = TypeVar("R")

_inside: ContextVar[tuple[object, object]] = ContextVar("segue_inside", default=(None, None))
"""The task that is inside a use case, and whose: what it calls of another folder's service is asked again."""
_DENY_ALL: Final = Guard()
_AS_BEFORE: Final = nullcontext()
PASSWORD_SCOPE: Final = "password.own"  # noqa: S105 - a name
"""What a session is worth that began with a password which somebody else set: nothing but choosing another. No action
and no group is called so."""


_TELL_THEMSELVES: Final = frozenset({"run.start"})
"""Deeds whose record holds who was permitted, and by which rules: of so many, one record each is enough."""


class UseCases:
    """What people and programs do with one kind of thing. Denies everything until a service gives it its guard."""

    guard: Guard = _DENY_ALL


def governed(
    action: str, on: Callable[..., Resource] | None = None, *, asks_again: bool = False
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Ask the guard before the method runs.

    Args:
        action: A name of `ACTIONS`.
        on: What is acted on, from the arguments of the call; nothing in particular where it is left out.
        asks_again: The method asks once it knows what it is about, so a need for approval is not final here.

    Raises:
        ServiceError: `permission-denied`, `approval-needed` or `not-signed-in`; from the decorated method.
    """
    kind = ACTIONS[action].resource
    tells_itself = action in _TELL_THEMSELVES

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        def admit(self: UseCases, resource: Resource) -> Verdict | None:
            try:
                return admit_to(self.guard, action, resource, silent=tells_itself)
            except ServiceError as refusal:
                if not asks_again or refusal.kind != "approval-needed":
                    raise
                return None

        def about(self: UseCases, args: Any, kwargs: Any) -> Resource:
            return Resource(kind) if on is None else on(self, *args, **kwargs)

        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def entered(self: Any, *args: Any, **kwargs: Any) -> Any:
                here = asyncio.current_task(), self.guard
                if _inside.get() == here:
                    return await method(self, *args, **kwargs)
                resource = about(self, args, kwargs)
                verdict = admit(self, resource)
                leave = _leave(self.guard, action, resource, verdict) if tells_itself and verdict else None
                token = _inside.set(here)
                try:
                    # Where no edge has said who acts, the audit chain must not say that nobody did.
                    with _AS_BEFORE if leave is None else on_leave(leave), acting_as(self.guard.who()):
                        return await method(self, *args, **kwargs)
                except ErasedData as error:
                    raise ServiceError("data-erased", f"{error}.") from None
                finally:
                    _inside.reset(token)
                    if verdict and leave is not None and not leave.told:
                        # The deed was not done, so its record does not tell: the permission gets one of its own.
                        leave.told = True
                        self.guard.note(self.guard.who(), action, resource, verdict)

        else:
            # Plain methods and asynchronous generators: asked when they are called.
            @functools.wraps(method)
            def entered(self: Any, *args: Any, **kwargs: Any) -> Any:
                admit(self, about(self, args, kwargs))
                return method(self, *args, **kwargs)

        entered.__action__ = action  # type: ignore[attr-defined]
        return cast(Callable[P, R], entered)

    return decorate


def _leave(guard: Guard, action: str, resource: Resource, verdict: Verdict) -> Leave:
    who = guard.who()
    return Leave(action, "nobody" if who is None else who.name, resource.name, told(verdict))


def open_to_all(reason: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare that a method needs no permission, and why."""

    def decorate(method: Callable[P, R]) -> Callable[P, R]:
        method.__open__ = reason  # type: ignore[attr-defined]
        return method

    return decorate


def admit_to(
    guard: Guard,
    action: str,
    resource: Resource,
    context: dict[str, Any] | None = None,
    *,
    silent: bool = False,
) -> Verdict:
    """Ask the guard in the middle of a use case, where only then it is known what about.

    Args:
        silent: As for `Guard.check`.

    Raises:
        ServiceError: `permission-denied`, `approval-needed` or `not-signed-in`.
    """
    try:
        return guard.check(action, resource, context, silent=silent)
    except PolicyDenied as denied:
        raise refusal_of(denied, guard) from None


def admit_or_wait(guard: Guard, action: str, resource: Resource, context: dict[str, Any]) -> Verdict:
    """The same where a use case can wait for an approval: `allow`, or `needs-approval`.

    Raises:
        ServiceError: `permission-denied` or `not-signed-in`.
    """
    try:
        return guard.check(action, resource, context, waits=True)
    except PolicyDenied as denied:
        if denied.verdict.verdict != "needs-approval":
            raise refusal_of(denied, guard) from None
        return denied.verdict


def refusal_of(denied: PolicyDenied, guard: Guard) -> ServiceError:
    """What is told: the action and who may, and nothing of what it was about."""
    if denied.identity is None:
        return ServiceError("not-signed-in", f"Nobody is signed in, and {denied.action} needs somebody who may.")
    if denied.identity.scopes == frozenset({PASSWORD_SCOPE}):
        return ServiceError("password-due", f"{denied.identity.name} signed in with a password that counts once.")
    about = ACTIONS[denied.action].about.lower()
    said = f"{denied.identity.name} may not {about} ({denied.action}): {denied.verdict.reason}."
    if denied.verdict.verdict == "needs-approval":
        return ServiceError("approval-needed", said)
    if denied.verdict.rules == (SWITCH_RULE,):
        return ServiceError("permission-denied", said, remedy="Whoever administers can `segue release` it.")
    if not in_scope(denied.identity, denied.action):
        return ServiceError(
            "permission-denied", said, remedy="Use a token whose scopes name the action or its group."
        )
    roles = [role for role in roles_for(guard.policies, denied.action) if role != "owner"]
    whom = f"Roles that may: {', '.join(roles)}. " if roles else "Only the owner of the data folder may. "
    return ServiceError("permission-denied", said, remedy=whom + "Whoever administers identities can grant one.")


def signed(by: str) -> str:
    """Who is written down as having done it: who is signed in. The holder of the data folder may name somebody."""
    identity = acting()
    return by if identity is None or "owner" in identity.roles else identity.name


def of(kind: str) -> Callable[..., Resource]:
    """What a call is about, where its first argument is the id."""
    return lambda *args, **named: Resource(kind, _first(args, named))


def workflow_of(*args: Any, **named: Any) -> Resource:
    """The workflow that a call is about: `namespace/name`, or the two as arguments of their own."""
    # Only the names: what else is given may be large.
    given = (*args[1:3], *named.values())
    namespace, slash, name = str(given[0]).partition("/")
    if not slash:
        name = str(given[1]) if len(given) > 1 else ""
    return Resource("Workflow", f"{namespace}/{name}", {"namespace": namespace, "name": name})


def connection_of(*args: Any, **named: Any) -> Resource:
    """The connection of this name."""
    name = _first(args, named)
    return Resource("Connection", name, {"name": name})


def _first(args: tuple[Any, ...], named: dict[str, Any]) -> str:
    return str(args[1] if len(args) > 1 else next(iter(named.values())))
