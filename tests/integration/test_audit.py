"""The audit chain end to end: what is recorded, that altering it is found, and where it goes."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import msgspec
import pytest
from tests.integration.cli_support import Cli, serving
from tests.integration.service_support import PAID, WAITS, document

from segue.handlers import FunctionRegistry
from segue.service import (
    Login,
    NewAdjustment,
    NewBackup,
    NewIdentity,
    NewOwner,
    NewPolicy,
    NewSecret,
    NewSwitch,
    NewToken,
    SecretUsers,
    Service,
    ServiceError,
    Settings,
    backup_of_folder,
    export_to,
    init_keys,
    open_service,
    restore_folder,
)
from segue.service.functions import register
from segue.types import Identity, acting_as

ANN = Identity(kind="person", id="ann", roles=frozenset({"admin", "publisher", "operator"}))
CHARGE = document("- charge: {call: charge, with: {amount: 5}}", name="charge")


def charge(amount: int) -> dict[str, int]:
    return {"receipt": amount}


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[Service]:
    functions = FunctionRegistry()
    register(functions, charge, "charge", recovery="ask")
    async with open_service(folder, Settings(failures="hold", **settings), functions=functions) as service:
        yield service


async def story(service: Service) -> str:
    """A bit of everything; returns the id of the run that was cancelled."""
    with acting_as(ANN):
        await service.workflows.publish(WAITS)
        await service.workflows.publish(CHARGE)
        run, _ = await service.runs.start("demo/charge")
        await service.runs.wait(run.id)
        waits, _ = await service.runs.start("demo/waits")
        await service.runs.control(waits.id, "pause", reason="lunch")
        await service.runs.control(waits.id, "resume")
        await service.events.send([{**PAID, "type": "other"}])
        await service.runs.control(waits.id, "cancel", by="Ann", reason="mistake")
    return waits.id


async def actions(service: Service, **wanted: Any) -> list[str]:
    page = await service.audit.page(limit=500, **wanted)
    return [record.action for record in reversed(page.items) if record.verdict != "allow"]


def tamper(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "segue.db")) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0, statement


async def test_what_was_asked_and_done_is_recorded_with_who_and_why(tmp_path: Path) -> None:
    """C118: each state-changing call and each automated action."""
    async with opened(tmp_path) as service:
        run = await story(service)

        found = await actions(service)
        assert found[0] == "settings.change"
        assert [a for a in found if a != "settings.change"] == [
            *("workflow.pin", "workflow.publish", "workflow.pin", "workflow.publish"),
            *("run.start", "effect.intend", "effect.settle"),
            *("run.start", "run.pause", "run.resume", "event.send", "run.cancel"),
        ]
        assert await actions(service, resource=f"run:{run}") == [
            *("run.start", "run.pause", "run.resume", "run.cancel")
        ]
        asked = (await service.audit.page(action="run.start")).items
        assert {record.data["allowed"]["by"] for record in asked} == {"person:ann"}
        assert (await service.audit.page(action="run.start", verdict="allow")).items == []
        (cancel,) = (await service.audit.page(action="run.cancel")).items
        assert (cancel.principal, cancel.reason, cancel.data) == ("person:ann", "mistake", {"by": "person:ann"})
        assert (await service.audit.page(action="run.start")).items[0].principal == "person:ann"
        assert (await service.audit.get(cancel.seq)) == cancel
        first = await service.audit.page(limit=2)
        assert [r.seq for r in (await service.audit.page(limit=1, after=first.next)).items] == [
            first.items[1].seq - 1
        ]
        with pytest.raises(ServiceError, match="no record 999"):
            await service.audit.get(999)


async def test_connections_backups_and_retention_are_recorded(tmp_path: Path) -> None:
    """Acts of administration are what an auditor asks for first."""
    openapi = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\nservers: [{url: 'http://127.0.0.1:9'}]\npaths: {}\n"
    async with opened(tmp_path) as service:
        await service.connections.add("crm", openapi)
        await service.connections.remove("crm")
        await service.backups.make(NewBackup(name="b.db"))
        found = await actions(service)

    assert [a for a in found if a.startswith(("connection", "backup"))] == [
        *("connection.add", "connection.remove", "backup.make")
    ]


async def test_an_untouched_folder_is_sound_also_after_it_was_opened_again(tmp_path: Path) -> None:
    """Histories included: the chain tells of every row."""
    async with opened(tmp_path) as service:
        await story(service)
    async with opened(tmp_path) as service:
        await service.runs.start("demo/waits")
        await service.audit.sign()
        found = await service.audit.verify()

    assert found.problems == []
    assert found.sound
    assert (found.first, found.uncovered) == (1, 0)
    assert found.history > 5
    assert found.checkpoints >= 2


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE audit SET principal = 'person:ben' WHERE action = 'run.cancel'", "changed"),
        ("UPDATE audit SET data = replace(data, 'mistake', 'fraud!!') WHERE action = 'run.cancel'", "changed"),
        ("DELETE FROM audit WHERE action = 'run.cancel'", "missing"),
        ("DELETE FROM audit WHERE seq > 5", "cut-off"),
        ("DELETE FROM audit", "cut-off"),
        ("UPDATE history SET data = replace(data, 'mistake', 'fraud!!') WHERE data LIKE '%mistake%'", "history"),
        ("DELETE FROM history WHERE data LIKE '%mistake%'", "history"),
    ],
)
async def test_tampering_with_the_file_is_found_and_named(tmp_path: Path, statement: str, kind: str) -> None:
    """By whoever has the file in hand while nobody looks."""
    async with opened(tmp_path) as service:
        await story(service)
    tamper(tmp_path, statement)
    async with open_service(tmp_path, Settings(), drive=False) as service:
        found = await service.audit.verify()

    assert not found.sound
    assert {problem.kind for problem in found.problems} == {kind}


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "UPDATE identity SET data = replace(data, 'viewer', 'admin') WHERE id = 'bob'",
            "identity:person/bob was changed",
        ),
        ("UPDATE identity SET data = replace(data, '$argon2id$', '$argon2id$x')", "identity:person/bob was changed"),
        ("DELETE FROM identity WHERE id = 'bob'", "identity:person/bob is not there"),
        (
            "INSERT INTO identity SELECT kind, 'eve', replace(data, 'bob', 'eve') FROM identity WHERE id = 'bob'",
            "identity:person/eve is there, and no record says how it came",
        ),
        ("UPDATE policy_change SET text = replace(text, 'refund', 'nothing')", "policy:ours was changed"),
        ("DELETE FROM policy_change", "policy:ours is not there"),
        ("DELETE FROM switch", "switch:connection/crm is not there"),
        ("UPDATE profile SET data = replace(data, 'bob@', 'eve@')", "profile:bob was changed"),
        ("UPDATE credential SET data = replace(data, '\"ci\"', '\"bob\"')", "token:"),
        ("UPDATE credential SET data = replace(data, '[\"read\"]', 'null')", "token:"),
        ("UPDATE connection SET data = replace(data, '127.0.0.1:9', '127.0.0.1:8')", "connection:crm was changed"),
        ("UPDATE connection SET data = replace(data, 'title', 'tutle')", "connection:crm was changed"),
        ("DELETE FROM connection", "connection:crm is not there"),
        ("UPDATE definition SET source = replace(source, 'amount: 5', 'amount: 6')", "workflow:demo/charge:1.0.0"),
    ],
)
async def test_what_is_in_force_is_what_the_chain_says(tmp_path: Path, statement: str, named: str) -> None:
    """Whoever can write into the file gives somebody a role, or takes a rule away, without touching one record."""
    api = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\npaths: {}\n"
    rule = """@id("n") forbid (principal, action == Action::"act.perform", resource)
    when { resource.operation == "refund" };"""
    async with opened(tmp_path) as service:
        await story(service)
        await service.accounts.add(NewIdentity(id="bob", roles=["viewer"], password="set by somebody"))
        await service.accounts.add(NewIdentity(kind="service", id="ci", roles=["viewer"]))
        await service.tokens.make("service", "ci", NewToken(label="reads", scopes=["read"]))
        await service.permissions.change("ours", NewPolicy(text=rule, reason="no refunds"))
        await service.connections.add("crm", api, base_url="http://127.0.0.1:9")
        await service.switches.stop(NewSwitch(kind="connection", name="crm", reason="wrong prices"))
        await service.profiles.put("bob", {"email": "bob@example.com", "roles": ["approver", "lead"]})
        await service.audit.sign()
        before = await service.audit.verify()
    assert (before.problems, before.standing) == ([], 11)
    async with opened(tmp_path) as service:
        assert (await service.audit.verify()).problems == []

    tamper(tmp_path, statement)
    async with open_service(tmp_path, Settings(), drive=False) as service:
        found = await service.audit.verify()

    assert {problem.kind for problem in found.problems} == {"standing"}
    assert all(named in problem.detail for problem in found.problems)


ALTERED = [
    ("DELETE FROM adjusted", "the adjusted value workflow:demo/set high is not there"),
    ("UPDATE adjusted SET value = '9'", "the adjusted value workflow:demo/set high was changed"),
    ("UPDATE adjusted SET key = 'low'", "the adjusted value workflow:demo/set"),
    ("UPDATE consent SET state = 'refused'", "the consent to connection:crm demo/charge read is not there"),
    ("UPDATE consent SET name = 'set'", "the consent to connection:crm demo/"),
    ("INSERT INTO consent SELECT 9, 'crm', 'demo', 'x', 'write', 'granted', 1, '', 1, '', '' FROM consent",
     "the consent to connection:crm demo/x write is there, and no record says how it came"),
    ("INSERT INTO model_owner VALUES ('churn', 'person:eve', 1, 'x')", "the owner of model:churn is there, and"),
    ("UPDATE secret_scope SET users = '[\"workflow:*\"]'", "who may use secret:crm was changed"),
    ("DELETE FROM secret_scope", "who may use secret:crm is not there"),
    ("UPDATE meta SET value = '{\"python\":[\"x\"]}' WHERE key LIKE 'pins:%'", "what is pinned of workflow:demo/"),
    ("DELETE FROM meta WHERE key LIKE 'pins:%'", "what is pinned of workflow:demo/"),
    ("UPDATE credential SET data = replace(data, '\"bob\"', '\"ann\"')", "session:"),
    # It lasts longer than any that began before the chain told of sessions.
    ("INSERT INTO credential SELECT 'e', 'e', identity_kind, identity_id,"
     " replace(replace(data, id, 'e'), '\"expires_at\":', '\"expires_at\":9') FROM credential",
     "session:e is there, and no record says how it came"),
]  # fmt: skip


async def test_what_was_set_allowed_and_begun_is_what_the_chain_says(tmp_path: Path) -> None:
    """A session made in the file signs anybody in; a consent, a value or a pin made there was decided by nobody."""
    made, set_up = tmp_path / "made", document(name="set").replace("'1.0.0'}", "'1.0.0', metadata: {segue: ADJUST}}")
    ranges = "{adjustable: {high: {type: integer, default: 1}, low: {type: integer, default: 1}}}"
    async with open_service(made, Settings(), drive=False) as service:
        await service.workflows.publish(set_up.replace("ADJUST", ranges))
        await service.adjusting.adjust("demo", "set", NewAdjustment(values={"high": 2, "low": 2}, reason="a test"))
        await service.adjusting.adjust("demo", "set", NewAdjustment(reset=["low"], reason="a test"))
        paths = "{/x: {get: {operationId: x, responses: {'200': {description: ok}}}}}"
        api = f"openapi: 3.0.3\ninfo: {{title: t, version: '1'}}\npaths: {paths}\n"
        await service.connections.add("crm", api)
        await service.workflows.publish(
            document("- look: {call: connector, with: {use: crm, operation: x}}", name="charge")
        )
        assert (await service.owning.own("crm", NewOwner(owner="person:ann", reason="hers"))).kept == [
            "demo/charge: read"
        ]
        await service.secrets.allow("crm", SecretUsers(users=["workflow:demo/charge"]))
        await service.accounts.add(NewIdentity(id="bob", roles=["viewer"], password="set by somebody"))
        await service.sessions.login(Login(name="bob", password="set by somebody"))
        sound = await service.audit.verify()
        assert (sound.problems, sound.standing > 8) == ([], True)
    for statement, named in ALTERED:
        copy = Path(shutil.copytree(made, tmp_path / "copy", dirs_exist_ok=True))
        tamper(copy, statement)
        async with open_service(copy, Settings(), drive=False) as service:
            found = await service.audit.verify()
        assert {problem.kind for problem in found.problems} == {"standing"}, statement
        assert all(problem.detail.startswith(named) for problem in found.problems), (statement, found.problems)


async def test_a_secret_that_was_exchanged_is_found_by_its_fingerprint(tmp_path: Path) -> None:
    """Sealed values can be put in each other's place without the key; the record says neither value."""
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    settings = Settings(key_file=str(key))
    async with open_service(data, settings, drive=False) as service:
        for name in ("old", "new"):
            await service.secrets.set(NewSecret(name=name, value="kanarienvogel"))
        told = [
            (r.data or {})["sha256"] for r in (await service.audit.page(action="secret.set", verdict="done")).items
        ]
        assert len(set(told)) == 2, "equal secrets of two names look different"
        assert not {sha256(text).hexdigest() for text in (b"kanarienvogel", b'"kanarienvogel"')} & set(told)
        assert (await service.audit.verify()).problems == []
    tamper(data, "UPDATE secret SET data = (SELECT data FROM secret WHERE name = 'old') WHERE name = 'new'")
    async with open_service(data, settings, drive=False) as service:
        assert (await service.audit.verify()).problems == []  # The value is the same.
        await service.secrets.set(NewSecret(name="old", value="another"))
    tamper(data, "UPDATE secret SET data = (SELECT data FROM secret WHERE name = 'old') WHERE name = 'new'")
    async with open_service(data, settings, drive=False) as service:
        (problem,) = (await service.audit.verify()).problems
    assert problem.detail.startswith("secret:new was changed")


