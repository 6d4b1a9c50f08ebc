"""Who signs in through the provider, and whom the directory means: when are they the same person?

The provider's issuer and subject tell who somebody is, once they were here. Before that, a person whom the directory
provisioned and who was never here is the one whose `externalId` (or address) the provider's claim names: one setting
says which. Whoever was added here by hand is linked to nobody, so neither a directory nor a provider takes them over.

Source: decision 0108.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from segue.service.identities import Outsider
from segue.store.permission import IdentityRecord

BY_EMAIL: Final = "email"


class Found(NamedTuple):
    """Whoever signs in.

    Attributes:
        record: Who they are here; None for somebody new.
        before: The same person as they were added at an earlier sign-in, before the directory told of them.
        refused: Why it cannot be said who they are.
    """

    record: IdentityRecord | None
    before: IdentityRecord | None = None
    refused: str = ""


def link_of(kept: Mapping[str, Any], how: str) -> str:
    """What a provisioned person is recognised by at their first sign-in; empty where nothing."""
    if not how:
        return ""
    return address_of(kept).lower() if how == BY_EMAIL else str(kept.get("externalId", ""))


def address_of(kept: Mapping[str, Any]) -> str:
    """The primary address, or the first of type work, or the only one."""
    emails = [item for item in kept.get("emails", ()) if item.get("value")]
    chosen = [item for item in emails if item.get("primary")] or [
        item for item in emails if item.get("type") == "work"
    ]
    if not chosen and len(emails) == 1:
        chosen = emails
    return str(chosen[0]["value"]) if chosen else ""


def find_entrant(everybody: Iterable[IdentityRecord], outsider: Outsider, how: str) -> Found:
    """Whoever signs in, among everybody there is."""
    known: IdentityRecord | None = None
    removed: IdentityRecord | None = None
    meant: list[IdentityRecord] = []
    for record in everybody:
        if record.kind != "person":
            continue
        if record.subject == outsider.subject:
            if record.state == "removed":
                removed = record
            else:
                known = record
        elif (
            record.scim is not None
            and not record.subject
            and record.state != "removed"
            and outsider.link
            and link_of(record.scim.kept, how) == outsider.link
        ):
            meant.append(record)
    if known is not None and known.scim is not None:
        return Found(known)
    if removed is not None and not (removed.scim is not None and removed.scim.gone):
        # Removed by hand: no directory brings them back under another name.
        return Found(removed)
    if len(meant) > 1:
        return Found(known, refused="the directory means several people by this")
    if meant:
        return Found(meant[0], before=known)
    return Found(known or removed)


def find_earlier(
    everybody: Iterable[IdentityRecord], kept: Mapping[str, Any], how: str, issuer: str
) -> IdentityRecord | None:
    """Somebody who came in through the provider before the directory told of them; None for nobody, or several."""
    link = link_of(kept, how)
    if not link:
        return None
    subject = f"{issuer}#{link}" if how == "sub" else ""
    found = [
        record
        for record in everybody
        if record.subject
        and record.scim is None
        and record.state != "removed"
        and (record.link == link or record.subject == subject)
    ]
    return found[0] if len(found) == 1 else None
