"""What is asked of a run before it starts."""

from __future__ import annotations

import hashlib
from typing import Any

from segue.core import Plan
from segue.service.errors import ServiceError
from segue.types import DEFAULT_WORKSPACE


def keyed_ids(key: str, workspace: str) -> tuple[str, str | None]:
    """The id of the run that a key starts, and the one that an earlier release gave it, where that is another.

    The key gives the run its id, so a restart remembers it without a table of keys. The workspace is part of it: from
    the id follow the keys under which other systems do each act once, and those may be systems that two workspaces
    share, where a key such as `order-7` of one must not be taken for that of the other (decision 0131).
    """

    def made(text: str) -> str:
        return "k-" + hashlib.blake2b(text.encode(), digest_size=15).hexdigest()

    return (made(key), None) if workspace == DEFAULT_WORKSPACE else (made(f"{workspace}\0{key}"), made(key))


def require_input(plan: Plan, given: Any) -> None:
    """Refuse an input that does not fit the workflow's schema.

    Raises:
        ServiceError: `input-refused`, naming the place.
    """
    check = plan.root.input_check
    complaint = None if check is None else check(given)
    if complaint is not None:
        raise ServiceError("input-refused", f"{plan.namespace}/{plan.name}:{plan.version}: {complaint}.")
