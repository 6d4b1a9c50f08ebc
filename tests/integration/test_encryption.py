"""Encryption at rest end to end: a stolen folder shows nothing, keys rotate, and one person can be erased."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyotp
import pytest
from tests.integration.service_support import PAID, document

from segue.handlers import FunctionRegistry
from segue.service import (
    Login,
    NewErasure,
    NewHold,
    NewIdentity,
    NewPolicy,
    NewPurge,
    NewSwitch,
    NewToken,
    OwnPassword,
    Service,
    ServiceError,
    Settings,
    TotpCode,
    backup_of_folder,
    init_keys,
    open_service,
    restore_folder,
)
from segue.service.functions import register
from segue.store.sealing import SEALED
from segue.types import Identity, acting_as, fail

CANARY = "kanarienvogel"
LONG = CANARY + "-lang " * 20_000

STORY = document(
    """
    - charge:
        call: charge
        with: {who: '${ .name }', text: '${ .text }'}
        export: {as: '${ . }'}
    - paid:
        listen: {to: {one: {with: {type: order.paid}}}}
    - told:
        emit: {event: {with: {source: /kanarienvogel-quelle, type: told, data: '${ . }'}}}
    """,
    name="story",
    more="input: {from: '${ . }'}",
).replace("version: '1.0.0'}", "version: '1.0.0', metadata: {segue: {subject: '${ .name }'}}}")
BREAKS = document("- breaks: {call: breaks, with: {who: '${ .name }'}}", name="breaks").replace(
    "version: '1.0.0'}", "version: '1.0.0', metadata: {segue: {subject: '${ .name }', owner: kanarienvogel-owner}}}"
)


def charge(who: str, text: str) -> dict[str, str]:
    return {"receipt": f"for {who}", "text": text}


def breaks(who: str) -> None:
    raise fail("validation", f"{who} cannot be charged")


@asynccontextmanager
async def opened(folder: Path, key: Path) -> AsyncIterator[Service]:
    functions = FunctionRegistry()
    register(functions, charge, "charge", recovery="ask")
    register(functions, breaks, "breaks")
    async with open_service(folder, Settings(failures="hold", key_file=str(key)), functions=functions) as service:
        yield service


async def story(service: Service, name: str, text: str = LONG) -> str:
    """A run that waits, is paid and ends; one that breaks and is given up; a connection with a secret description."""
    await service.workflows.publish(STORY)
    await service.workflows.publish(BREAKS)
    given = {"name": name, "text": text}
    run, _ = await service.runs.start("demo/story", input=given)
    event = {**PAID, "id": f"{name}-1", "source": f"/shop/{name}", "data": {"by": name, "note": text}}
    await service.events.send([event])
    await service.runs.wait(run.id)
    broken, _ = await service.runs.start("demo/breaks", input=given)
    for _ in range(200):
        page = await service.exceptions.page(run=broken.id)
        if page.items:
            break
        await asyncio.sleep(0.01)
    await service.exceptions.decide(page.items[0].id, "give-up", reason=f"{name} asked", by=f"{name}-person")
    await service.runs.wait(broken.id)
    return run.id


def showing(folder: Path, needle: str = CANARY) -> list[str]:
    """Files that show the needle, plain, in UTF-16 or as escaped JSON."""
    forms = [needle.encode(), needle.encode("utf-16-le"), json.dumps(needle)[1:-1].encode()]
    return [
        path.name
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(form in path.read_bytes() for form in forms)
    ]


async def test_a_stolen_folder_shows_no_plain_text(tmp_path: Path) -> None:
    """C121: searched file by file, while it is open (with its WAL), after it closed, and in a backup."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    api = "openapi: 3.0.3\ninfo: {title: kanarienvogel, version: '1'}\nservers: [{url: 'http://h'}]\npaths: {}\n"
    async with opened(data, key) as service:
        await story(service, f"{CANARY}-anna")
        await service.connections.add("crm", api)
        await service.audit.sign()
        assert (data / "segue.db-wal").exists()
        assert showing(data) == []
        backup_of_folder(data, tmp_path / "backups" / "b.db")
    assert showing(data) == []
    assert showing(tmp_path / "backups") == []


