"""What the routes share: the service they ask, where they are, and the parameters of lists.

Which service that is stands with the request: the guard of its data folder put it there, so that the same routes
serve any number of folders and hold nothing of any.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Path, Query, Request
from pydantic import BeforeValidator

from segue.service import PAGE_MAX, Service

SERVICE: Final = "segue.service"
STOPPING: Final = "segue.stopping"
FOLLOWED: Final = "segue.followed"
"""Where they stand in the scope of a request."""


def _service(request: Request) -> Service:
    service: Service = request.scope[SERVICE]
    return service


def root_of(scope: Mapping[str, Any]) -> str:
    """What the addresses of this workspace begin with, such as `/w/sales`; empty where the server has one only."""
    root: str = scope.get("root_path", "")
    return root


def address_of(scope: Mapping[str, Any]) -> str:
    """The same as it stands in links and headers: whoever asks for a workspace that there is none of names it as they
    like, with line ends if they like."""
    return quote(root_of(scope), safe="/")


def route_of(scope: Mapping[str, Any]) -> str:
    """The path of a request below that."""
    path: str = scope["path"]
    return path.removeprefix(root_of(scope))


def _moment(text: object) -> datetime:
    # Left to itself the framework reads `0.5` as half a second after 1970.
    if not isinstance(text, str) or "T" not in text.upper():
        raise ValueError("write it as 2026-01-31T12:00:00Z")
    return datetime.fromisoformat(text.upper())


Moment = Annotated[datetime, BeforeValidator(_moment)]
Workflow = Annotated[str | None, Query(description="Only `namespace/name`.", pattern="^[A-Za-z0-9-]+/[A-Za-z0-9-]+$")]
Asked = Annotated[Service, Depends(_service)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Items on a page.")]
After = Annotated[str | None, Query(description="The `next` of the page before.", max_length=500)]
Namespace = Annotated[str, Path(description="Namespace of the workflow.", min_length=1, max_length=63)]
Name = Annotated[str, Path(description="Name of the workflow.", min_length=1, max_length=63)]
Version = Annotated[str, Path(description="A version, or `latest`.", min_length=1, max_length=100)]
RunId = Annotated[str, Path(alias="run", description="Id of the run.", min_length=1, max_length=200)]
