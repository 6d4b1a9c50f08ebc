"""Profiles: how a person can be reached, when they work, who leads them, and who stands in for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Channel = Literal["app", "email", "chat"]
_CLOCK: Final = r"^([01]\d|2[0-3]):[0-5]\d$"
Clock = Annotated[str, msgspec.Meta(pattern=_CLOCK)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Absence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Somebody is away. Times are RFC 3339; `until` left out: until they say otherwise.

    Attributes:
        deputy: Who decides meanwhile what is assigned to the person by name.
    """

    since: datetime
    until: datetime | None = None
    deputy: Name | None = None


class Quiet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When somebody is not to be disturbed: from this time of day to that one, and whole days.

    Attributes:
        since, until: Times of day such as `19:00`; over midnight where `until` is earlier.
        days: Whole quiet days, Monday is 1.
        zone: IANA name.
    """

    since: Clock = "00:00"
    until: Clock = "00:00"
    days: tuple[Annotated[int, msgspec.Meta(ge=1, le=7)], ...] = ()
    zone: str = "UTC"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{self.zone!r} is no time zone; write something like Europe/Berlin") from None
        if len(set(self.days)) == 7:
            raise ValueError("seven quiet days leave none on which anybody could be told")


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One person.

    Attributes:
        roles, groups, limits: What tasks are routed by; see `Identity`.
        manager: Id of who leads them.
        chat: Address of the webhook of a chat.
        channels: How they are told; `app` always is a record here.
        digest_minutes: Gather notices for so long and send them as one; 0 sends each at once. Urgent ones never wait.
    """

    id: Name
    name: str = ""
    email: str | None = None
    chat: str | None = None
    roles: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    limits: dict[str, float] = {}
    manager: Name | None = None
    channels: tuple[Channel, ...] = ("app", "email")
    digest_minutes: Annotated[int, msgspec.Meta(ge=0, le=10_080)] = 0
    quiet: Quiet | None = None
    absent: Absence | None = None

    def __post_init__(self) -> None:
        if self.absent is not None and self.absent.deputy == self.id:
            raise ValueError("nobody stands in for themselves: name another deputy")


def is_absent(profile: Profile, now_ms: int) -> bool:
    """Is the person away now?"""
    if profile.absent is None:
        return False
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    since, until = _aware(profile.absent.since), profile.absent.until
    return since <= now and (until is None or now < _aware(until))


def next_waking(profile: Profile, now_ms: int) -> int:
    """When the person may be disturbed next, at `now_ms` or later; milliseconds since the epoch."""
    quiet = profile.quiet
    if quiet is None:
        return now_ms
    zone = ZoneInfo(quiet.zone)
    at = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    # Each step leaves one quiet stretch; a week has at most two of them a day.
    for _ in range(20):
        end = _end_of_quiet(quiet, at)
        if end is None:
            return max(now_ms, int(at.timestamp() * 1000))
        at = end
    return now_ms


def _end_of_quiet(quiet: Quiet, at: datetime) -> datetime | None:
    """The end of the quiet stretch that `at` lies in, None where it lies in none."""
    if at.isoweekday() in quiet.days:
        return _at(at + timedelta(days=1), "00:00")
    time = at.strftime("%H:%M")
    if quiet.since == quiet.until:
        return None
    if quiet.since < quiet.until:
        return _at(at, quiet.until) if quiet.since <= time < quiet.until else None
    if time >= quiet.since:
        return _at(at + timedelta(days=1), quiet.until)
    return _at(at, quiet.until) if time < quiet.until else None


def _at(day: datetime, clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return day.replace(hour=hour, minute=minute, second=0, microsecond=0)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