async def credentials(folder: Path, settings: Settings) -> list[str]:
    """Everything about a person's credentials that the data folder must remember: here, what must not show."""
    ann = Identity(kind="person", id="ann")
    async with open_service(folder, settings) as service:
        await service.accounts.add(NewIdentity(id="ann", display=f"{CANARY} Ann", password="set by somebody"))
        with acting_as(ann):
            await service.own_credentials.set_password(
                OwnPassword(old="set by somebody", new="correct horse battery")
            )
        session = await service.sessions.login(Login(name="ann", password="correct horse battery"))
        token = await service.tokens.make("person", "ann", NewToken(label=f"{CANARY}-laptop"))
        with acting_as(ann):
            shown = await service.own_credentials.begin_totp()
            pending = showing(folder, shown.secret)
            await service.own_credentials.confirm_totp(TotpCode(code=pyotp.TOTP(shown.secret).now()))
    found = [CANARY, shown.secret, session.csrf, session.token, token.token, "$argon2id$"]
    return pending + [needle for needle in found if showing(folder, needle)]


async def test_credentials_are_sealed_and_still_work_after_a_restart(tmp_path: Path) -> None:
    """A stolen TOTP secret is a second factor for good, and a stolen hash can be tried at leisure."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    settings = Settings(key_file=str(key))

    assert await credentials(data, settings) == []

    async with open_service(data, settings) as service:
        with pytest.raises(ServiceError, match="fit together"):
            await service.sessions.login(Login(name="ann", password="correct horse battery"))
        assert (await service.accounts.get("person", "ann")).totp
        assert (await service.accounts.get("person", "ann")).display == f"{CANARY} Ann"


async def steered(folder: Path, settings: Settings) -> None:
    """Somebody stops, lets go, changes a rule and asks for a publication; each with a reason."""
    four_eyes = (
        '@id("four") @approval("publisher") forbid (principal, action == Action::"workflow.publish", resource);'
    )
    async with open_service(folder, settings) as service:
        await service.switches.stop(NewSwitch(kind="connection", name="crm", reason=CANARY))
        await service.switches.release(NewSwitch(kind="connection", name="crm", reason=CANARY))
        await service.permissions.change("ours", NewPolicy(text=f"// {CANARY}\n{four_eyes}", reason=CANARY))
        with pytest.raises(ServiceError):
            await service.workflows.publish(document(f"- one: {{set: {{a: {CANARY}}}}}"))


async def test_reasons_rules_and_what_waits_for_approval_are_sealed(tmp_path: Path) -> None:
    """Whoever stops something says why, and that names people; without keys the same search finds it."""
    key, sealed, plain = tmp_path / "keys", tmp_path / "sealed", tmp_path / "plain"
    init_keys(sealed, key)
    await steered(sealed, Settings(key_file=str(key)))
    await steered(plain, Settings())

    assert (showing(sealed), unsealed(sealed)) == ([], [])
    assert showing(plain)
    async with open_service(sealed, Settings(key_file=str(key))) as service:
        # All of it is read again, and in force.
        (switch,) = (await service.switches.page(all=True)).items
        assert (switch.reason, switch.released_reason) == (CANARY, CANARY)
        (waiting,) = (await service.publications.page()).items
        assert CANARY in (await service.publications.get(waiting.number)).source
        with pytest.raises(ServiceError):
            await service.workflows.publish(document("- one: {set: {a: other}}", version="2.0.0"))


def unsealed(folder: Path) -> list[str]:
    """Columns that say they are sealed, and hold a value that is not."""
    file = sqlite3.connect(folder / "segue.db")
    try:
        return [
            f"{table}.{column}"
            for table, columns in SEALED.items()
            for column in columns
            for (value,) in file.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
            if not str(value).startswith(("~", "^", '"~', '"^'))
        ]
    finally:
        file.close()


async def test_how_people_are_reached_is_sealed(tmp_path: Path) -> None:
    """An address book is what a thief sells first. What earlier releases left plain is sealed at opening."""
    key, data = tmp_path / "keys", tmp_path / "sealed"
    init_keys(data, key)
    async with open_service(data, Settings(key_file=str(key))) as service:
        await service.profiles.put("ann", {"name": f"{CANARY} Ann", "email": f"{CANARY}@example.com"})
        assert showing(data) == []
    assert unsealed(data) == []

    file = sqlite3.connect(data / "segue.db")
    with file:
        plain = json.dumps({"id": "bob", "email": f"{CANARY}@example.com"}, separators=(",", ":"))
        file.execute("INSERT INTO profile (id, data, updated_at) VALUES ('bob', ?, 0)", (plain,))
    file.close()
    assert showing(data) == ["segue.db"]
    async with open_service(data, Settings(key_file=str(key))) as service:
        assert showing(data) == []
        found = {profile.id: profile.email for profile in await service.profiles.list()}
    assert found == dict.fromkeys(("ann", "bob"), f"{CANARY}@example.com")
    assert (showing(data), unsealed(data)) == ([], [])


async def test_without_keys_credentials_are_seen(tmp_path: Path) -> None:
    """The search must be able to find something; sessions and tokens are digests anyway."""
    found = await credentials(tmp_path, Settings())
    assert "$argon2id$" in found
    assert CANARY in found
    assert "segue.db-wal" in found or "segue.db" in found
    assert not any(needle.startswith(("ss_", "sg_")) for needle in found)


async def test_without_keys_the_same_story_is_seen(tmp_path: Path) -> None:
    """The search must be able to find something."""
    async with opened(tmp_path, tmp_path / "none") as service:
        await story(service, f"{CANARY}-anna")
    assert "segue.db" in showing(tmp_path)


async def test_everything_reads_as_if_nothing_were_sealed(tmp_path: Path) -> None:
    """Also after a restart, and through every listing."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        run = await story(service, "anna")
    async with opened(data, key) as service:
        assert await service.runs.input(run) == {"name": "anna", "text": LONG}
        assert (await service.runs.get(run)).status == "completed"
        page = await service.exceptions.page(state=None)
        assert page.items[0].resolution is not None
        assert "anna asked" in page.items[0].resolution.reason
        assert "anna cannot be charged" in json.dumps(page.items[0].error)
        assert (await service.events.send([{**PAID, "id": "anna-1", "source": "/shop/anna"}])).duplicates == 1
        records = await service.audit.page(limit=500)
        mine = await service.audit.page(limit=500, principal=records.items[-1].principal)
        assert mine.items
        verified = await service.audit.verify()
        assert verified.problems == []
        assert verified.history > 5


