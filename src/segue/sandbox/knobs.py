"""Trouble on demand: what can be set at a running system."""

from __future__ import annotations

import random
from typing import Annotated, Any

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Knobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a system behaves. They live in memory: a restarted system behaves well again.

    Attributes:
        latency_ms: Wait before the work of each operation. A client that hangs up meanwhile does not stop it.
        fail_rate: Share of operations answered with `fail_status` before any work.
        fail_next: So many next operations are answered with `fail_status` before any work.
        fail_status: Status of those failures.
        rate_limit_per_s: Operations per second before 429 with `Retry-After`; bursts of one second. None: no limit.
        token_lifetime_s: Lifetime of access tokens (CRM only). Lowering it shortens tokens already issued.
        drop_before_write: Share of writing operations where the connection is closed and nothing is written.
        drop_after_write: Share of writing operations where the write is kept and the connection closed unanswered.
        stale_as_of: As-of time that records claim (billing and usage only). None: the company's today at 00:00 UTC.
        draw_seed: Seed of the draws behind the shares; setting it starts the draws anew.
    """

    latency_ms: Annotated[float, msgspec.Meta(ge=0, le=600_000)] = 0
    fail_rate: Share = 0
    fail_next: Count = 0
    fail_status: Annotated[int, msgspec.Meta(ge=500, le=599)] = 503
    rate_limit_per_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    token_lifetime_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    drop_before_write: Share = 0
    drop_after_write: Share = 0
    stale_as_of: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")] | None = None
    draw_seed: int = 1


class Board:
    """A system's knobs, and the state that they need: the draws and the rate limiter's bucket."""

    def __init__(self, defaults: Knobs, *, without: frozenset[str]) -> None:
        self.knobs = defaults
        self._without = without
        self._random = random.Random(defaults.draw_seed)  # noqa: S311 - trouble, not secrets
        self._tokens = 0.0
        self._filled_at = 0.0

    def turn(self, changes: dict[str, Any]) -> None:
        """Set some knobs and leave the others.

        Raises:
            ValueError: A knob is unknown here or its value does not fit; nothing was changed.
        """
        if foreign := sorted(self._without & changes.keys()):
            raise ValueError(f"this system has no knob {foreign[0]!r}")
        try:
            # Numbers stay as they are; `convert` checks the limits that the annotations state.
            self.knobs = msgspec.convert({**msgspec.to_builtins(self.knobs), **changes}, Knobs)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        if "draw_seed" in changes:
            self._random = random.Random(self.knobs.draw_seed)  # noqa: S311
        if "rate_limit_per_s" in changes:
            self._tokens = max(self.knobs.rate_limit_per_s or 0, 1)

    def strikes(self, share: float) -> bool:
        """Whether this time is one of the share."""
        return share > 0 and self._random.random() < share

    def fails(self) -> bool:
        """Whether the operation now starting is to fail before any work."""
        if self.knobs.fail_next > 0:
            self.knobs = msgspec.structs.replace(self.knobs, fail_next=self.knobs.fail_next - 1)
            return True
        return self.strikes(self.knobs.fail_rate)

    def wait_for_turn_s(self, now_s: float) -> float:
        """Take one operation from the bucket: 0, or the seconds until one would be there."""
        rate = self.knobs.rate_limit_per_s
        if rate is None:
            return 0.0
        capacity = max(rate, 1.0)
        self._tokens = min(capacity, self._tokens + (now_s - self._filled_at) * rate)
        self._filled_at = now_s
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / rate
