"""`segue keys …`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from segue.cli.ask import Request, ask, find_server, folder_of
from segue.cli.common import AsJson, Data
from segue.cli.output import note, print_json, say, table
from segue.service import NewRewrite, ServiceError, encrypt_folder, init_keys, load_settings, remove_plain

_SLICE_SECONDS = 20.0
KeyFile = Annotated[
    Path | None,
    Parameter(help="Where the key-encryption key is made; away from the data and its backups. Or use --kms."),
]
Kms = Annotated[
    bool, Parameter(name="--kms", negative="", help="The service that the settings name (kms) wraps it instead.")
]


def init(key_file: KeyFile = None, /, *, kms: Kms = False, data: Data = None) -> None:
    """Let a new data folder be encrypted. Give `key_file` in its settings, or SEGUE_KEY, from now on."""
    _require_no_server(data, "A server works with this data folder.")
    folder = folder_of(data)
    settings = load_settings(folder)
    if kms and settings.kms is None:
        raise ServiceError("keys-refused", "The settings name no service.", remedy="Add `[kms]` to segue.toml.")
    init_keys(folder, key_file, settings.kms if kms else None)
    say(f"{folder} will be encrypted")
    _tell_where(key_file)


def encrypt(
    key_file: Annotated[
        Path | None,
        Parameter(help="Key-encryption key, made where there is none; SEGUE_KEY or the settings where left out."),
    ] = None,
    /,
    *,
    kms: Kms = False,
    remove_old: Annotated[
        bool,
        Parameter(name="--remove-plain", negative="", help="Remove the old file in the end, which is not encrypted."),
    ] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Make an encrypted data folder of one that is not, while nobody works with it."""
    _require_no_server(data, "Stop the server first: nobody may write meanwhile.")
    folder = folder_of(data)
    work = encrypt_folder(folder, load_settings(folder), key_file=key_file, kms=kms, remove_plain=remove_old)
    done = asyncio.run(work)
    if json:
        print_json(done)
        return
    say(f"{folder} is encrypted: {done.rows} rows")
    say(f"{done.runs} histories read as before, {done.replayed} replayed, {done.records} audit records verified")
    _tell_where(key_file)
    if done.kept is not None:
        note(f"The old data lies in {done.kept}, not encrypted; `segue keys remove-plain` removes it.")
    for path in done.plain:
        note(f"Not encrypted either: {path}")
    note("Backups and other copies that were made before, and what a disk keeps of removed files, are not encrypted.")


def remove_plain_(*, data: Data = None) -> None:
    """Remove the data file that `segue keys encrypt` kept, which is not encrypted."""
    removed = remove_plain(folder_of(data))
    say(f"removed: {', '.join(removed)}" if removed else "there is none")
    if removed:
        note("What a disk keeps of removed files, backups and other copies are not covered.")


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
    kms: Annotated[
        bool,
        Parameter(negative="", help="The same, wrapped by the service that the settings name, with its newest key."),
    ] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Give what is written from now on a new key; what is there stays readable."""
    service_kms = None
    if key_file is not None or kms:
        _require_no_server(data, "Stop the server first: it could not be started again with the old key.")
    if kms:
        service_kms = load_settings(folder_of(data)).kms
        if service_kms is None:
            raise ServiceError("keys-refused", "The settings name no service.", remedy="Add `[kms]` to segue.toml.")
    done = ask(
        data,
        Request("POST", "/keys/rotate"),
        lambda service: service.keys.rotate(key_file=key_file, kms=service_kms),
    )
    if json:
        print_json(done)
        return
    say(f"{done['keys']} data keys, {done['wrapped']} wrapped anew")
    if key_file is not None:
        note(f"Set key_file = {str(key_file.absolute())!r}; the old key opens nothing any more.")


def rewrite(
    *,
    destroy_old: Annotated[
        bool,
        Parameter(negative="", help="Destroy the older keys: backups from before can be read by nobody any more."),
    ] = False,
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Seal with the newest key what older ones of the workspace sealed, in short batches beside the work."""
    # In slices, so that no request waits for longer than a command does.
    wanted = NewRewrite(destroy_old=destroy_old, seconds=_SLICE_SECONDS)
    request = Request("POST", "/keys/rewrite", body={"destroyOld": destroy_old, "seconds": _SLICE_SECONDS})
    values = 0
    while True:
        done = ask(data, request, lambda service: service.keys.rewrite(wanted))
        values += done["values"]
        if done["complete"]:
            break
        note(f"{values} values so far")
    if json:
        print_json({**done, "values": values})
        return
    say(f"{values} values sealed anew, {done['destroyed']} keys destroyed")
    if not destroy_old:
        note("The older keys are kept: backups from before need them. --destroy-old destroys them.")


def _require_no_server(data: Path | None, why: str) -> None:
    if find_server(data) is not None:
        raise ServiceError("keys-refused", why)


def _tell_where(key_file: Path | None) -> None:
    if key_file is not None:
        where = str(key_file.absolute())
        note(f"Set key_file = {where!r} in segue.toml, and keep copies of it and of segue.keys apart.")
    else:
        note("Keep a copy of segue.keys apart from the data and its backups.")