async def test_runs_that_wait_go_on_after_a_restart(tmp_path: Path) -> None:
    """Histories are read by the host too."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await service.workflows.publish(STORY)
        run, _ = await service.runs.start("demo/story", input={"name": "ben", "text": "x"})
    async with opened(data, key) as service:
        await service.events.send([PAID])
        assert (await service.runs.wait(run.id)).status == "completed"


@pytest.mark.parametrize("what", ["key file", "segue.keys", "another key"])
async def test_without_the_right_keys_the_folder_stays_shut(tmp_path: Path, what: str) -> None:
    """And says what is missing, before anything is written."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await service.workflows.publish(STORY)
    if what == "key file":
        key.unlink()
    elif what == "segue.keys":
        (data / "segue.keys").unlink()
    else:
        key.unlink()
        init_keys(tmp_path / "other", key)
    with pytest.raises(ServiceError) as refused:
        async with opened(data, key):
            pass
    assert refused.value.kind in ("keys-refused", "folder-unusable")


async def test_what_is_there_cannot_become_encrypted_by_half(tmp_path: Path) -> None:
    """Old rows would stay plain, and nobody would know which."""
    async with opened(tmp_path, tmp_path / "kek") as service:
        await service.workflows.publish(STORY)
    with pytest.raises(ServiceError, match="holds data that is not encrypted"):
        init_keys(tmp_path, tmp_path / "kek")


