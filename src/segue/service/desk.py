"""Where people find the pages, below the address of the server: links in notices lead there."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

DESK: Final = "/desk"
"""What the addresses of all pages begin with; the API has its own. Decision 0152 says why they are two."""


def inbox_page() -> str:
    """What waits for whoever opens it."""
    return f"{DESK}/inbox"


def task_page(number: int) -> str:
    """One task, for whoever signs in and may see it."""
    return f"{DESK}/tasks/{number}"


def code_page(code: str) -> str:
    """The task that a one-time code is for, for whoever has it."""
    return f"{DESK}/code?{urlencode({'code': code})}"
