"""Several workspaces of one server: made, broken, locked, stopped, killed, put aside."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.integration.api_support import YAML, problem
from tests.integration.cli_support import Cli, serving, start, wait_until
from tests.integration.service_support import PAID, WAITS, document
from tests.integration.test_permissions import account
from tests.integration.workspaces_support import Several, address_in, several

from segue.service import Settings, create_workspace, open_service

V1 = "/api/v1"
CLOUD = {"content-type": "application/cloudevents+json"}


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


@contextmanager
def serving_several(folder: Path, *arguments: str, **more: Any) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A server process over a folder of workspaces, and what it said of itself."""
    process = start(["serve", "--workspaces", folder, "--port", "0", "--json", *arguments], **more)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, process.communicate()[1]
        yield process, json.loads(said)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def of(folder: Path, name: str) -> httpx.Client:
    """A client of a workspace of a server process, as the holder of its folder."""
    token = (folder / name / "token").read_text().strip()
    return httpx.Client(base_url=address_in(folder / name), headers={"authorization": f"Bearer {token}"}, timeout=30)


async def until_open(served: Several, name: str) -> None:
    """Wait until a workspace is open."""
    async with asyncio.timeout(10):
        while not any(one.name == name and one.state == "open" for one in served.workspaces.list()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for what is new, and try again what is broken, without a pause."""
    monkeypatch.setattr("segue.service.workspaces._SCAN_SECONDS", 0.02)
    monkeypatch.setattr("segue.service.workspaces._RETRY_SECONDS", 0.02)


# -- a process -------------------------------------------------------------------------------------


def test_after_a_kill_every_workspace_goes_on(tmp_path: Path) -> None:
    """Two files and one process: what a kill takes away from one it must not take from the other."""
    folder = tmp_path / "all"
    runs: dict[str, str] = {}
    for name in ("north", "south"):
        create_workspace(folder, name)
    with serving_several(folder) as (process, said):
        assert (said["open"], said["broken"]) == (["north", "south"], {})
        for name in ("north", "south"):
            with of(folder, name) as client:
                assert client.post(f"{V1}/workflows", content=WAITS, headers=YAML).status_code == 201
                started = client.post(f"{V1}/runs", json={"workflow": "demo/waits", "input": {"of": name}})
                runs[name] = started.json()["id"]
        process.kill()
        process.wait(timeout=20)
        assert (folder / ".nobody").exists()
    with serving_several(folder) as (process, said):
        assert said["open"] == ["north", "south"]
        with of(folder, "north") as client:
            assert client.post(f"{V1}/events", json=PAID, headers=CLOUD).status_code == 202
            wait_until(lambda: client.get(f"{V1}/runs/{runs['north']}").json()["status"] == "completed")
            assert client.post(f"{V1}/audit/verify", json={}).json()["problems"] == []
        with of(folder, "south") as client:
            # What was sent to the other is no event here.
            assert client.get(f"{V1}/runs/{runs['south']}").json()["status"] == "waiting"
            assert client.post(f"{V1}/events", json=PAID, headers=CLOUD).status_code == 202
            wait_until(lambda: client.get(f"{V1}/runs/{runs['south']}").json()["status"] == "completed")
            assert client.post(f"{V1}/audit/verify", json={}).json()["problems"] == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    left = {path.name for path in folder.rglob("*") if path.name in ("server.json", ".nobody") or "-wal" in path.name}
    assert left == set()


def test_commands_find_a_workspace_by_its_folder_and_by_its_address(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one works with one data folder; a switch of one is none of another."""
    folder = tmp_path / "all"
    for name in ("north", "south"):
        assert cli("workspaces", "create", name, "--workspaces", folder).code == 0
    flow = tmp_path / "flow.yaml"
    flow.write_text(document())
    with serving_several(folder):
        for name in ("north", "south"):
            assert cli("publish", flow, "--data", folder / name).code == 0
        stopped = cli("stop", "workspace", "north", "--reason", "month end", "--data", folder / "north")
        assert stopped.code == 0, stopped.err
        wrong = cli("stop", "workspace", "north", "--reason", "x", "--data", folder / "south")
        assert "This is the workspace 'south'" in wrong.err
        refused = cli("runs", "start", "demo/flow", "--data", folder / "north")
        assert "stopped by person:owner" in refused.err
        assert cli("runs", "start", "demo/flow", "--data", folder / "south", "--wait").code == 0

        monkeypatch.setenv("SEGUE_URL", address_in(folder / "south"))
        monkeypatch.setenv("SEGUE_TOKEN", (folder / "south" / "token").read_text().strip())
        assert cli("whoami", "--json").json["workspace"] == "south"
        monkeypatch.setenv("SEGUE_URL", address_in(folder / "north"))
        assert cli("whoami").code == 2
        monkeypatch.setenv("SEGUE_URL", address_in(folder / "south").partition("/w/")[0])
        assert "/w/NAME" in cli("whoami").err

        made = cli("workspaces", "create", "west", "--workspaces", folder, "--json").json
        assert made["state"] == "open"
        listed = cli("workspaces", "list", "--workspaces", folder, "--json").json
        assert [(one["name"], one["state"]) for one in listed] == [
            ("north", "open"),
            ("south", "open"),
            ("west", "open"),
        ]
        put = cli("workspaces", "remove", "west", "--reason", "merged", "--workspaces", folder)
        assert put.code == 0, put.err
        assert not (folder / "west").exists()
    (removed,) = (folder / ".removed").iterdir()
    assert "merged" in cli("audit", "list", "--data", removed, "--json").out


def test_one_that_is_broken_or_locked_stops_no_other(tmp_path: Path) -> None:
    """Of twelve teams one makes a typing error; eleven must not notice."""
    folder = tmp_path / "all"
    for name in ("good", "locked", "typo", "proc"):
        create_workspace(folder, name)
    (folder / "typo" / "segue.toml").write_text("acts_max = 'many'\n")
    (folder / "proc" / "segue.toml").write_text("allow_processes = true\n")
    (folder / "Shouting").mkdir()
    (folder / "Shouting" / "segue.toml").write_text("")
    with serving(folder / "locked"), serving_several(folder) as (_, said):
        assert said["open"] == ["good"]
        reasons = said["broken"]
        assert set(reasons) == {"Shouting", "locked", "proc", "typo"}
        assert "in use by process" in reasons["locked"]
        assert "acts_max" in reasons["typo"]
        assert "could read the others" in reasons["proc"]
        assert "cannot be the name" in reasons["Shouting"]
        front = httpx.Client(base_url=said["url"], timeout=30)
        with front, of(folder, "good") as client:
            assert client.post(f"{V1}/workflows", content=document(), headers=YAML).status_code == 201
            for path in ("health", "ready"):
                assert front.get(f"{V1}/{path}").json()["status"] == "degraded"
                assert "typo" not in front.get(f"{V1}/{path}").text
            token = (folder / "locked" / "token").read_text().strip()
            away = front.get(f"/w/locked{V1}/runs", headers={"authorization": f"Bearer {token}"})
            problem(away, 401, "token-refused")


def test_what_would_count_for_all_is_refused_before_anything_is_opened(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key or a folder of secrets in the environment would be every team's."""
    folder = tmp_path / "all"
    create_workspace(folder, "north")
    for variable in ("SEGUE_KEY", "SEGUE_AUDIT_KEY", "SEGUE_SECRETS_FOLDER", "SEGUE_KEY_FILE", "SEGUE_WORKSPACE"):
        monkeypatch.setenv(variable, "x")
        refused = cli("serve", "--workspaces", folder, "--port", "0")
        assert (refused.code, "would count for every workspace" in refused.err) == (2, True)
        monkeypatch.delenv(variable)
    assert "programs" in cli("serve", "--workspaces", folder, "--port", "0", "--allow-processes").err.lower()
    assert "--workspaces" in cli("serve", "--data", folder, "--port", "0").err
    assert "either" in cli("serve", "--data", folder, "--workspaces", folder).err
    assert "no folder of workspaces" in cli("serve", "--workspaces", tmp_path / "none", "--port", "0").err
    assert not (folder / "north" / "segue.db").exists()


def test_two_servers_do_not_share_a_folder_of_workspaces(tmp_path: Path) -> None:
    """The second would answer for nothing but broken ones."""
    folder = tmp_path / "all"
    create_workspace(folder, "north")
    with serving_several(folder):
        second = start(["serve", "--workspaces", folder, "--port", "0"])
        _, err = second.communicate(timeout=30)
        assert second.returncode == 2
        assert "in use by process" in err


# -- one after the other ---------------------------------------------------------------------------


async def test_a_workspace_is_opened_when_it_comes_and_when_what_was_wrong_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adding a team is no reason to stop the others."""
    quick(monkeypatch)
    folder = tmp_path / "all"
    create_workspace(folder, "typo")
    (folder / "typo" / "segue.toml").write_text("port = 1\n")
    async with several(folder, "north") as served, served.front() as front:
        assert "of several" in next(one.reason for one in served.workspaces.list() if one.name == "typo")
        assert (await front.get(f"{V1}/health")).json()["status"] == "degraded"
        (folder / "typo" / "segue.toml").write_text("")
        await until_open(served, "typo")
        assert (await front.get(f"{V1}/health")).json()["status"] == "ok"

        create_workspace(folder, "later")
        await until_open(served, "later")
        made = await front.post(f"{V1}/workspaces", json={"name": "asked"})
        assert (made.status_code, made.json()["state"]) == (201, "open")
        for name in ("typo", "later", "asked"):
            async with served.client(name) as client:
                assert (await client.get(f"{V1}/whoami")).json()["workspace"] == name
        for name in ("asked", "North", "a--b", "-a", "..", "a/b", "x" * 64):
            problem(
                await front.post(f"{V1}/workspaces", json={"name": name}),
                422 if len(name) < 64 else 400,
                ("workspace-refused" if len(name) < 64 else "request-malformed"),
            )


async def test_a_workspace_that_is_put_aside_is_nothing_any_more_and_goes_on_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its streams end, what was under way is answered, and its chain says who did it and why."""
    quick(monkeypatch)
    folder = tmp_path / "all"
    async with several(folder, "north", "south") as served, served.front() as front, served.client("north") as owner:
        await owner.post(f"{V1}/workflows", content=WAITS, headers=YAML)
        run = (await owner.post(f"{V1}/runs", json={"workflow": "demo/waits"})).json()["id"]
        stream = asyncio.create_task(owner.get(f"{V1}/stream"))
        await asyncio.sleep(0.05)
        problem(await front.post(f"{V1}/workspaces/west/remove", json={"reason": "x"}), 404, "workspace-unknown")
        problem(await front.post(f"{V1}/workspaces/..%2Fall/remove", json={"reason": "x"}), 404, "route-unknown")
        answer = await front.post(f"{V1}/workspaces/north/remove", json={"reason": "team merged"})

        assert answer.status_code == 200, answer.text
        assert (await stream).status_code == 200
        assert [one["name"] for one in (await front.get(f"{V1}/workspaces")).json()] == ["south"]
        problem(await owner.get(f"{V1}/runs"), 401, "token-refused")
        async with served.client("south") as other:
            assert (await other.get(f"{V1}/runs")).status_code == 200

        os.rename(answer.json()["folder"], folder / "north")
        await until_open(served, "north")
        assert (await owner.get(f"{V1}/runs/{run}")).json()["status"] == "waiting"
        (record,) = (await owner.get(f"{V1}/audit", params={"action": "workspace.remove"})).json()["items"]
        assert (record["principal"], record["reason"]) == ("person:owner", "team merged")


async def test_whoever_holds_one_workspace_does_nothing_to_the_server(tmp_path: Path) -> None:
    """Its token makes and removes nothing; and the token of the server opens no workspace."""
    async with several(tmp_path / "all", "north") as served:
        for token in (served.token("north"), "", "x"):
            async with served.front(token) as front:
                problem(await front.get(f"{V1}/workspaces"), 401, "token-refused")
                problem(await front.post(f"{V1}/workspaces", json={"name": "west"}), 401, "token-refused")
                problem(await front.post(f"{V1}/workspaces/north/remove", json={"reason": "x"}), 401, "token-refused")
                assert (await front.get(f"{V1}/health")).json()["status"] == "ok"
        async with served.front() as front:
            problem(await front.get(f"{V1}/runs"), 404, "route-unknown")
    assert (tmp_path / "all" / "north" / "segue.db").exists()


async def test_a_folder_that_served_alone_goes_on_among_others(tmp_path: Path) -> None:
    """Moved in under its name, with its people; under another name it is refused and not half open."""
    folder = tmp_path / "all"
    async with open_service(tmp_path / "old", Settings()) as service:
        await service.workflows.publish(document())
    create_workspace(folder, "north")
    os.rename(tmp_path / "old", folder / "default")
    (folder / "default" / "segue.toml").write_text('workspace = "default"\n')
    async with several(folder) as served:
        async with served.client("default") as owner:
            assert len((await owner.get(f"{V1}/workflows")).json()["items"]) == 1
        (folder / "north" / "segue.toml").write_text('workspace = "elsewhere"\n')
    async with several(folder) as served:
        (north,) = [one for one in served.workspaces.list() if one.name == "north"]
        assert (north.state, "call the workspace 'elsewhere'" in north.reason) == ("broken", True)


async def test_what_a_workspace_says_for_itself_holds_for_its_requests(tmp_path: Path) -> None:
    """A team that is to be held back is, and no other with it."""
    folder = tmp_path / "all"
    create_workspace(folder, "slow")
    (folder / "slow" / "segue.toml").write_text("requests_per_minute = 3\n")
    async with several(folder, "quick", flags={"requests_per_minute": None}) as served:
        last = {}
        for name in ("slow", "quick"):
            async with served.client(name) as owner:
                headers = await account(owner, "ci", "viewer")
            async with served.client(name, headers) as client:
                last[name] = [(await client.get(f"{V1}/runs")).status_code for _ in range(4)]
    assert last == {"slow": [200, 200, 200, 429], "quick": [200, 200, 200, 200]}


async def test_of_a_folder_and_its_copy_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both would do what is under way, and whoever holds a token of one would hold one of the other."""
    quick(monkeypatch)
    folder = tmp_path / "all"

    def states(served: Several) -> dict[str, str]:
        return {one.name: one.state for one in served.workspaces.list()}

    async with several(folder, "north") as served, served.client("north") as owner:
        await owner.post(f"{V1}/workflows", content=document(), headers=YAML)
    shutil.copytree(folder / "north", folder / "copy")
    async with several(folder) as served:
        # Alike to the tick: nothing tells which one is the copy, so the names decide.
        assert states(served) == {"copy": "open", "north": "broken"}
        assert "a copy of that of 'copy'" in next(o.reason for o in served.workspaces.list() if o.name == "north")
    shutil.rmtree(folder / "north")
    (folder / "copy").rename(folder / "north")
    shutil.copytree(folder / "north", folder / "another")
    shutil.rmtree(folder / "another")
    async with several(folder) as served:
        shutil.copytree(folder / "north", folder / "copy")
        async with asyncio.timeout(10):
            while states(served).get("copy") != "broken":  # noqa: ASYNC110 - it is looked for in the background
                await asyncio.sleep(0.01)
        assert states(served)["north"] == "open"
    async with several(folder) as served:
        # It has come further than the copy that was never opened, whatever the names.
        assert states(served) == {"copy": "broken", "north": "open"}
        create_workspace(folder, "template")
        (folder / "template" / "token").write_text(served.token("north"))
        async with asyncio.timeout(10):
            while states(served).get("template") != "broken":  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.01)
        (folder / "template" / "token").unlink()
        await until_open(served, "template")
        assert served.token("template") != served.token("north")


def test_the_folder_is_looked_after_without_a_server(cli: Cli, tmp_path: Path) -> None:
    """Making and putting aside is moving folders; what cannot be is said before anything moves."""
    folder = tmp_path / "all"
    assert "no folder of workspaces" in cli("workspaces", "list", "--workspaces", folder).err
    assert cli("workspaces", "create", "north", "--workspaces", folder, "--json").json["state"] == "found"
    assert cli("workspaces", "create", "north", "--workspaces", folder).code == 2
    assert cli("workspaces", "create", "../up", "--workspaces", folder).code == 2
    (folder / "taken").mkdir()
    (folder / "taken" / "file").write_text("x")
    assert "already" in cli("workspaces", "create", "taken", "--workspaces", folder).err
    assert "data folder itself" in cli("workspaces", "create", "x", "--workspaces", _data_folder(tmp_path, cli)).err

    assert cli("runs", "list", "--data", folder / "north").code == 0
    would = cli("workspaces", "remove", "north", "--reason", "x", "--dry-run", "--workspaces", folder)
    assert "would close" in would.out
    with serving(folder / "north"):
        busy = cli("workspaces", "remove", "north", "--reason", "x", "--workspaces", folder)
        assert "in use by process" in busy.err
    assert cli("workspaces", "remove", "west", "--reason", "x", "--workspaces", folder).code == 2
    assert cli("workspaces", "remove", "north", "--reason", "merged", "--workspaces", folder).code == 0
    assert cli("workspaces", "list", "--workspaces", folder, "--json").json == []
    assert "No folder" in cli("workspaces", "list").err


def _data_folder(tmp_path: Path, cli: Cli) -> Path:
    flow = tmp_path / "flow.yaml"
    flow.write_text(document())
    assert cli("publish", flow, "--data", tmp_path / "plain").code == 0
    return tmp_path / "plain"
