"""Where the pages are, below the address of their workspace; and which of them somebody may be sent back to."""

from __future__ import annotations

import re
from typing import Final

from segue.service import DESK

INBOX: Final = f"{DESK}/inbox"
SIGN_IN: Final = f"{DESK}/sign-in"
SIGN_OUT: Final = f"{DESK}/sign-out"
PASSWORD: Final = f"{DESK}/password"
CODE: Final = f"{DESK}/code"
CSRF_FIELD: Final = "csrf"
OPEN: Final = frozenset({SIGN_IN, CODE})
"""Asked by whoever is nobody yet: there passwords and codes can be tried."""
_OWN: Final = re.compile(rf"{DESK}/(?:inbox|tasks/[0-9]{{1,16}})(?:\?[A-Za-z0-9_=&%.~-]{{0,500}})?")


def is_page(route: str) -> bool:
    """The address of a page, or of nothing among them."""
    return route == DESK or route.startswith(DESK + "/")


def own(path: str | None) -> str:
    """This path where it is one of ours that somebody can be sent back to after signing in; else the inbox.

    A list of what there is and not of what is bad: there are more ways to write another server's address than anybody
    remembers.
    """
    return path if path is not None and _OWN.fullmatch(path) else INBOX
