"""Who may use which secret, and who did; and which variables a connection may take its credentials from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli_support import Cli
from tests.integration.service_support import document

from segue.handlers import FunctionRegistry
from segue.service import (
    NewConnection,
    NewSecret,
    SecretUsers,
    Service,
    ServiceError,
    Settings,
    init_keys,
    open_service,
)
from segue.service.functions import register

OPENAPI = "openapi: 3.0.3\ninfo: {title: t, version: '1'}\nservers: [{url: 'http://127.0.0.1:9'}]\npaths: {}\n"
USES = "use: {secrets: [crm]}"
CALLS = "- one: {call: note, with: {token: '${ $secrets.crm }'}}"
SEEN: list[str] = []


def note(token: str) -> str:
    SEEN.append(token)
    return "noted"


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[Service]:
    functions = FunctionRegistry()
    register(functions, note, "note")
    async with open_service(folder, Settings(**settings), functions=functions) as service:
        yield service


async def outcome(service: Service, name: str) -> str:
    run, _ = await service.runs.start(f"demo/{name}")
    await service.runs.wait(run.id)
    ended = await service.runs.get(run.id)
    return ended.status if ended.error is None else f"{ended.status}: {ended.error['detail']}"


async def test_a_secret_is_for_whom_it_was_given_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C129: a document that names a secret gets it only where somebody lets it; also after a restart."""
    monkeypatch.setenv("SEGUE_SECRET_CRM", "s3cret-value")
    SEEN.clear()
    async with opened(tmp_path) as service:
        for name in ("mine", "theirs"):
            await service.workflows.publish(document(CALLS, name=name, more=USES))
        assert await outcome(service, "theirs") == "completed"

        await service.secrets.allow("crm", SecretUsers(users=["workflow:demo/mi*", "connection:crm"]))

        assert await outcome(service, "mine") == "completed"
        refused = await outcome(service, "theirs")
        assert "may not be used by workflow:demo/theirs" in refused
        assert "segue secrets allow crm" in refused
    assert SEEN == ["s3cret-value"] * 2
    async with opened(tmp_path) as service:
        assert "may not be used" in await outcome(service, "theirs")
        (record,) = (await service.audit.page(action="secret.use", verdict="deny", limit=1)).items
        assert (record.principal, record.resource) == ("workflow:demo/theirs", "secret:crm")
        await service.secrets.allow("crm", SecretUsers(users=[]))
        assert "may not be used" in await outcome(service, "mine")
        await service.secrets.allow("crm", SecretUsers(users=None))
        assert await outcome(service, "theirs") == "completed"


async def test_a_list_says_who_names_who_may_and_who_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever rotates a secret must know whom that reaches; values are in none of it."""
    monkeypatch.setenv("SEGUE_SECRET_CRM", "s3cret-value")
    data, key = tmp_path / "data", tmp_path / "kek"
    init_keys(data, key)
    async with opened(data, key_file=str(key)) as service:
        await service.secrets.set(NewSecret(name="unused", value="x1"))
        await service.workflows.publish(document(CALLS, name="mine", more=USES))
        await service.connections.add("shop", OPENAPI, auth="bearer=secret:crm.token")
        await service.secrets.allow("crm", SecretUsers(users=["workflow:demo/mine"]))
        assert await outcome(service, "mine") == "completed"
        listed = {secret.name: secret for secret in (await service.secrets.list()).items}
    crm, unused = listed["crm"], listed["unused"]
    assert (crm.kept, crm.users, crm.used_by) == (False, ["workflow:demo/mine"], "workflow:demo/mine")
    assert crm.named_by == ["workflow:demo/mine", "connection:shop"]
    assert crm.used_at is not None
    assert (unused.kept, unused.users, unused.used_at, unused.named_by) == (True, None, None, [])
    assert "s3cret" not in repr(listed)


async def test_a_connection_of_ones_own_does_not_get_a_secret_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may connect systems could send it to one of theirs, by trying the connection."""
    monkeypatch.setenv("SEGUE_SECRET_CRM", "s3cret-value")
    async with opened(tmp_path) as service:
        await service.secrets.allow("crm", SecretUsers(users=["connection:crm"]))
        added = await service.connections.add("mine", OPENAPI, auth="bearer=secret:crm")
        assert "may not be used by connection:mine" in " ".join(added.warnings or [])


@pytest.mark.parametrize("users", [["crm"], ["person:ann"], ["workflow:"], ["connection:a b"], ["workflow:x"] * 101])
async def test_what_is_no_user_is_refused(tmp_path: Path, users: list[str]) -> None:
    """A scope that means nothing would protect nothing, or stop everything."""
    async with opened(tmp_path) as service:
        with pytest.raises(ServiceError) as refused:
            await service.secrets.allow("crm", SecretUsers(users=users))
        assert refused.value.kind == "secret-refused"


@pytest.mark.parametrize(
    ("allowed", "fine"),
    [
        ((), False),
        (("CRM_TOKEN",), True),
        (("CRM_*",), True),
        (("crm:CRM_TOKEN",), True),
        (("shop:CRM_TOKEN",), False),
        (("CRM",), False),
        (("*",), True),
    ],
)
async def test_a_connection_over_the_network_takes_named_variables_only(
    tmp_path: Path, allowed: tuple[str, ...], fine: bool
) -> None:
    """A server's environment holds what is not for whoever connects systems."""
    async with opened(tmp_path, connection_variables=allowed) as service:
        wanted = NewConnection(name="crm", document=OPENAPI, auth="basic=text:x,env:CRM_TOKEN")
        if fine:
            await service.connections.add_from(wanted, trusted=False)
        else:
            with pytest.raises(ServiceError, match="do not name CRM_TOKEN") as refused:
                await service.connections.add_from(wanted, trusted=False)
            assert "crm:CRM_TOKEN" in refused.value.remedy
            # The holder of the folder reads the environment anyway.
            await service.connections.add_from(wanted)
        own = NewConnection(name="own", document=OPENAPI, auth="bearer=env:SEGUE_KEY")
        with pytest.raises(ServiceError, match="Segue's own"):
            await service.connections.add_from(own, trusted=False)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scope, users and last use in one table."""
    cli = Cli(capsys)
    done = cli("secrets", "allow", "crm", "workflow:demo/mine", "connection:crm", "--data", tmp_path)
    assert (done.code, done.out) == (0, "crm: workflow:demo/mine connection:crm\n")
    assert "workflow:demo/mine connection:crm" in " ".join(cli("secrets", "list", "--data", tmp_path).out.split())
    (listed,) = cli("secrets", "list", "--data", tmp_path, "--json").json["items"]
    assert (listed["users"], listed["usedAt"], listed["namedBy"]) == (
        ["workflow:demo/mine", "connection:crm"],
        None,
        [],
    )
    assert cli("secrets", "allow", "crm", "--anyone", "--data", tmp_path).out == "crm: whoever names it\n"
    assert cli("secrets", "allow", "crm", "--data", tmp_path).out == "crm: nobody\n"
    assert cli("secrets", "allow", "crm", "connection:x", "--anyone", "--data", tmp_path).code == 2
