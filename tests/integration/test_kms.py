"""Keys held by Vault or AWS KMS: asked at the start and at a rotation, and not missed in between."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.integration.cli_support import Cli
from tests.integration.kms_support import ENVIRONMENT, AwsStandIn, VaultStandIn, real_vault, standing_in
from tests.integration.service_support import document

from segue.governance import AwsKms, KeysRefused, KmsSettings, VaultTransit, new_wrapped_key, service_of
from segue.governance.kms_aws import Signer, sign
from segue.governance.kms_line import Line
from segue.service import ServiceError, Settings, encrypt_folder, init_keys, open_service

ABOUT_ANN = document("- one: {set: {a: '${ . }'}}").replace(
    "version: '1.0.0'}", "version: '1.0.0', metadata: {segue: {subject: '${ .name }'}}}"
)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["vault", "approle", "aws"])
def kms(request: pytest.FixtureRequest) -> Iterator[tuple[KmsSettings, type]]:
    """Settings, and the stand-in that they name."""
    with standing_in(AwsStandIn if request.param == "aws" else VaultStandIn) as (address, service):
        yield settings_of(request.param, address), service


def settings_of(kind: str, address: str) -> KmsSettings:
    if kind == "aws":
        return AwsKms(region="eu-central-1", key="alias/segue", endpoint=address)
    if kind == "approle":
        return VaultTransit(address=address, key="segue", role_id="env:VAULT_ROLE", secret_id="env:VAULT_SECRET")
    return VaultTransit(address=address, key="segue", token="env:VAULT_TOKEN")


def test_what_was_wrapped_is_unwrapped_for_the_same_purpose_only(kms: tuple[KmsSettings, type]) -> None:
    """A wrapped key that is put in another's place opens nothing."""
    service = service_of(kms[0])
    wrapped = service.wrap(b"k" * 32, b"for this")
    assert b"k" * 32 not in wrapped
    assert service.unwrap(wrapped, b"for this") == b"k" * 32
    with pytest.raises(KeysRefused, match="refuses"):
        service.unwrap(wrapped, b"for that")


def test_a_real_vault_or_its_stand_in_behaves_as_the_others() -> None:
    """The stand-in says what it was taught; where a real one is at hand, the same is asked of it."""
    with standing_in(VaultStandIn) as (address, _):
        where, token, key = real_vault() or (address, "root", "segue")
        service = service_of(VaultTransit(address=where, key=key, token="env:TOKEN"), {"TOKEN": token})
        _, wrapped = new_wrapped_key(service)
        assert wrapped.wrapped.startswith(b"vault:v")
        with pytest.raises(KeysRefused, match=r"refuses \(400\)"):
            service.unwrap(wrapped.wrapped, b"for that")
        other = service_of(VaultTransit(address=where, key=key, token="env:TOKEN"), {"TOKEN": "wrong"})
        with pytest.raises(KeysRefused, match=r"refuses \(403\): permission denied"):
            other.wrap(b"k" * 32, b"x")


async def test_only_the_start_and_a_rotation_need_the_service(tmp_path: Path, kms: tuple[KmsSettings, type]) -> None:
    """An outage of the service must not stop what runs, nor what is new; a rotation fails and changes nothing."""
    where, service = kms
    settings = Settings(kms=where)
    init_keys(tmp_path, None, where)
    async with open_service(tmp_path, settings) as opened:
        await opened.workflows.publish(ABOUT_ANN)
        service.down = True
        asked = len(service.asked)
        run, _ = await opened.runs.start("demo/flow", input={"name": "ann"})
        await opened.runs.wait(run.id)
        assert (await opened.runs.get(run.id)).output == {"a": {"name": "ann"}}
        await opened.keys.rotate()
        assert len(service.asked) == asked
        before = (await opened.keys.list()).items
        with pytest.raises(ServiceError, match=r"refuses|does not answer"):
            await opened.keys.rotate(kms=where)
        assert (await opened.keys.list()).items == before
    with pytest.raises(ServiceError, match=r"refuses|does not answer") as refused:
        async with open_service(tmp_path, settings):
            pass
    assert refused.value.kind == "keys-refused"
    service.down = False
    async with open_service(tmp_path, settings) as opened:
        assert (await opened.runs.get(run.id)).output == {"a": {"name": "ann"}}


