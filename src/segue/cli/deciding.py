"""Deciding about what waits, as the commands of each kind do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from segue.cli.ask import Local, Request, ask
from segue.cli.common import Data
from segue.cli.output import print_json, say


def decide(
    path: str, wanted: msgspec.Struct, local: Local, said: Callable[[dict[str, Any]], str], data: Data, json: bool
) -> None:
    """Send a decision, and tell what became of it.

    Args:
        path: Where the server takes it. local: What takes it where no server runs.
        said: The line that tells of the answer.
    """
    found = ask(data, Request("POST", path, body=msgspec.to_builtins(wanted)), local)
    if json:
        print_json(found)
    else:
        say(said(found))
