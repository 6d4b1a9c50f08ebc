"""Use cases of switches: stop something at once, let it go on, see what is stopped."""

from __future__ import annotations

import time
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from segue.governance import Guard, Resource, Switches, SwitchKind, Thrown
from segue.service.access import UseCases, governed
from segue.service.errors import ServiceError
from segue.service.observe import iso
from segue.service.shapes import Page, Shape, Why
from segue.store import Store
from segue.store.permission import SwitchRecord, list_switches, release_switch, throw_switch

if TYPE_CHECKING:
    from segue.ai import ModelRegistry
    from segue.hosts import EmbeddedHost

_NAME_MAX = 200


class NewSwitch(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to stop or to let go on, and why.

    Attributes:
        kind: agent, model, connection, workflow (`namespace/name`), workspace, which is everything, or tool:
            `CONNECTION/OPERATION`, `function/NAME`, or a handler such as `shell`.
    """

    kind: SwitchKind
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=_NAME_MAX)]
    reason: Why


class SwitchView(Shape, frozen=True, kw_only=True):
    """A switch.

    Attributes:
        stopped: The acts that were under way; those that come later are refused one by one.
        warning: There is nothing of this name, so it may be misspelt. It is stopped all the same: it may come later.
    """

    kind: str
    name: str
    by: str
    reason: str
    at: str
    released_at: str | None = None
    released_by: str | None = None
    released_reason: str | None = None
    stopped: int = 0
    warning: str | None = None


def _switch_of(*args: Any, **named: Any) -> Resource:
    wanted = args[1] if len(args) > 1 else named["wanted"]
    return Resource("Switch", f"{wanted.kind}/{wanted.name}")


class StopSwitches(UseCases):
    """Switches of one data folder."""

    def __init__(self, store: Store, switches: Switches, host: EmbeddedHost | None, models: ModelRegistry) -> None:
        self._models = models
        self._store = store
        self._switches = switches
        self._host = host

    @governed("switch.stop", on=_switch_of)
    async def stop(self, wanted: NewSwitch) -> SwitchView:
        """Stop it now. Acts under way that it concerns are cancelled and fail, so what each document declares for
        failures happens; no new ones begin, and a stopped workflow starts no runs.

        Raises:
            ServiceError: `switch-thrown` where it is stopped already; `request-malformed` for a workflow without
                its namespace.
        """
        if wanted.kind == "workflow" and "/" not in wanted.name:
            raise ServiceError("request-malformed", f"{wanted.name!r} is no workflow; write namespace/name.")
        if wanted.kind == "workspace" and wanted.name != self.guard.workspace:
            raise ServiceError("request-malformed", f"This is the workspace {self.guard.workspace!r}.")
        if any((s.kind, s.name) == (wanted.kind, wanted.name) for s in self._switches.all()):
            raise ServiceError("switch-thrown", f"{wanted.kind} {wanted.name!r} is stopped already.")
        now, by = time.time_ns() // 1_000_000, self._by()
        # In memory first: what is on its way to the disk must not go out any more.
        self._switches.throw(Thrown(wanted.kind, wanted.name, by, wanted.reason, now))
        stopped = 0 if self._host is None else self._host.stop_refused()
        self._store.note("switch.stop", f"switch:{wanted.kind}/{wanted.name}", reason=wanted.reason)
        await self._store.write([throw_switch(wanted.kind, wanted.name, now, by, wanted.reason)])
        return SwitchView(
            kind=wanted.kind,
            name=wanted.name,
            by=by,
            reason=wanted.reason,
            at=iso(now),
            stopped=stopped,
            warning=await self._doubt(wanted),
        )

    @governed("switch.release", on=_switch_of)
    async def release(self, wanted: NewSwitch) -> SwitchView:
        """Let it go on. What failed meanwhile stays failed; held tasks are retried from the exception inbox.

        Raises:
            ServiceError: `switch-unknown` where it is not stopped.
        """
        thrown = next((s for s in self._switches.all() if (s.kind, s.name) == (wanted.kind, wanted.name)), None)
        if thrown is None:
            raise ServiceError("switch-unknown", f"{wanted.kind} {wanted.name!r} is not stopped.")
        now, by = time.time_ns() // 1_000_000, self._by()
        self._store.note("switch.release", f"switch:{wanted.kind}/{wanted.name}", reason=wanted.reason)
        await self._store.write([release_switch(wanted.kind, wanted.name, now, by, wanted.reason)])
        self._switches.release(wanted.kind, wanted.name)
        return SwitchView(
            kind=thrown.kind,
            name=thrown.name,
            by=thrown.by,
            reason=thrown.reason,
            at=iso(thrown.at),
            released_at=iso(now),
            released_by=by,
            released_reason=wanted.reason,
        )

    @governed("switch.read")
    async def page(self, *, all: bool = False, limit: int = 50, after: str | None = None) -> Page[SwitchView]:
        """What is stopped, newest first; with `all`, also what was.

        Raises:
            ServiceError: `request-malformed` where `after` is no `next`.
        """
        if after is not None and not (after.isascii() and after.isdigit()):
            raise ServiceError("request-malformed", f"{after!r} is not the `next` of a page.")
        records = await self._store.read(lambda c: list_switches(c, thrown=not all))
        found = [record for record in records if after is None or record.number < int(after[:18])]
        items = [_view(record) for record in found[:limit]]
        return Page(items=items, next=str(found[limit - 1].number) if len(found) > limit else None)

    async def _doubt(self, wanted: NewSwitch) -> str | None:
        """Whether there is anything of this name. Asked when it is stopped already: first things first."""
        name = wanted.name
        is_operation = wanted.kind == "tool" and "/" in name and not name.startswith("function/")
        if wanted.kind == "connection" or is_operation:
            known, name = set(await self._store.connections()), name.partition("/")[0]
        elif wanted.kind == "workflow":
            known = {f"{found.namespace}/{found.name}" for found in await self._store.definitions()}
        elif wanted.kind == "model":
            known = {card.name for card in self._models.all()}
        else:
            return None
        if name in known:
            return None
        close = ", ".join(get_close_matches(name, known, n=3))
        return f"there is nothing called {name!r}; " + (f"is it {close}?" if close else "look at the name again")

    def _by(self) -> str:
        identity = self.guard.who()
        assert identity is not None, "the guard has let somebody in"
        return identity.name


def load_switches(guard: Guard, records: list[SwitchRecord]) -> None:
    """Stop what was stopped when the folder was closed."""
    for record in records:
        kind = msgspec.convert(record.kind, SwitchKind)
        guard.switches.throw(Thrown(kind, record.name, record.by, record.reason, record.at))


def _view(record: SwitchRecord) -> SwitchView:
    return SwitchView(
        kind=record.kind,
        name=record.name,
        by=record.by,
        reason=record.reason,
        at=iso(record.at),
        released_at=None if record.released_at is None else iso(record.released_at),
        released_by=record.released_by,
        released_reason=record.released_reason,
    )
