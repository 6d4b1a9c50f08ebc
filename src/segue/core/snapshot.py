"""A snapshot: the whole state of a run as bytes, and back, exactly.

Theory. A state is a graph: frames point to their parents, to nodes of the plan and to threads, and several may point
to the same thread or value. What is one object must be one object again, because machines ask so (a fork joins the
branches whose context is another object than before it). So every object has a place in one of two lists:

    records   structs, field by field. What is written for a field is a plain number, text or nothing as it is, and
              anything else as a pair of a letter and what it refers to: a struct, a node, a value, a container.
    values    JSON values, each packed as a whole. What two fields share is one entry.

Nodes are named by their index in the plan, so a snapshot belongs to one definition. Secrets are written as the
references that they are. A value holds what JSON holds and references to secrets; anything else raises, and then
there is no snapshot rather than a wrong one.

A large value may stand elsewhere, once for every snapshot and event that hold it: whoever takes a snapshot may keep
it and leave 32 bytes in its place (`Keep`), and whoever reads it brings the value back (`Fetch`).

Rules for later releases, because a history before a snapshot may be gone (decision 0046). A field that a struct
gains needs a default, and the default means what runs did before the field; it is what an older snapshot gets. A
struct or field that goes needs a reader of the old form here. `tests/replay` keeps snapshots of every release.

Law: for every plan and history, going on from the state that was read back gives the same commands, byte for byte, as
going on from the state that was written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from segue.core.machines.approval import Withheld
from segue.core.machines.fork import Join
from segue.core.machines.human import Tasking
from segue.core.machines.listen import Listening
from segue.core.plan import Node, Plan
from segue.core.state import Attempts, Closing, Deferred, Frame, RunState, Thread, Undo
from segue.types import Approval, AwaitMessages, Failure, Offer, Perform, SecretText, StartTimer

FORMAT: Final = 1
"""Raised when the meaning of a snapshot changes. Every older format must still be read."""

LARGE_FROM_BYTES: Final = 32 * 1024
"""Values from this size on are offered to `Keep`."""

Keep = Callable[[Any], bytes | None]
"""Keeps a large value elsewhere and answers with 32 bytes that name it; None leaves it in the snapshot."""

Fetch = Callable[[bytes], Any]
"""Brings back what was kept under these bytes."""

_STRUCTS: Final[dict[str, type[msgspec.Struct]]] = {
    kind.__name__: kind
    for kind in (
        RunState,
        Frame,
        Thread,
        Deferred,
        Undo,
        Closing,
        Join,
        Listening,
        Attempts,
        Tasking,
        Withheld,
        Approval,
        Perform,
        StartTimer,
        AwaitMessages,
        Offer,
        Failure,
    )
}
_FRAMES: Final = frozenset(
    {"open", "frames", "timers", "held", "deferred", "threads", "undos", "withheld", "approvals"}
)
"""Fields that hold containers of structs. All other containers are values."""

_PLAIN: Final = frozenset({int, bool, str, type(None)})

_SECRET: Final = 1
_NUMBER: Final = 2
_KEPT: Final = 3
_NUMBER_MAX: Final = 2**63


class SnapshotRefused(ValueError):
    """The state cannot be written exactly, or these bytes are no snapshot of this plan and release."""


class _Snapshot(msgspec.Struct, frozen=True, array_like=True):
    format: int
    digest: str
    shapes: dict[str, tuple[str, ...]]
    records: list[tuple[str, list[Any]]]
    values: list[Any]


class _Head(msgspec.Struct, frozen=True, array_like=True):
    format: int
    digest: str


class _Kept(msgspec.Struct, frozen=True):
    place: bytes


def take(plan: Plan, state: RunState, keep: Keep | None = None) -> bytes:
    """Write a state down.

    Args:
        plan: The one that the run is pinned to.
        keep: Asked for each large value.

    Raises:
        SnapshotRefused: It holds something that cannot be read back exactly.
    """
    writer = _Writer()
    writer.struct(state)
    shapes = {name: kind.__struct_fields__ for name, kind in _STRUCTS.items()}
    try:
        values = [_written(value, keep) for value in writer.values]
        return _encoder.encode(_Snapshot(FORMAT, plan.digest, shapes, writer.records, values))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SnapshotRefused(f"the state holds what a snapshot cannot: {error}") from error


def digest_of(content: bytes) -> str:
    """The digest of the definition that a snapshot belongs to.

    Raises:
        SnapshotRefused: This is no snapshot.
    """
    try:
        return _head_decoder.decode(content).digest
    except (msgspec.DecodeError, ValueError) as error:
        raise SnapshotRefused(f"this is no snapshot: {error}") from error


def restore(plan: Plan, content: bytes, fetch: Fetch | None = None) -> RunState:
    """Read a state back.

    Args:
        fetch: Brings back the values that were kept elsewhere; may be left out where none was.

    Raises:
        SnapshotRefused: It belongs to another definition or a newer release, or is damaged.
    """
    try:
        snapshot = _decoder.decode(content)
    except (msgspec.DecodeError, ValueError) as error:
        raise SnapshotRefused(f"this is no snapshot: {error}") from error
    if snapshot.format != FORMAT or snapshot.digest != plan.digest:
        raise SnapshotRefused("the snapshot is of another definition or format")
    values = [_fetched(value, fetch) for value in snapshot.values]
    try:
        state = _Reader(plan, msgspec.structs.replace(snapshot, values=values)).struct(0)
    except (LookupError, TypeError, ValueError) as error:
        raise SnapshotRefused(f"the snapshot is damaged: {error!r}") from error
    assert isinstance(state, RunState)
    state.definition = state.definition or plan.digest
    return state


# -- writing -----------------------------------------------------------------------------------------


class _Writer:
    def __init__(self) -> None:
        self.records: list[tuple[str, list[Any]]] = []
        self.values: list[Any] = []
        self._places: dict[int, int] = {}
        # An id is only an object's as long as the object lives.
        self._alive: list[Any] = []

    def struct(self, item: msgspec.Struct) -> int:
        """The place of a struct; it is written when it is met first."""
        known = self._places.get(id(item))
        if known is not None:
            return known
        kind = type(item).__name__
        if _STRUCTS.get(kind) is not type(item):
            raise SnapshotRefused(f"a snapshot knows no {kind}")
        fields: list[Any] = []
        place = self._keep(item, kind, fields)
        fields += [self._field(name, getattr(item, name)) for name in item.__struct_fields__]
        return place

    def _field(self, name: str, item: Any) -> Any:
        # A context is compared by identity, so even text and numbers must stay the object that they are.
        if type(item) in _PLAIN and name != "context":
            return item
        if isinstance(item, Node):
            return ["n", item.index]
        if isinstance(item, msgspec.Struct):
            return ["s", self.struct(item)]
        if isinstance(item, set):
            return ["e", sorted(item)]
        if isinstance(item, tuple):
            return ["u", [self._item(value) for value in item]] if name in _FRAMES else ["t", list(item)]
        if name in _FRAMES:
            return self._container(item)
        return ["v", self._value(item)]

    def _container(self, item: Any) -> Any:
        if isinstance(item, dict):
            return ["d", [[key, self._item(value)] for key, value in item.items()]]
        return ["l", [self._item(value) for value in item]]

    def _item(self, item: Any) -> Any:
        if isinstance(item, tuple):  # A timer: whose it is, and what for.
            return ["p", [self.struct(item[0]), item[1]]]
        return ["s", self.struct(item)]

    def _value(self, item: Any) -> int:
        known = self._places.get(id(item))
        if known is None:
            known = self._places[id(item)] = len(self.values)
            self._alive.append(item)
            self.values.append(item)
        return known

    def _keep(self, item: Any, kind: str, fields: list[Any]) -> int:
        place = self._places[id(item)] = len(self.records)
        self._alive.append(item)
        self.records.append((kind, fields))
        return place


# -- reading -----------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, plan: Plan, snapshot: _Snapshot) -> None:
        self._plan = plan
        self._values = snapshot.values
        self._records = snapshot.records
        # Frames refer to their parents and a fork's data to threads: all are made first, and filled then.
        self._made = [_blank(kind, snapshot.shapes[kind]) for kind, _ in self._records]
        for made, (kind, fields) in zip(self._made, self._records, strict=True):
            for name, written in zip(snapshot.shapes[kind], fields, strict=True):
                # Commands and failures are frozen for everybody but their maker.
                msgspec.structs.force_setattr(made, name, self._read(written))

    def struct(self, place: int) -> msgspec.Struct:
        """The struct at this place."""
        return self._made[place]

    def _read(self, written: Any) -> Any:
        if type(written) in _PLAIN:
            return written
        kind, content = written
        return _READ[kind](self, content)

    def node(self, content: int) -> Node:
        return self._plan.nodes[content]

    def value(self, content: int) -> Any:
        return self._values[content]

    def container(self, content: list[Any]) -> list[Any]:
        return [self._read(item) for item in content]

    def mapping(self, content: list[Any]) -> dict[Any, Any]:
        return {key: self._read(item) for key, item in content}

    def timer(self, content: list[Any]) -> tuple[msgspec.Struct, str]:
        return self._made[content[0]], content[1]


_READ: Final[dict[str, Callable[[_Reader, Any], Any]]] = {
    "n": _Reader.node,
    "s": _Reader.struct,
    "v": _Reader.value,
    "l": _Reader.container,
    "d": _Reader.mapping,
    "p": _Reader.timer,
    "e": lambda _, content: set(content),
    "t": lambda _, content: tuple(content),
    "u": lambda reader, content: tuple(reader.container(content)),
}


def _blank(name: str, written: Sequence[str]) -> msgspec.Struct:
    """A struct to be filled. Fields that an older release did not know keep their defaults.

    Raises:
        SnapshotRefused: The snapshot has a struct or field that this release does not know, or lacks one.
    """
    kind = _STRUCTS.get(name)
    try:
        if kind is not None:
            return kind(**dict.fromkeys(written))
    except TypeError:
        pass
    raise SnapshotRefused(f"the snapshot was taken by another release: {name} has other fields here")


# -- values ------------------------------------------------------------------------------------------


def _written(value: Any, keep: Keep | None) -> Any:
    """A value as it is packed, or what stands for it."""
    try:
        raw = _encoder.encode(value)
    except OverflowError:
        raw = _encoder.encode(_boxed(value))
    if keep is None or len(raw) < LARGE_FROM_BYTES or (place := keep(value)) is None:
        return msgspec.Raw(raw)
    return msgspec.msgpack.Ext(_KEPT, place)


def _fetched(value: Any, fetch: Fetch | None) -> Any:
    if not isinstance(value, _Kept):
        return value
    if fetch is None:
        raise SnapshotRefused("a value of the snapshot stands elsewhere, and nobody brings it")
    return fetch(value.place)


def _pack(item: Any) -> Any:
    """What message packs do not know."""
    if isinstance(item, SecretText):
        return msgspec.msgpack.Ext(_SECRET, msgspec.msgpack.encode(item.pieces))
    raise TypeError(f"a value of type {type(item).__name__!r} is not JSON")


def _boxed(item: Any) -> Any:
    """A value in which whole numbers beyond 64 bits are packed as text."""
    if isinstance(item, dict):
        return {key: _boxed(value) for key, value in item.items()}
    if isinstance(item, list):
        return [_boxed(value) for value in item]
    if type(item) is int and not -_NUMBER_MAX <= item < _NUMBER_MAX:
        return msgspec.msgpack.Ext(_NUMBER, str(item).encode())
    return item


def _unpack(code: int, content: memoryview) -> Any:
    if code == _SECRET:
        pieces = msgspec.msgpack.decode(content)
        return SecretText(tuple(piece if isinstance(piece, str) else tuple(piece) for piece in pieces))
    if code == _NUMBER:
        return int(bytes(content))
    if code == _KEPT:
        return _Kept(bytes(content))
    raise ValueError(f"unknown extension {code}")


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_pack)
_decoder: Final = msgspec.msgpack.Decoder(_Snapshot, ext_hook=_unpack)
_head_decoder: Final = msgspec.msgpack.Decoder(_Head)