async def test_retention_leaves_a_chain_that_verifies(tmp_path: Path) -> None:
    """What goes because of a rule is not missing; its removal is recorded."""
    async with opened(tmp_path) as service:
        await story(service)
        await service.audit.sign()
        await service.runs.start("demo/waits")
        tamper(tmp_path, "UPDATE run SET ended_at = 1 WHERE ended_at IS NOT NULL")
        from segue.service import NewPurge

        removed = await service.retention.run(NewPurge(dry_run=False))
        assert removed.runs == 2
        assert "retention.purge" in await actions(service)
        found = await service.audit.verify()

    assert found.problems == []
    assert found.removed > 0


async def test_pruning_keeps_the_hash_of_the_boundary(tmp_path: Path) -> None:
    """A chain that begins late is sound only where a signed checkpoint says so."""
    async with opened(tmp_path) as service:
        await story(service)
        signed = await service.audit.sign()
        later = datetime.now(UTC) + timedelta(seconds=5)
        assert (await service.audit.prune(later, dry_run=True)).records == signed.seq
        done = await service.audit.prune(later, reason="kept for two years")
        assert done.records == signed.seq
        found = await service.audit.verify()
        assert (found.problems, found.first) == ([], signed.seq + 1)
        assert (await service.audit.prune(datetime(2000, 1, 1, tzinfo=UTC))).records == 0
    tamper(tmp_path, f"DELETE FROM audit WHERE seq = {signed.seq + 1}")
    async with open_service(tmp_path, Settings(), drive=False) as service:
        assert not (await service.audit.verify()).sound


