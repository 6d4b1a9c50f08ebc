"""Sending the audit chain on: what a receiver does that is away, hangs, dies or is somebody else."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from tests.integration.service_support import document
from tests.integration.test_edge import certificate

from segue.service import ServiceError, Settings, export_to, open_service

RECORD: Final[dict[str, Any]] = {
    "seq": 7,
    "at": "2026-01-31T12:00:00.250Z",
    "principal": "person:ann",
    "action": "run.cancel",
    "resource": "run:r1",
    "verdict": "done",
    "reason": "",
    "workspace": "default",
    "data": None,
    "hash": "ab" * 32,
}


def newest(path: Path) -> int:
    """The place that stands in the last line of a file, 0 where there is none."""
    return int(json.loads(path.read_text().splitlines()[-1])["seq"]) if path.exists() else 0


async def test_a_receiver_that_is_away_or_hangs_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the other receivers nor the signing: else whoever can make one hang could cut the chain unseen."""
    monkeypatch.setattr("segue.service.forwarding._LOOK_SECONDS", 0.02)
    monkeypatch.setattr("segue.service.forwarding._HAND_OVER_SECONDS", 0.1)
    monkeypatch.setattr("segue.service.audit._SIGN_SECONDS", 0.02)
    copy, data = tmp_path / "copy.jsonl", tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = f"otlp+http://127.0.0.1:{silent.getsockname()[1]}/v1/logs"
        targets = ("syslog+tcp://127.0.0.1:1", hanging, str(copy))
        async with open_service(data, Settings(audit_export=targets)) as service:
            await service.workflows.publish(document().encode())
            last = (await service.audit.page(limit=1)).items[0].seq
            for _ in range(500):
                if min(newest(copy), newest(data / "audit.checkpoints")) >= last:
                    break
                await asyncio.sleep(0.02)
            assert newest(copy) >= last
            assert newest(data / "audit.checkpoints") >= last


async def test_a_receiver_of_syslog_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stopped reading must not keep a record on its way for ever; one that died has not got it."""
    monkeypatch.setattr("segue.governance.export._TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"syslog+tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ServiceError, match="TimeoutError"):
            async with export_to(target) as send:
                await send([{**RECORD, "reason": "x" * 20_000_000}])
        server.accept()[0].close()

        monkeypatch.undo()
        with pytest.raises(ServiceError, match="syslog"):
            await _send_to_one_that_dies(target, server)


async def _send_to_one_that_dies(target: str, server: socket.socket) -> None:
    async with export_to(target) as send:
        await send([RECORD])
        taken, _ = await asyncio.to_thread(server.accept)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        taken.close()


async def test_syslog_over_tls_checks_who_receives(tmp_path: Path) -> None:
    """A copy of the audit that anybody on the way can take or change proves nothing (RFC 5425)."""
    files = certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    got: list[bytes] = []

    async def read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            got.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(read, "127.0.0.1", 0, ssl=context)
    target = f"syslog+tls://localhost:{server.sockets[0].getsockname()[1]}"
    async with export_to(f"{target}?ca={files[0]}") as send:
        await send([RECORD])
    assert [json.loads(message.partition(b"\xef\xbb\xbf")[2]) for message in got] == [RECORD]
    with pytest.raises(ServiceError, match="certificate verify failed"):
        async with export_to(target) as send:
            await send([RECORD])
    server.close()