async def test_rotated_keys_leave_everything_readable(tmp_path: Path) -> None:
    """Data keys for what comes, the key-encryption key for all of them; the old one opens nothing any more."""
    data, old, new = tmp_path / "data", tmp_path / "old", tmp_path / "new"
    init_keys(data, old)
    async with opened(data, old) as service:
        before = await story(service, "anna")
        rotated = await service.keys.rotate(key_file=new)
        assert rotated.wrapped >= 3
        after = await story(service, "ben")
    with pytest.raises(ServiceError, match="not the one"):
        async with opened(data, old):
            pass
    async with opened(data, new) as service:
        assert (await service.runs.input(before))["name"] == "anna"
        assert (await service.runs.input(after))["name"] == "ben"
        assert [k.kind for k in (await service.keys.list()).items].count("workspace") == 2


async def test_one_person_is_exported_and_erased_and_the_proof_stays(tmp_path: Path) -> None:
    """C122: runs, events and inbox; histories and chain still verify; the other person is untouched."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        anna, ben = await story(service, "anna"), await story(service, "ben")
        told = await service.subjects.export("anna")
        assert LONG in json.dumps(msgspec.to_builtins(told.runs))
        assert "ben" not in json.dumps(msgspec.to_builtins(told.runs)).replace("benutz", "")
        backup_of_folder(data, tmp_path / "b.db")

        await service.subjects.hold(NewHold(subject="anna", reason="court"))
        for dry_run in (True, False):
            with pytest.raises(ServiceError, match=r"legal hold .*\(court\)"):
                await service.subjects.erase(NewErasure(subject="anna", reason="asked", dry_run=dry_run))
        await service.subjects.hold(NewHold(subject="anna", reason="over", on=False))
        assert (await service.subjects.erase(NewErasure(subject="anna", reason="asked"))).runs == 2
        assert (await service.runs.input(anna))["name"] == "anna"
        done = await service.subjects.erase(NewErasure(subject="anna", reason="asked", dry_run=False))
        assert (done.runs, done.keys) == (2, 1)
        assert done.events >= 2

        left = await service.runs.get(anna)
        assert (left.input, left.output, left.status) == ("erased", "erased", "completed")
        with pytest.raises(ServiceError) as refused:
            await service.runs.history(anna)
        assert refused.value.kind == "data-erased"
        assert "anna" not in repr(await service.exceptions.page(state=None))
        assert "anna" not in repr(await service.runs.page(limit=100, results=True))
        assert (await service.runs.input(ben))["name"] == "ben"
        await service.audit.sign()
        assert (await service.audit.verify()).problems == []
        (erased,) = (await service.audit.page(action="subject.erase", verdict="done")).items
        assert erased.reason == "asked"
        with pytest.raises(ServiceError, match="No run is about"):
            await service.subjects.export("nobody")

    # A backup from before holds what it held, and no key to it.
    restore_folder(tmp_path / "b.db", data, force=True)
    async with opened(data, key) as service:
        assert (await service.runs.get(anna)).input == "erased"
        assert (await service.runs.input(ben))["name"] == "ben"


async def test_an_erased_person_who_comes_back_begins_anew(tmp_path: Path) -> None:
    """The old stays erased, the new is readable."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        old = await story(service, "anna", text="old")
        await service.subjects.erase(NewErasure(subject="anna", reason="asked", dry_run=False))
        run, _ = await service.runs.start("demo/story", input={"name": "anna", "text": "new"})
        assert (await service.runs.get(run.id)).input["text"] == "new"
        assert (await service.runs.get(old)).input == "erased"
        with pytest.raises(ServiceError, match="not ended"):
            await service.subjects.erase(NewErasure(subject="anna", reason="asked", dry_run=False))


async def test_equal_values_cannot_be_told_apart_or_together(tmp_path: Path) -> None:
    """Two people who sent the same document have different hashes; so has the document itself."""
    import sqlite3
    from contextlib import closing
    from hashlib import sha256

    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await story(service, "anna", text="x" * 60_000)
        await story(service, "ben", text="x" * 60_000)
    with closing(sqlite3.connect(data / "segue.db")) as connection:
        hashes = [bytes(h) for (h,) in connection.execute("SELECT hash FROM blob")]
    plain: Any = sha256(json.dumps("x" * 60_000).encode()).digest()
    assert len(hashes) == len(set(hashes))
    assert plain not in hashes