async def test_a_restored_backup_says_what_was_given_up(tmp_path: Path) -> None:
    """Its chain is shorter than the checkpoints beside it, and that must neither alarm nor be hidden."""
    async with opened(tmp_path) as service:
        await service.workflows.publish(WAITS)
        await service.audit.sign()
    backup_of_folder(tmp_path, tmp_path / "b.db")
    async with opened(tmp_path) as service:
        await story(service)
    restore_folder(tmp_path / "b.db", tmp_path, force=True)
    async with opened(tmp_path) as service:
        await service.runs.start("demo/waits")
        await service.audit.sign()
        found = await service.audit.verify()

    assert found.problems == []
    assert found.given_up > 0


async def test_a_checkpoint_kept_elsewhere_finds_a_folder_that_was_put_back_whole(tmp_path: Path) -> None:
    """Whoever owns the folder and its key can make everything in it fit; not what left it."""
    async with opened(tmp_path) as service:
        await story(service)
        kept = await service.audit.sign()
        own = await service.audit.verify(public_key=kept.public_key.encode())
        assert own.sound
    from segue.governance import Checkpoint

    elsewhere = Checkpoint(kept.seq, kept.hash, 0, "mark", kept.key, kept.signature)
    async with open_service(tmp_path, Settings(), drive=False) as service:
        with pytest.raises(ServiceError, match="public key cannot be used"):
            await service.audit.verify(public_key=b"nonsense")
        forged = await service.audit.verify(checkpoints=[elsewhere])
        assert {p.kind for p in forged.problems} == {"signature"}


