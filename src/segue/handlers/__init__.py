"""Handlers: one module for each kind of act against the world.

Each takes evaluated arguments, reveals secrets at the last moment, acts, and answers with a JSON value or a failure.
Nothing here decides what happens next, keeps state that must survive, or asks whether an act is allowed.
Importing this room is quick: what is heavy is imported by `build_handlers` or at first use.
Open `building.py` first, then `http.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segue.handlers.building import HandlerSet, build_handlers
from segue.handlers.functions import Function, FunctionHandler, FunctionRegistry

if TYPE_CHECKING:
    from segue.handlers.notify import MailSettings
    from segue.handlers.processes import ProcessSettings


def __getattr__(name: str) -> Any:
    # Their modules import the HTTP client.
    if name == "MailSettings":
        from segue.handlers.notify import MailSettings

        return MailSettings
    if name == "ProcessSettings":
        from segue.handlers.processes import ProcessSettings

        return ProcessSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Function",
    "FunctionHandler",
    "FunctionRegistry",
    "HandlerSet",
    "MailSettings",
    "ProcessSettings",
    "build_handlers",
]