async def test_retention_leaves_whom_a_legal_hold_is_on(tmp_path: Path) -> None:
    """With keys and without: what a court wants to see must not go because it is old."""
    async with opened(tmp_path, tmp_path / "none") as service:
        anna = await story(service, "anna", text="x")
        ben = await story(service, "ben", text="x")
        await service.runs.start("demo/story", input={"name": "carl", "text": "x"})
        await service.subjects.hold(NewHold(subject="anna", reason="court"))
        await service.store.write([("UPDATE run SET ended_at = 1 WHERE ended_at IS NOT NULL", ())])
        await service.retention.run(NewPurge(dry_run=False))
        assert (await service.runs.get(anna)).status == "completed"
        await service.audit.sign()
        pruned = await service.audit.prune(datetime.now(UTC) + timedelta(days=1), reason="old")
        (first,) = (await service.audit.page(resource=f"run:{anna}", action="run.start", limit=1)).items
        assert pruned.held_from is not None
        assert pruned.up_to < pruned.held_from <= first.seq
        with pytest.raises(ServiceError, match="no run"):
            await service.runs.get(ben)
        with pytest.raises(ServiceError, match="not encrypted"):
            await service.subjects.erase(NewErasure(subject="anna", reason="x", dry_run=False))


async def test_secrets_of_the_folder_are_used_and_never_shown(tmp_path: Path) -> None:
    """A third place beside environment and files; sealed, and only where that protects them."""
    from segue.governance import EnvironmentSecrets
    from segue.service import NewSecret
    from segue.service.vault import VaultSecrets
    from segue.types import TaskFailure

    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await service.secrets.set(NewSecret(name="crm", value=CANARY))
        vault = VaultSecrets(EnvironmentSecrets(environment={}))
        vault.store = service.store
        assert await vault.read("crm") == CANARY
        assert CANARY not in repr(await service.secrets.list())
        assert CANARY not in repr(await service.audit.page(limit=500))
        assert showing(data) == []
        await service.secrets.remove("crm")
        with pytest.raises(TaskFailure, match="no secret"):
            await vault.read("crm")
        with pytest.raises(ServiceError, match="no secret"):
            await service.secrets.remove("crm")
    async with opened(tmp_path / "plain", key) as service:
        with pytest.raises(ServiceError, match="encrypted data folders only"):
            await service.secrets.set(NewSecret(name="crm", value="x"))


LOOP = document(
    """
    - turn: {call: charge, with: {who: '${ $workflow.input.name }', text: '${ $workflow.input.text }'}}
    - more: {set: {n: '${ ($context.n // 0) + 1 }'}, export: {as: '${ . }'}}
    - again: {switch: [{on: {when: '.n < 150', then: turn}}]}
    """,
    name="loop",
    more="input: {from: '${ . }'}",
).replace(
    "version: '1.0.0'}",
    "version: '1.0.0', metadata: {segue: {subject: '${ .name }', history_max_events: 100}}}",
)


async def test_what_was_folded_is_as_secret_and_is_erased_too(tmp_path: Path) -> None:
    """A snapshot holds what the folded events said."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key) as service:
        await service.workflows.publish(LOOP)
        run, _ = await service.runs.start("demo/loop", input={"name": "anna", "text": LONG})
        await service.runs.wait(run.id)
        for _ in range(500):
            detail = await service.runs.get(run.id)
            if detail.history.folded:
                break
            await asyncio.sleep(0.01)
        assert detail.history.folded
        assert (await service.runs.input(run.id))["text"] == LONG
        assert showing(data) == []
        assert {
            e.receipt["text"] for e in (await service.effects.page(run=run.id, limit=500)).items if e.receipt
        } <= {LONG}
        await service.subjects.erase(NewErasure(subject="anna", reason="asked", dry_run=False))
        assert (await service.runs.get(run.id)).input == "erased"
        with pytest.raises(ServiceError) as refused:
            await service.runs.history(run.id)
        assert refused.value.kind == "data-erased"
