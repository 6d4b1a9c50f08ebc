"""`segue events send`."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import AsJson, Data
from segue.cli.inputs import read_json
from segue.cli.output import print_json, say
from segue.service import ServiceError


def send(
    event: Annotated[
        str | None, Parameter(help="A CloudEvent, or a list of them: JSON, @FILE, or @- for standard input.")
    ] = None,
    /,
    *,
    type: Annotated[str | None, Parameter(help="Type, where no event is given.")] = None,
    source: Annotated[str, Parameter(help="Source, where no event is given.")] = "/segue/cli",
    id: Annotated[str | None, Parameter(help="Id; a fresh one where it is left out.")] = None,
    subject: Annotated[str | None, Parameter(help="Subject.")] = None,
    content: Annotated[str | None, Parameter(name="--content", help="Data of the event: JSON, @FILE or @-.")] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Send CloudEvents to the server of the data folder. Each source and id counts once."""
    if (event is None) == (type is None):
        raise ServiceError(
            "command-refused",
            "Give either an event or --type.",
            remedy="segue events send --type order.paid --content '{\"order\": 7}'",
        )
    events: Any = read_json(event, "EVENT") if event is not None else None
    if event is None:
        events = {"specversion": "1.0", "id": id or str(uuid.uuid4()), "source": source, "type": type}
        events |= {} if subject is None else {"subject": subject}
        events |= {} if content is None else {"data": read_json(content, "--content")}
    media = "application/cloudevents-batch+json" if isinstance(events, list) else "application/cloudevents+json"
    answer = ask(data, Request("POST", "/events", body=events, media=media), None)
    if json:
        print_json(answer)
        return
    for one in answer["events"]:
        say(f"{'accepted' if one['accepted'] else 'duplicate'} {one['source']} {one['id']}")