class Collector(BaseHTTPRequestHandler):
    """A receiver of OTLP logs."""

    bodies: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        self.bodies.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


class Datagrams(asyncio.DatagramProtocol):
    """A receiver of syslog over UDP."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.got.append(data)


async def test_records_reach_real_receivers(tmp_path: Path) -> None:
    """Syslog over UDP and TCP, OTLP over HTTP, and a file; all of them, in order."""
    loop = asyncio.get_running_loop()
    datagrams = Datagrams()
    transport, _ = await loop.create_datagram_endpoint(lambda: datagrams, local_addr=("127.0.0.1", 0))
    stream: list[bytes] = []

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while length := await reader.readuntil(b" ") if not reader.at_eof() else b"":
            stream.append(await reader.readexactly(int(length)))
            if reader.at_eof():
                break
        writer.close()

    tcp = await asyncio.start_server(read, "127.0.0.1", 0)
    Collector.bodies.clear()
    http = HTTPServer(("127.0.0.1", 0), Collector)
    Thread(target=http.serve_forever, daemon=True).start()
    targets = [
        f"syslog+udp://127.0.0.1:{transport.get_extra_info('sockname')[1]}",
        f"syslog+tcp://127.0.0.1:{tcp.sockets[0].getsockname()[1]}",
        f"otlp+http://127.0.0.1:{http.server_port}/v1/logs",
        str(tmp_path / "copy.jsonl"),
    ]
    async with opened(tmp_path / "data") as service:
        await story(service)
        page = await service.audit.following()
        items: list[Any] = [json.loads(msgspec.json.encode(item)) for item in page.items]
        for target in targets:
            async with export_to(target) as send:
                await send(items)
    await asyncio.sleep(0.1)
    tcp.close()
    transport.close()
    http.shutdown()
    http.server_close()

    wanted = [item["hash"] for item in items]
    told = [json.loads(message.partition(b"\xef\xbb\xbf")[2])["hash"] for message in datagrams.got]
    assert told == wanted
    assert [json.loads(message.partition(b"\xef\xbb\xbf")[2])["hash"] for message in stream] == wanted
    ((path, body),) = Collector.bodies
    logs = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert path == "/v1/logs"
    assert [json.loads(log["body"]["stringValue"])["hash"] for log in logs] == wanted
    assert [json.loads(line)["hash"] for line in (tmp_path / "copy.jsonl").read_text().splitlines()] == wanted
    with pytest.raises(ServiceError, match="syslog"):
        async with export_to(targets[1]) as send:
            await send(items)


async def test_a_setting_sends_records_on_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And after a restart only what is new."""
    monkeypatch.setattr("segue.service.forwarding._LOOK_SECONDS", 0.02)
    copy = tmp_path / "copy.jsonl"
    for count in (1, 2):
        async with opened(tmp_path / "data", audit_export=(str(copy),)) as service:
            await story(service)
            last = (await service.audit.page(limit=1)).items[0].seq
            for _ in range(200):
                await asyncio.sleep(0.02)
                lines = copy.read_text().splitlines() if copy.exists() else []
                if lines and json.loads(lines[-1])["seq"] >= last:
                    break
            assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1)), count


