"""Use case: send CloudEvents in. Each pair of source and id counts once."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from segue.governance import Resource
from segue.service.access import UseCases, admit_to, governed
from segue.service.errors import ServiceError
from segue.service.masks import refuse_masks
from segue.service.shapes import Sent, SentEvents

BATCH_MAX: Final = 1000
TEXT_MAX: Final = 4096
"""Characters of an attribute. Types, sources and ids are keys, in memory and on disk; what is large belongs into
`data`."""
_REQUIRED: Final = ("specversion", "id", "source", "type")
_OWN_TYPES: Final = "io.segue."
_OWN_SOURCE: Final = "/segue/exceptions/"
"""What Segue tells itself. Each source and id counts once, so who sent its event first would also silence it."""
_OF_A_WORKFLOW: Final = re.compile(r"/[a-z0-9-]+/[a-z0-9-]+/\d+\.\d+\.\d+(?:[-+][\w.+-]*)?", re.ASCII)
"""The source of what runs emit: `/namespace/name/version`."""
_OF_A_RUN: Final = re.compile(r"(?:[0-9a-f]{12}-[0-9a-f]{12}|k-[0-9a-f]{30})(?:~\d+)*-\d+", re.ASCII)
"""The id of what a run emits: its own and the number of its task. Also where the document gives the event another
source, whoever sent it first would have the run's event taken for a second one."""
_TEXTS: Final = ("datacontenttype", "dataschema", "subject", "time")


class Publisher(Protocol):
    """What sending needs of a host."""

    async def publish_many(self, events: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Keep the events and offer them to whoever waits; False for a source and id that is known."""
        ...


class Events(UseCases):
    """Events for one host; None where no host runs."""

    def __init__(self, host: Publisher | None) -> None:
        self._host = host

    @governed("event.send", on=lambda self, events, *_, **__: _of(_first(events)))
    async def send(self, events: list[Any]) -> SentEvents:
        """Send events, in order. All are checked before the first one is sent.

        Whoever sends must be allowed to for each source and type among them.

        Raises:
            ServiceError: `event-refused`, naming the event and what is wrong, `mask-refused`, or `server-needed`.
        """
        if self._host is None:
            raise ServiceError("server-needed", "Only a running server can take events.")
        if not events or len(events) > BATCH_MAX:
            raise ServiceError("event-refused", f"A batch holds 1 to {BATCH_MAX} events, not {len(events)}.")
        for place, event in enumerate(events):
            _check(event, place)
        for resource in {tuple(found.attributes.values()): found for found in map(_of, events[1:])}.values():
            admit_to(self.guard, "event.send", resource, silent=True)
        refuse_masks(events=[_read(event) for event in events])
        try:
            taken = await self._host.publish_many(events)
        except ValueError as error:
            raise ServiceError("event-refused", f"{error}.") from None
        sent = [
            Sent(id=event["id"], source=event["source"], accepted=accepted)
            for event, accepted in zip(events, taken, strict=True)
        ]
        accepted = sum(one.accepted for one in sent)
        return SentEvents(accepted=accepted, duplicates=len(sent) - accepted, events=sent)


def _first(events: Any) -> Any:
    return events[0] if isinstance(events, list) and events else None


def _of(event: Any) -> Resource:
    """Where an event says that it is from."""
    source, kind = (event.get("source"), event.get("type")) if isinstance(event, dict) else ("", "")
    if not isinstance(source, str) or not isinstance(kind, str):
        return Resource("Event")
    # Without an id: that is written into the audit chain as it is, and senders put people into sources.
    return Resource("Event", attributes={"source": source, "type": kind})


def _read(event: dict[str, Any]) -> dict[str, Any]:
    """The event with its bytes as text, where they are text: a listener reads them as they came."""
    given = event.get("data_base64")
    if not isinstance(given, str):
        return event
    try:
        return {**event, "data_base64": base64.b64decode(given).decode()}
    except ValueError:
        return event


def _check(event: Any, place: int) -> None:
    if not isinstance(event, dict):
        raise ServiceError("event-refused", f"Event {place}: a CloudEvent is a JSON object.")
    for name in _REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise ServiceError("event-refused", f"Event {place}: {name!r} must be text and not empty.")
    for name, value in event.items():
        if name != "data" and name != "data_base64" and isinstance(value, str) and len(value) > TEXT_MAX:
            raise ServiceError("event-refused", f"Event {place}: {name[:40]!r} has more than {TEXT_MAX} characters.")
    if event["type"].startswith(_OWN_TYPES) or (event["source"] + "/").startswith(_OWN_SOURCE):
        raise ServiceError(
            "event-refused",
            f"Event {place}: types of {_OWN_TYPES!r} and the source {_OWN_SOURCE!r} are Segue's own.",
            remedy="Give it a type and a source of the system that it is from.",
        )
    if _OF_A_WORKFLOW.fullmatch(event["source"]) or _OF_A_RUN.fullmatch(event["id"]):
        raise ServiceError(
            "event-refused",
            f"Event {place}: sources that read /namespace/name/version, and ids of what runs emit, are ours.",
            remedy="Give it a source and an id of the system that it is from, also if that is another Segue.",
        )
    if event["specversion"] != "1.0":
        raise ServiceError("event-refused", f"Event {place}: specversion must be '1.0'.")
    for name in _TEXTS:
        if event.get(name) is not None and not isinstance(event[name], str):
            raise ServiceError("event-refused", f"Event {place}: {name!r} must be text.")
    if "data" in event and "data_base64" in event:
        raise ServiceError("event-refused", f"Event {place}: it has both 'data' and 'data_base64'.")
    for name in event:
        # Attribute names of CloudEvents 1.0: lower-case letters and digits.
        if name != "data_base64" and not (name.isascii() and name.isalnum() and name == name.lower()):
            raise ServiceError("event-refused", f"Event {place}: {name!r} is no name of an attribute.")
