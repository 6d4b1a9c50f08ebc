"""Refusals in the audit chain, so that they can be looked up and nobody fills the chain with them.

Whoever may ask anything is refused as often as they like to ask. Of each of them and each action, the first refusal
in five minutes is recorded at once; those that follow are counted, and told in one record when the five minutes are
over or the folder is closed, with some of what they were about. Beyond a thousand of those the rest are counted
together. A process that is killed loses counts of five minutes and no first refusal.

Source: decision 0110, for those who are signed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from segue.types import AuditSink

INTERVAL_MS: Final = 5 * 60_000
NAMED_MAX: Final = 1000
TOLD_MAX: Final = 20
"""Resources that a count names."""
RESOURCE_MAX: Final = 200
"""Characters of a resource in a record: whoever is refused chose them."""
_OTHERS: Final = ("several", "several")


@dataclass(slots=True)
class _Count:
    more: int = 0
    about: dict[str, None] = field(default_factory=dict)


class Refusals:
    """Counts them for one guard."""

    def __init__(self, workspace: str) -> None:
        self._workspace = workspace
        self._since = 0
        self._counts: dict[tuple[str, str], _Count] = {}

    def is_first(self, principal: str, action: str, resource: str, now: int) -> bool:
        """Count one; whoever asks records the first. `tell` comes before where `is_due`."""
        key = (principal, action)
        if key not in self._counts and len(self._counts) >= NAMED_MAX:
            key = _OTHERS
        count = self._counts.get(key)
        if count is None:
            if not self._counts:
                self._since = now
            self._counts[key] = _Count()
            return True
        count.more += 1
        if len(count.about) < TOLD_MAX:
            count.about[resource[:RESOURCE_MAX]] = None
        return False

    def is_due(self, now: int) -> bool:
        """Five minutes are over."""
        return bool(self._counts) and not self._since <= now < self._since + INTERVAL_MS

    def tell(self, sink: AuditSink, now: int) -> None:
        """Record what was counted, and begin again."""
        counts, self._counts = self._counts, {}
        for (principal, action), count in counts.items():
            if count.more:
                told: dict[str, Any] = {"count": count.more, "about": list(count.about)}
                sink.record(
                    principal=principal,
                    action=action,
                    resource="",
                    verdict="deny",
                    reason="further refusals within five minutes",
                    at=now,
                    workspace=self._workspace,
                    data=told,
                )
