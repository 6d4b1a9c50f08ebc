"""Golden histories: what runs of a release went through, and what the core said to each event.

A golden file is JSON: the documents, what the place offered when they were published, and for each run its events,
a digest of the commands that each event led to, and the state that it came to. Files are added, never edited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec

from segue.core import Plan, RunState, advance
from segue.dsl import (
    Environment,
    FunctionDocument,
    PythonFunction,
    compile_plan,
    default_function,
    read_document,
)
from segue.types import Command, Event, Failure, RunStatus

FOLDER: Final = Path(__file__).parent / "golden"


FIRST: Final = "1.0.0"


class Ending(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run came to: its result if it has ended, and otherwise what it waits for."""

    status: RunStatus
    output: Any = None
    failure: Failure | None = None
    open: list[Command] = []
    held: dict[str, Failure] = {}
    next_id: int = 1


class GoldenRun(msgspec.Struct, frozen=True):
    """One run. `commands[i]` is the digest of what event i led to; `all` that of all of them."""

    definition: str
    history: list[Event]
    commands: list[str]
    all: str
    ending: Ending


class Golden(msgspec.Struct, frozen=True):
    """A story of a release.

    Attributes:
        documents: By digest. functions: Python functions that they may call.
        catalogue: Versions of the catalogue's functions that bare names meant; the first one where none is said.
        told: What the story shows, for whoever finds it broken.
    """

    release: str
    name: str
    told: str
    documents: dict[str, str]
    functions: list[str]
    runs: list[GoldenRun]
    catalogue: dict[str, str] = {}


encode: Final = msgspec.json.Encoder(enc_hook=str).encode
_decode: Final = msgspec.json.Decoder(Golden).decode


def read(path: Path) -> Golden:
    """The story in this file."""
    return _decode(path.read_bytes())


def write(golden: Golden, path: Path) -> None:
    """Write a story, one event a line so that a person can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(encode(golden), indent=1) + b"\n")


@cache
def paths() -> list[Path]:
    """All golden files, of all releases."""
    return sorted(FOLDER.glob("*/*.json"))


def compiled(text: str, functions: Sequence[str], catalogue: Mapping[str, str] | None = None) -> Plan:
    """Today's plan of a document that was published where these functions were."""

    def pinned(name: str, version: str | None, endpoint: Any) -> FunctionDocument | None:
        return default_function(name, version or (catalogue or {}).get(name, FIRST), endpoint)

    environment = Environment(functions={name: PythonFunction(name) for name in functions}, resolve_function=pinned)
    return compile_plan(read_document(text), environment)


def replayed(plan: Plan, history: Sequence[Event], state: RunState | None = None) -> tuple[list[str], str, Ending]:
    """What today's core says to a history: a digest for each event, one of all, and the ending.

    Args:
        state: What the events before these led to.
    """
    digests = []
    whole = blake2b(digest_size=16)
    for event in history:
        state, commands = advance(plan, state, event)
        said = encode(commands)
        whole.update(said)
        digests.append(blake2b(said, digest_size=6).hexdigest())
    assert state is not None
    return digests, whole.hexdigest(), _ending(state)


def run_of(plan: Plan, history: Sequence[Event]) -> GoldenRun:
    """A run as it is kept."""
    digests, whole, ending = replayed(plan, history)
    return GoldenRun(plan.digest, list(history), digests, whole, ending)


def _ending(state: RunState) -> Ending:
    """Read back from JSON, so that what was kept and what is found can be compared."""
    held: Mapping[str, Failure] = {str(number): reason for number, reason in state.held.items()}
    opened = sorted(state.open.values(), key=lambda command: command.id)  # type: ignore[union-attr]
    made = Ending(state.status, state.output, state.failure, opened, dict(held), state.next_id)
    return msgspec.json.decode(encode(made), type=Ending)
