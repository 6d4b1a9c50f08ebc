"""`segue keys …` and `segue subjects …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from cyclopts import Parameter

from segue.cli.ask import Request, ask, find_server, folder_of
from segue.cli.common import AsJson, Data
from segue.cli.output import note, print_json, say, table
from segue.service import NewErasure, NewHold, ServiceError, init_keys

Subject = Annotated[str, Parameter(help="Whom or what runs say they are about.")]
Reason = Annotated[str, Parameter(help="Why; it is recorded.")]
KeyFile = Annotated[Path, Parameter(help="Where the key-encryption key is made; away from the data and its backups.")]


def init(key_file: KeyFile, /, *, data: Data = None) -> None:
    """Let a new data folder be encrypted. Give `key_file` in its settings, or SEGUE_KEY, from now on."""
    if find_server(data) is not None:
        raise ServiceError("keys-refused", "A server works with this data folder.")
    init_keys(folder_of(data), key_file)
    say(f"{folder_of(data)} will be encrypted")
    note(f"Set key_file = {str(key_file.absolute())!r} in segue.toml, and keep copies of it and of segue.keys apart.")


def list_(*, data: Data = None, json: AsJson = False) -> None:
    """List data keys, never what they are."""
    page = ask(data, Request("GET", "/keys"), lambda service: service.keys.list())
    if json:
        print_json(page)
        return
    names = ("id", "kind", "madeAt", "goneAt", "reason", "hold")
    table(("id", "kind", "made", "gone", "reason", "hold"), [[k[n] for n in names] for k in page["items"]], empty="")


def rotate(
    *,
    key_file: Annotated[
        Path | None,
        Parameter(help="Also make a new key-encryption key here; no server may work with the folder meanwhile."),
    ] = None,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Give what is written from now on a new key; what is there stays readable."""
    if key_file is not None and find_server(data) is not None:
        raise ServiceError("keys-refused", "Stop the server first: it could not be started again with the old key.")
    done = ask(data, Request("POST", "/keys/rotate"), lambda service: service.keys.rotate(key_file=key_file))
    if json:
        print_json(done)
        return
    say(f"{done['keys']} data keys, {done['wrapped']} wrapped anew")
    if key_file is not None:
        note(f"Set key_file = {str(key_file.absolute())!r}; the old key opens nothing any more.")


def export(subject: Subject, /, *, data: Data = None) -> None:
    """Print everything that is held about one data subject, as JSON."""
    request = Request("GET", f"/subjects/export?subject={quote(subject, safe='')}")
    print_json(ask(data, request, lambda service: service.subjects.export(subject)))


def erase(
    subject: Subject,
    /,
    *,
    reason: Reason,
    dry_run: Annotated[bool, Parameter(negative="", help="Only count what would be erased.")] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Erase a data subject by destroying its keys. It cannot be undone."""
    wanted = NewErasure(subject=subject, reason=reason, dry_run=dry_run)
    body = {"subject": subject, "reason": reason, "dryRun": dry_run}
    done = ask(data, Request("POST", "/subjects/erase", body=body), lambda service: service.subjects.erase(wanted))
    if json:
        print_json(done)
        return
    what = "would be erased" if dry_run else f"erased, {done['keys']} keys destroyed"
    say(f"{done['runs']} runs and {done['events']} events {what}")


def hold(
    subject: Subject,
    /,
    *,
    reason: Reason,
    lift: Annotated[bool, Parameter(negative="", help="Lift it.")] = False,
    data: Data = None,
) -> None:
    """Put a legal hold on a data subject, so that nothing about it is erased or removed by age."""
    wanted = NewHold(subject=subject, reason=reason, on=not lift)
    body = {"subject": subject, "reason": reason, "on": not lift}
    ask(data, Request("POST", "/subjects/hold", body=body), lambda service: service.subjects.hold(wanted))
    say("lifted" if lift else "held")