async def test_after_a_rotation_there_the_old_version_is_needed_no_more(
    tmp_path: Path, kms: tuple[KmsSettings, type]
) -> None:
    """Rotating in the service changes nothing here; `rotate` then wraps with its newest key."""
    where, service = kms
    init_keys(tmp_path, None, where)
    service.rotate()
    async with open_service(tmp_path, Settings(kms=where)) as opened:
        await opened.workflows.publish(ABOUT_ANN)
        assert (await opened.keys.rotate(kms=where)).wrapped >= 2
    service.keys[0] = type(service.keys[0])(b"0" * 32)
    async with open_service(tmp_path, Settings(kms=where)) as opened:
        assert (await opened.workflows.page()).items


async def test_a_folder_moves_between_file_and_services(tmp_path: Path) -> None:
    """Each step wraps all data keys anew, and the way before opens nothing any more."""
    data, file, last = tmp_path / "data", tmp_path / "kek", tmp_path / "last"
    async with open_service(data, Settings()) as service:
        await service.workflows.publish(ABOUT_ANN)
    with standing_in(VaultStandIn) as (one, _), standing_in(AwsStandIn) as (two, _):
        vault, aws = settings_of("vault", one), settings_of("aws", two)
        await encrypt_folder(data, Settings(kms=vault), kms=True, remove_plain=True)
        async with open_service(data, Settings(kms=vault)) as service:
            await service.keys.rotate(kms=aws)
        with pytest.raises(ServiceError, match=r"keys|refuses"):
            async with open_service(data, Settings(kms=vault)):
                pass
        async with open_service(data, Settings(kms=aws)) as service:
            await service.keys.rotate(key_file=file)
        with pytest.raises(ServiceError, match="key_file"):
            async with open_service(data, Settings(kms=aws)):
                pass
        async with open_service(data, Settings(key_file=str(file))) as service:
            await service.keys.rotate(kms=vault)
        with pytest.raises(ServiceError, match=r"held by Vault at .*name that service"):
            async with open_service(data, Settings(key_file=str(file))):
                pass
        async with open_service(data, Settings(kms=vault)) as service:
            await service.keys.rotate(key_file=last)
            assert (await service.workflows.page()).items


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the service named in `segue.toml`."""
    cli, data, flow = Cli(capsys), tmp_path / "data", tmp_path / "flow.yaml"
    flow.write_text(ABOUT_ANN)
    data.mkdir()
    assert "name no service" in cli("keys", "init", "--kms", "--data", data).err
    with standing_in(VaultStandIn) as (address, service):
        (data / "segue.toml").write_text(
            f'[kms]\nkind = "vault"\naddress = "{address}"\nkey = "segue"\ntoken = "env:VAULT_TOKEN"\n'
        )
        assert cli("keys", "init", "--kms", "--data", data).code == 0
        assert cli("publish", flow, "--data", data).code == 0
        service.rotate()
        assert "wrapped anew" in cli("keys", "rotate", "--kms", "--data", data).out
        service.down = True
        failed = cli("workflows", "list", "--data", data)
    assert failed.code == 2
    assert "Vault is sealed" in failed.err
    assert "root" not in failed.err
    assert "does not answer" in cli("workflows", "list", "--data", data).err


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (VaultTransit(address="http://10.1.1.1:8200", key="k", token="env:VAULT_TOKEN"), "https"),
        (VaultTransit(address="https://a:b@vault", key="k", token="env:VAULT_TOKEN"), "without credentials"),
        (VaultTransit(address="https://vault", key="k"), "either `token`"),
        (VaultTransit(address="https://vault", key="k", token="env:A", role_id="env:A", secret_id="env:A"), "either"),
        (VaultTransit(address="https://vault", key="k", token="env:A", ca_file="/none"), "certificates /none"),
        (AwsKms(region="eu-central-1", key="k", endpoint="http://example.com"), "https"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(settings: KmsSettings, why: str) -> None:
    """Before anything is sent."""
    with pytest.raises(KeysRefused, match=why):
        service_of(settings)


def test_a_credential_in_the_settings_is_refused_and_not_repeated() -> None:
    """Settings are read, copied and shown."""
    service = service_of(VaultTransit(address="http://127.0.0.1:9", key="k", token="hvs.secret"))
    with pytest.raises(KeysRefused, match="must be env:NAME or file:PATH") as refused:
        service.wrap(b"k", b"a")
    assert "hvs" not in str(refused.value)


def test_a_server_that_is_not_the_one_is_noticed() -> None:
    """A page of a proxy is no answer; a certificate that nobody vouches for ends the line."""
    with standing_in(VaultStandIn) as (address, _):
        service = service_of(VaultTransit(address=address.replace("http", "https"), key="k", token="env:VAULT_TOKEN"))
        with pytest.raises(KeysRefused, match="does not answer"):
            service.wrap(b"k", b"a")


@pytest.mark.parametrize(
    ("token", "signature"),
    [
        (None, "906a43ef676eaeba7606722dbdbbeb12e6b4d41d00b2489c6abd960fbcd81fbd"),
        ("TOKEN+/=", "480cb3db3142212fbdf0b97359293113433b601962fc391d7266528d33d59d30"),
    ],
)
def test_requests_are_signed_as_the_vendor_signs_them(token: str | None, signature: str) -> None:
    """Signatures that the vendor's own library (botocore 1.44) makes of the same requests."""
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": "kms.eu-central-1.amazonaws.com",
        "x-amz-target": "TrentService.Encrypt",
    }
    if token is not None:
        headers["x-amz-security-token"] = token
    signer = Signer(ENVIRONMENT["AWS_ACCESS_KEY_ID"], ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], "eu-central-1", "kms")
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    signed = sign("POST", "/", headers, b'{"KeyId":"alias/segue"}', signer, at)
    assert signed["authorization"].endswith(f"Signature={signature}")


ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 65_536
_PACKER = zlib.compressobj(wbits=31)
PACKED = b"".join(_PACKER.compress(b"x" * 1_000_000) for _ in range(50)) + _PACKER.flush()
HOSTILE = {
    "an endless answer": (ENDLESS, b" " * 65_536, "more than 65536 bytes"),
    "one of few bytes that become many": (
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(PACKED), PACKED),
        b"",
        "what is not JSON",
    ),
    "one that drips": (b"HTTP/1.1 200 OK\r\n\r\n", b" ", "did not end within"),
}


@pytest.mark.parametrize(("begins", "goes_on", "said"), HOSTILE.values(), ids=HOSTILE.keys())
def test_answers_are_bounded_in_size_and_time(begins: bytes, goes_on: bytes, said: str) -> None:
    """It is asked before anything runs: a start must not hang, or take all memory, for what answers in its place."""

    class Answering(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)
            with contextlib.suppress(OSError):
                self.request.sendall(begins)
                while goes_on:
                    self.request.sendall(goes_on)
                    time.sleep(0.02)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answering) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        line = Line("the service", ca_file=None, timeout_ms=300)
        began = time.monotonic()
        # Not by what the process has needed at most: it may have needed more before.
        tracemalloc.start()
        try:
            with pytest.raises(KeysRefused, match=said):
                line.post(f"http://127.0.0.1:{server.server_address[1]}/", b"{}", {})
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        server.shutdown()

    assert time.monotonic() - began < 10
    assert most < 10_000_000
