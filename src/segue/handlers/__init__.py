"""Handlers: one module for each kind of act against the world.

Each takes evaluated arguments, reveals secrets at the last moment, acts, and answers with a JSON value or a failure.
Nothing here decides what happens next, keeps state that must survive, or asks whether an act is allowed.
Importing this room is quick: what is heavy is imported by `build_handlers` or at first use.
Open `building.py` first, then `http.py`.
"""

from segue.handlers.building import HandlerSet, build_handlers
from segue.handlers.functions import Function, FunctionHandler, FunctionRegistry
from segue.handlers.model import ModelHandler
from segue.handlers.settings import MailSettings, ProcessSettings

__all__ = [
    "Function",
    "FunctionHandler",
    "FunctionRegistry",
    "HandlerSet",
    "MailSettings",
    "ModelHandler",
    "ProcessSettings",
    "build_handlers",
]
