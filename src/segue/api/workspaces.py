"""One server for several workspaces: `/w/NAME/…` leads to each; a few routes are for the holder of their folder.

Theory. A request is given to a workspace by its path alone, and from there on it meets what a server of that one
folder would put before it: its guard, which knows the tokens and sessions of this folder and of no other. Whoever has
none of them cannot tell a name that is taken from one that is free: a name that nobody has is answered by an empty
data folder that nobody belongs to, through the same guard and the same routes, with the same work.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, Path, Request, Response

from segue.api.app import create_app, create_routes, names_of
from segue.api.bodies import read_json
from segue.api.building import PREFIX, build
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.api.guard import GUESSED_PATHS, Asgi, Guard, Receive, Scope, Send
from segue.api.pace import Pace
from segue.api.pages.places import SIGN_IN
from segue.service import (
    Health,
    NewWorkspace,
    RemovedWorkspace,
    Service,
    ServiceError,
    Settings,
    WorkspaceRemoval,
    Workspaces,
    WorkspaceView,
    is_name,
)
from segue.types import LOCAL_OWNER

HEALTH_PATHS: Final = frozenset({f"{PREFIX}/health", f"{PREFIX}/ready"})
_PREFIX: Final = "/w/"
_WITH_NAMES: Final = (f"{PREFIX}/login", SIGN_IN)
"""Where a name is barred after wrong passwords."""
_STRANGE_MAX: Final = 1000
_DRAIN_SECONDS: Final = 10.0
_NOBODY: Final = (
    "The request carries no token or session of this workspace, or a wrong one; or no such workspace is open."
)
_NO_NAME: Final = (
    "The request carries no token of this server."
    " The address of a workspace ends in /w/NAME, and its tokens count there."
)


class _Open:
    """A workspace that requests may come to."""

    def __init__(self, app: Asgi, stopping: asyncio.Event, token: str) -> None:
        self.app = app
        self.token = token
        self.stopping = stopping
        self.under_way = 0
        self.idle = asyncio.Event()
        self.idle.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.under_way += 1
        self.idle.clear()
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1
            if not self.under_way:
                self.idle.set()


class Border:
    """Gives each request to its workspace.

    Args:
        front: What answers where no workspace is named.
        nobody: A service over an empty folder, for names that no open workspace has.
        settings: Of the server.
    """

    def __init__(self, front: Asgi, nobody: Service, *, token: str, settings: Settings) -> None:
        self._front = front
        self._nobody = nobody
        self._token = token
        self._settings = settings
        self._routes = create_routes()
        self._guesses = Pace(settings.guesses_per_minute)
        self._open: dict[str, _Open] = {}
        self._strange: OrderedDict[str, Asgi] = OrderedDict()
        self._nobodys, _ = self._made(nobody, token, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if not path.startswith(_PREFIX):
            await self._front(scope, receive, send)
            return
        name = path.removeprefix(_PREFIX).partition("/")[0]
        app = self._open.get(name) or self._no_one(name, path)
        await app({**scope, "root_path": _PREFIX + name}, receive, send)

    def admit(self, name: str, service: Service, *, token: str, settings: Settings) -> None:
        """Let requests in.

        Args:
            settings: Of the workspace, which hold those of the server.

        Raises:
            ServiceError: `folder-unusable` where another workspace has this token.
        """
        if any(hmac.compare_digest(one.token.encode(), token.encode()) for one in self._open.values()):
            raise ServiceError(
                "folder-unusable",
                f"The file `token` of {name!r} is that of another workspace.",
                remedy="Remove it; another one is made.",
            )
        self._open[name] = _Open(*self._made(service, token, settings), token)

    def refuse(self, name: str) -> _Open:
        """Let none in any more, and end its streams."""
        one = self._open.pop(name)
        one.stopping.set()
        return one

    async def dismiss(self, name: str) -> None:
        """The same, and wait a while for what is under way."""
        one = self.refuse(name)
        try:
            await asyncio.wait_for(one.idle.wait(), _DRAIN_SECONDS)
        except TimeoutError:
            return  # What its store still answers they get; then they fail, as they would at the end of the process.

    def stop(self) -> None:
        """End the streams of all."""
        for one in self._open.values():
            one.stopping.set()

    def _made(self, service: Service, token: str, settings: Settings) -> tuple[Asgi, asyncio.Event]:
        return create_app(
            service,
            token=token,
            settings=settings,
            routes=self._routes,
            guesses=self._guesses,
            open_paths=GUESSED_PATHS,
            refusal=_NOBODY,
        )

    def _no_one(self, name: str, path: str) -> Asgi:
        """Who answers for a name that nobody has."""
        # What no workspace can be called tells nothing, and would be kept here at any length.
        if not path.endswith(_WITH_NAMES) or not is_name(name):
            return self._nobodys
        # Five wrong passwords bar a name in one workspace and not in the next: so it must be here.
        app = self._strange.pop(name, None)
        if app is None:
            alike = replace(self._nobody, sessions=self._nobody.sessions.anew())
            app, _ = self._made(alike, self._token, self._settings)
        self._strange[name] = app
        if len(self._strange) > _STRANGE_MAX:
            self._strange.popitem(last=False)
        return app


# -- the front -------------------------------------------------------------------------------------

router = APIRouter(prefix=PREFIX, tags=["workspaces"])
_SPACES: Final = "segue.workspaces"


def _workspaces(request: Request) -> Workspaces:
    found: Workspaces = request.scope[_SPACES]
    return found


_Asked = Annotated[Workspaces, Depends(_workspaces)]
_Name = Annotated[str, Path(alias="workspace", description="Its name.", min_length=1, max_length=255)]


@router.get("/health", **operation("getHealth", "Is the process alive", answers={200: json_answer(Health, "It is.")}))
async def get_health(workspaces: _Asked) -> Response:
    """`degraded` where a workspace is broken or takes no work; which one is for the holder of the folder to see."""
    return json_response(workspaces.health())


@router.get(
    "/ready", **operation("getReady", "Can the server work", answers={200: json_answer(Health, "For some of them.")})
)
async def get_ready(workspaces: _Asked) -> Response:
    """As health: one workspace that is broken must not take the others off the network."""
    return json_response(workspaces.health())


@router.get(
    "/workspaces",
    **operation("listWorkspaces", "List workspaces", answers={200: json_answer(list[WorkspaceView], "By name.")}),
)
async def list_workspaces(workspaces: _Asked) -> Response:
    """With their state, and why one is broken."""
    return json_response(workspaces.list())


@router.post(
    "/workspaces",
    **operation(
        "createWorkspace",
        "Make a workspace",
        answers={201: json_answer(WorkspaceView, "It is there, and open where nothing is wrong.")},
        problems=("workspace-refused", "folder-unusable"),
        body=json_body(NewWorkspace),
    ),
)
async def create_one(request: Request, workspaces: _Asked) -> Response:
    """Its first token lies in its folder."""
    return json_response(await workspaces.create(await read_json(request, NewWorkspace)), 201)


@router.post(
    "/workspaces/{workspace}/remove",
    **operation(
        "removeWorkspace",
        "Close a workspace and put it aside",
        answers={200: json_answer(RemovedWorkspace, "Where it lies now; nothing of it is deleted.")},
        problems=("workspace-unknown", "folder-busy", "folder-unusable"),
        body=json_body(WorkspaceRemoval),
    ),
)
async def remove_one(workspace: _Name, request: Request, workspaces: _Asked) -> Response:
    """Runs under way stay as they are in its file."""
    return json_response(await workspaces.remove(workspace, await read_json(request, WorkspaceRemoval)))


class Front:
    """Routes for the holder of the folder. `workspaces` is set once there are any."""

    def __init__(self, *, token: str, settings: Settings) -> None:
        self.workspaces: Workspaces | None = None
        self._routes = front_routes()
        self._guard = Guard(
            self._ask,
            token=token,
            owner=LOCAL_OWNER,
            # Whoever is somebody in a workspace is nobody here.
            bearer_of=lambda _: None,
            names=names_of(settings),
            max_body_bytes=settings.max_body_bytes,
            open_paths=HEALTH_PATHS,
            refusal=_NO_NAME,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guard(scope, receive, send)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.workspaces is not None, "it is set before anybody can ask"
        scope[_SPACES] = self.workspaces
        await self._routes(scope, receive, send)


def front_routes() -> FastAPI:
    """The routes for the holder of the folder, for a server and for whoever reads their description."""
    said = "Workspaces of one server. The API of each is below `/w/NAME`."
    return build("Segue, several workspaces", said, (router,))