def test_the_commands_of_the_chain(cli: Cli, tmp_path: Path) -> None:
    """With a server and without: list, show, sign, verify, export, prune; a broken chain ends with 1."""
    (tmp_path / "flow.yaml").write_text(WAITS)
    data = tmp_path / "data"
    with serving(data):
        assert cli("publish", tmp_path / "flow.yaml", "--data", data).code == 0
        listed = cli("audit", "list", "--data", data, "--json").json["items"]
        assert "workflow.publish" in [record["action"] for record in listed]
        shown = cli("audit", "show", str(listed[0]["seq"]), "--data", data)
        assert listed[0]["hash"] in shown.out
        assert cli("audit", "sign", "--data", data, "--json").json["publicKey"].startswith("-----BEGIN")
        assert cli("audit", "verify", "--data", data).out.startswith("sound")
        assert cli("audit", "export", tmp_path / "copy.jsonl", "--data", data, "--json").json["sent"] >= len(listed)
    assert cli("audit", "verify", "--data", data, "--json").json["sound"]
    assert cli("audit", "prune", "2020-01-01", "--reason", "old", "--dry-run", "--data", data).code == 0
    tamper(data, "UPDATE audit SET action = 'nothing' WHERE action = 'workflow.publish'")
    broken = cli("audit", "verify", "--data", data)
    assert broken.code == 1
    assert "changed: record" in broken.out


async def test_a_start_that_is_permitted_and_fails_is_still_on_record(tmp_path: Path) -> None:
    """One record holds verdict and deed; without a deed the verdict must not be lost, nor go to another start."""
    async with open_service(tmp_path, Settings()) as service:
        await service.workflows.publish(document())
        with pytest.raises(ServiceError):
            await service.runs.start("demo/nothing")
        for _ in range(2):
            await service.runs.start("demo/flow", key="one")
        await service.store.anchor()
        again, began, alone = (await service.audit.page(action="run.start")).items
        assert (alone.resource, alone.verdict) == ("workflow:demo/nothing", "allow")
        assert (began.verdict, began.data["allowed"]["on"]) == ("done", "workflow:demo/flow")
        assert (again.verdict, again.resource) == ("allow", "workflow:demo/flow")
        assert (await service.audit.verify()).sound
