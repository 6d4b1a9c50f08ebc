"""`segue audit …`."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from segue.cli.ask import Request, ask
from segue.cli.common import After, AsJson, Data, Limit
from segue.cli.output import fields, paint, print_json, print_value, say, table, tell_more
from segue.service import EXIT_FAULTED, NewAuditVerification, ServiceError, export_to


def list_(
    *,
    action: Annotated[str | None, Parameter(help="Only this action, such as run.cancel.")] = None,
    resource: Annotated[str | None, Parameter(help="Only about this, such as run:ID.")] = None,
    principal: Annotated[str | None, Parameter(help="Only by this one, as kind:id.")] = None,
    verdict: Annotated[str | None, Parameter(help="Only with this verdict, such as deny.")] = None,
    since: Annotated[datetime | None, Parameter(help="Only at this time or later.")] = None,
    until: Annotated[datetime | None, Parameter(help="Only before this time.")] = None,
    limit: Limit = 50,
    after: After = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """List records of the audit chain, newest first."""
    begin, end = _zoned(since), _zoned(until)
    wanted = {"action": action, "resource": resource, "principal": principal, "verdict": verdict}
    times = {"since": begin and begin.isoformat(), "until": end and end.isoformat()}
    page = ask(
        data,
        Request("GET", "/audit", {**wanted, **times, "limit": limit, "after": after}),
        lambda service: service.audit.page(**wanted, since=begin, until=end, limit=limit, after=after),
    )
    if json:
        print_json(page)
        return
    names = ("seq", "at", "principal", "action", "resource", "verdict", "reason")
    table(names, [[r[name] for name in names] for r in page["items"]], empty="No records.")
    tell_more(page)


def show(
    record: Annotated[int, Parameter(help="Its place in the chain.")], /, *, data: Data = None, json: AsJson = False
) -> None:
    """Show one record of the audit chain."""
    found = ask(data, Request("GET", f"/audit/records/{record}"), lambda service: service.audit.get(record))
    if json:
        print_json(found)
        return
    fields([(name, value) for name, value in found.items() if name != "data"])
    if found["data"]:
        say("\ndata")
        print_value(found["data"])


def verify(
    *,
    public_key: Annotated[Path | None, Parameter(help="PEM file of the key that must have signed.")] = None,
    checkpoints: Annotated[
        Path | None, Parameter(help="File with checkpoints that were kept elsewhere, one a line.")
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> int:
    """Check that nothing in the audit chain and in histories was changed, removed, moved or cut off."""
    body: dict[str, Any] = {}
    if public_key is not None:
        body["publicKey"] = _read(public_key)
    if checkpoints is not None:
        try:
            body["checkpoints"] = [msgspec.json.decode(line) for line in _read(checkpoints).splitlines()]
        except msgspec.DecodeError as error:
            raise ServiceError("file-unreadable", f"{str(checkpoints)!r}: {error}.") from None
    try:
        wanted = msgspec.convert(body, NewAuditVerification)
    except msgspec.ValidationError as error:
        raise ServiceError("file-unreadable", f"{str(checkpoints)!r} holds no checkpoints: {error}.") from None
    key = None if wanted.public_key is None else wanted.public_key.encode()
    found = ask(
        data,
        Request("POST", "/audit/verify", body=body),
        lambda service: service.audit.verify(public_key=key, checkpoints=wanted.checkpoints),
    )
    if json:
        print_json(found)
    else:
        _tell(found)
    return 0 if found["sound"] else EXIT_FAULTED


def sign(*, data: Data = None, json: AsJson = False) -> None:
    """Sign where the chain ends now, and print the checkpoint: keep it where nobody here can reach it."""
    made = ask(data, Request("POST", "/audit/checkpoints"), lambda service: service.audit.sign())
    if json:
        print_json(made)
        return
    fields([(name, value) for name, value in made.items() if name != "publicKey"])
    say("\n" + made["publicKey"].rstrip())


def export(
    target: Annotated[
        str,
        Parameter(
            help="A file, syslog+udp://HOST:PORT, syslog+tcp://…, syslog+tls://… or otlp+http://HOST:PORT/v1/logs."
        ),
    ],
    /,
    *,
    from_: Annotated[int, Parameter(name="--from", help="Only records behind this place.")] = 0,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Send the audit chain somewhere else, oldest record first."""
    place, total = from_, 0
    while True:
        page = ask(
            data,
            Request("GET", "/audit/records", {"after": place}),
            lambda service, place=place: service.audit.following(after=place),  # type: ignore[misc]
        )
        if page["items"]:
            asyncio.run(_send(target, page["items"]))
            place, total = page["items"][-1]["seq"], total + len(page["items"])
        if page["next"] is None:
            break
    if json:
        print_json({"sent": total, "last": place})
    else:
        say(f"{total} records sent; the last one is {place}")


def prune(
    before: Annotated[datetime, Parameter(help="Remove records that are older.")],
    /,
    *,
    reason: Annotated[str, Parameter(help="Why; it is recorded.")],
    dry_run: Annotated[bool, Parameter(negative="", help="Only count what would be removed.")] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Remove old records, up to a signed checkpoint; the rest still verifies."""
    moment = before if before.tzinfo else before.astimezone()
    done = ask(
        data,
        Request("POST", "/audit/prune", body={"before": moment.isoformat(), "dryRun": dry_run, "reason": reason}),
        lambda service: service.audit.prune(moment, dry_run=dry_run, reason=reason),
    )
    if json:
        print_json(done)
    else:
        say(f"{done['records']} records up to {done['upTo']} {'would be removed' if dry_run else 'removed'}")
        if done["heldFrom"] is not None:
            say(f"records from {done['heldFrom']} on stay: a legal hold is on somebody whom they are about")


async def _send(target: str, records: list[dict[str, Any]]) -> None:
    async with export_to(target) as send:
        await send(records)


def _tell(found: dict[str, Any]) -> None:
    for problem in found["problems"]:
        say(paint(f"{problem['kind']}: {problem['detail']}", "red"))
    if found["more"]:
        say(f"and {found['more']} more")
    sound = found["sound"]
    say(paint("sound" if sound else "NOT sound", "green" if sound else "red"))
    fields(
        [
            ("records", f"{found['records']} ({found['first']} to {found['last']}), in {found['seconds']} s"),
            ("checkpoints", f"{found['checkpoints']} signed by {found['key']}; {found['uncovered']} records after"),
            ("histories", f"{found['history']} rows unchanged, {found['removed']} removed by retention"),
            ("in force", f"{found['standing']} people, rules and other things as the chain says"),
            ("given up", f"{found['givenUp']} checkpoints, by restoring a backup" if found["givenUp"] else None),
        ]
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError("file-unreadable", f"{str(path)!r}: {error}.") from None


def _zoned(moment: datetime | None) -> datetime | None:
    # The server reads a time with a zone; one without is this machine's.
    return moment if moment is None or moment.tzinfo else moment.astimezone()
