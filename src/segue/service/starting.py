"""What is asked of a run before it starts."""

from __future__ import annotations

import hashlib
from typing import Any

from segue.core import Plan
from segue.service.errors import ServiceError
from segue.types import DEFAULT_WORKSPACE


def keyed_ids(key: str, workspace: str, installation: str) -> tuple[str, tuple[str, ...]]:
    """The id of the run that a key starts, and those that earlier releases gave it.

    The key gives the run its id, so a restart remembers it without a table of keys. Workspace and installation are
    part of it: from the id follow the keys under which other systems do each act once, and those may be systems that
    two of them share, where a key such as `order-7` of one must not be taken for that of the other (decisions 0131
    and 0151).

    Args:
        installation: What the data file says of itself, the same after a restore.
    """

    def made(text: str) -> str:
        return "k-" + hashlib.blake2b(text.encode(), digest_size=15).hexdigest()

    earlier = (made(key),) if workspace == DEFAULT_WORKSPACE else (made(f"{workspace}\0{key}"), made(key))
    return made(f"{workspace}\0{installation}\0{key}"), earlier


def require_input(plan: Plan, given: Any) -> None:
    """Refuse an input that does not fit the workflow's schema.

    Raises:
        ServiceError: `input-refused`, naming the place.
    """
    check = plan.root.input_check
    complaint = None if check is None else check(given)
    if complaint is not None:
        raise ServiceError("input-refused", f"{plan.namespace}/{plan.name}:{plan.version}: {complaint}.")
