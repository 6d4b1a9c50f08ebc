"""Notices: who is told what about a human task, by which channel, and when.

A notice is made once for each person, change and channel. Quiet hours move it to the person's next waking hour;
somebody who wants digests gets it with the others; what is urgent waits for neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from segue.people.authority import member_of
from segue.people.profiles import Channel, Profile, is_absent, next_waking
from segue.types import Identity

KINDS: Final = {
    "offered": "A task is waiting",
    "reminded": "A task is still waiting",
    "escalated": "A task was escalated to you",
    "delegated": "A task was handed to you",
    "reassigned": "A task was assigned to you",
    "sent-back": "A task was sent back to you",
    "resubmitted": "A task is waiting again",
    "undecidable": "Nobody can decide a task of yours",
    "overdue": "A failure is overdue and yours now",
    "publication": "A publication waits for your approval",
    "adjustment": "A change of a value waits for your approval",
    "consent": "A use of your connection waits for your consent",
    "account": "A change of a person waits for a second administrator",
    "wish-reminded": "Still waits for you",
    "wish-escalated": "Waits for you as well now",
    "wish-stuck": "Nobody can decide it for now",
    "wish-lapsed": "Nobody decided in time",
}
"""What changes are called in notices."""
WISHES: Final = frozenset(
    {"publication", "adjustment", "consent", "account", "wish-reminded", "wish-escalated"}
    | {"wish-stuck", "wish-lapsed"}
)
"""Of these, what somebody wants and others decide about."""

_MORE_OF_WISH: Final = {
    "wish-stuck": "`segue wishes --mine` shows whom it waits for, and until when.",
    "wish-lapsed": "You can ask for it again.",
}
_MINUTE_MS: Final = 60_000


class Told(NamedTuple):
    """A change of a task, as far as notices need it.

    Attributes:
        owner: Who has claimed it, or got it; then nobody else is told.
        requesters: They decide nothing, so they are not told, except of what is sent back to them.
    """

    change: str
    owner: str
    audience: Mapping[str, Any]
    requesters: frozenset[str]
    urgent: bool


class Notice(NamedTuple):
    """Tell this person by this channel, not before `due_ms`."""

    person: str
    channel: Channel
    due_ms: int


def notices_of(told: Told, profiles: Mapping[str, Profile], now_ms: int) -> list[Notice]:
    """Everybody who is to be told, each by their own channels.

    People without a profile who are named themselves have a record in the app: it waits for them.
    """
    found: list[Notice] = []
    for person in _people(told, profiles, now_ms):
        profile = profiles.get(person, Profile(id=person, channels=("app",)))
        for channel in dict.fromkeys(("app", *profile.channels)):
            if (channel == "email" and not profile.email) or (channel == "chat" and not profile.chat):
                continue
            found.append(Notice(person, channel, now_ms if channel == "app" else _due(profile, told.urgent, now_ms)))
    return found


def _due(profile: Profile, urgent: bool, now_ms: int) -> int:
    if urgent:
        return now_ms
    if profile.digest_minutes:
        # All digests of a person leave at the same minutes of the day, so that what came meanwhile goes together.
        every = profile.digest_minutes * _MINUTE_MS
        now_ms = (now_ms // every + 1) * every
    return next_waking(profile, now_ms)


def _people(told: Told, profiles: Mapping[str, Profile], now_ms: int) -> list[str]:
    if told.owner:
        return [told.owner]
    named = dict.fromkeys(told.audience.get("people", ()))
    for profile in profiles.values():
        if member_of(_identity(profile), told.audience, profiles, now_ms) is not None:
            named[profile.id] = None
    back = told.change == "sent-back"
    return [
        person
        for person in named
        if (back or person not in told.requesters)
        and not (person in profiles and _is_stood_in_for(profiles[person], told.requesters, profiles, now_ms))
    ]


def _is_stood_in_for(
    profile: Profile, requesters: frozenset[str], profiles: Mapping[str, Profile], now_ms: int
) -> bool:
    """They are away, and their deputy is there and may decide: where both are away, somebody must hear of it."""
    if profile.absent is None or not is_absent(profile, now_ms):
        return False
    deputy = profile.absent.deputy
    if deputy is None or deputy in requesters or deputy not in profiles:
        return False
    return not is_absent(profiles[deputy], now_ms)


def _identity(profile: Profile) -> Identity:
    # An owner of the folder is not told of everything: that is a power, and not a duty.
    return Identity(
        kind="person", id=profile.id, roles=profile.roles - {"owner"}, groups=profile.groups, limits=profile.limits
    )


def audience_of_owner(owner: str, profiles: Mapping[str, Profile]) -> dict[str, list[str]]:
    """Whom the name in a ladder means: a person, everybody with a role or in a group of that name."""
    anybody = any(owner in profile.roles or owner in profile.groups for profile in profiles.values())
    people = [owner] if owner in profiles or not anybody else []
    return {"people": people, "roles": [owner], "groups": [owner]}


def text_of_exception(title: str, *, number: int, due: str | None) -> tuple[str, str]:
    """Subject and text of the notice of an exception; nothing of its data."""
    said = KINDS["overdue"]
    subject = " ".join(f"{said}: {title}".split())[:200]
    when = f", due since {due}" if due else ""
    return subject, f"{said}: {title}\n\nException {number}{when}.\nSee it with `segue exceptions show {number}`.\n"


def text_of_wish(kind: str, title: str, *, inbox: str | None = None) -> tuple[str, str]:
    """Subject and text of the notice of something that somebody wants and others decide about.

    Args:
        inbox: Address of the page of what waits; where it is None, only the command is named.
    """
    subject = " ".join(f"{KINDS[kind]}: {title}".split())[:200]
    more = _MORE_OF_WISH.get(kind, _see("what waits for you", "segue waiting", inbox))
    return subject, f"{KINDS[kind]}: {title}\n\n{more}\n"


def text_of(
    change: str, title: str, *, number: int, due: str | None, link: str | None, page: str | None = None
) -> tuple[str, str]:
    """Subject and text of one notice. Nothing of the task's data: mail is read by many.

    Args:
        link: Opens the task for this person alone, without signing in. page: for whoever signs in.
    """
    subject = " ".join(f"{KINDS[change]}: {title}".split())[:200]
    lines = [f"{KINDS[change]}: {title}", "", f"Task {number}" + (f", due {due}" if due else "") + "."]
    lines += [_see("it", f"segue tasks show {number}", page)]
    if change == "undecidable":
        lines += [f"Nobody there is has what it asks for. Offer it to others: `segue tasks reassign {number}`."]
    if link:
        lines += ["", "Or open this link, which is for you alone and decides nothing by being opened:", link]
    return subject, "\n".join(lines) + "\n"


def _see(what: str, command: str, page: str | None) -> str:
    return f"See {what} with `{command}`." if page is None else f"See {what} with `{command}`, or sign in at {page}"


def digest_text(notices: Sequence[tuple[str, str, int]], *, inbox: str | None = None) -> tuple[str, str]:
    """Subject and text of several notices (change, title, number of what it is about, or 0) in one.

    Args:
        inbox: Address of the page of what waits; where it is None, only commands are named.
    """
    failures = sum(change == "overdue" for change, _, _ in notices)
    wishes = sum(change in WISHES for change, _, _ in notices)
    tasks = len(notices) - failures - wishes
    lines = []
    for change, title, number in notices:
        where = "" if change in WISHES else f" ({'exception' if change == 'overdue' else 'task'} {number})"
        lines.append(f"- {KINDS[change]}: {title}{where}")
    counts = [f"{n} {what}" for n, what in ((tasks, "tasks"), (failures, "exceptions"), (wishes, "decisions")) if n]
    seen = ["See them with `segue tasks list --mine`."] if tasks else []
    seen += ["See what waits for you with `segue waiting`."] if wishes else []
    seen += ["See failures with `segue exceptions list --state overdue`."] if failures else []
    seen += [f"Or sign in at {inbox}"] if inbox and (tasks or wishes) else []
    return ", ".join(counts), "\n".join([*lines, "", *seen]) + "\n"
