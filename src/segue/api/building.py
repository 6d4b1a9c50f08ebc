"""An application of routes: with problem documents, and a description in which nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fastapi import APIRouter, FastAPI

import segue
from segue.api import describe, problems

PREFIX: Final = "/api/v1"


def build(title: str, description: str, routers: Iterable[APIRouter]) -> FastAPI:
    """The application of these routes. Nothing but them answers, and errors are problem documents."""
    app = FastAPI(
        title=title,
        version=segue.__version__,
        description=description,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in routers:
        app.include_router(router)
    problems.install(app)

    def openapi() -> dict[str, Any]:
        return describe.openapi(app)

    app.openapi = openapi  # type: ignore[method-assign]
    return app
