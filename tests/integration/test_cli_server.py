"""Whole stories with real processes: a server, clients, signals, a kill."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli_support import Cli, environment, serving, start, wait_until
from tests.integration.service_support import PAID, WAITS, document


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """The command line, with a data folder that servers of the test use too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGUE_DATA", str(tmp_path / "data"))
    (tmp_path / "waits.yaml").write_text(WAITS)
    (tmp_path / "flow.yaml").write_text(document())
    return Cli(capsys)


def request(url: str, token: str | None = None) -> tuple[int, Any]:
    """Status and body of a GET."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_publish_start_event_result(cli: Cli, tmp_path: Path) -> None:
    """What the README promises, over real processes."""
    data = tmp_path / "data"
    with serving(data):
        assert cli("publish", "waits.yaml").code == 0
        run = cli("runs", "start", "demo/waits", "--input", '{"n": 1}', "--json").json["id"]
        assert cli("runs", "list", "--status", "waiting", "--json").json["items"][0]["id"] == run
        assert cli("runs", "pause", run, "--reason", "month end").out.strip() == f"{run} suspended"
        assert cli("runs", "resume", run).code == 0
        tail = start(["runs", "tail", run, "--json", "--data", data])
        sent = cli("events", "send", json.dumps(PAID), "--json").json
        again = cli("events", "send", json.dumps([PAID]), "--json").json
        out, _ = tail.communicate(timeout=20)
        shown = cli("runs", "show", run, "--json").json

    assert (sent["accepted"], again["duplicates"]) == (1, 1)
    assert (shown["status"], shown["output"]) == ("completed", {"paid": True})
    assert tail.returncode == 0
    words = [json.loads(line)["type"].split(".")[-2] for line in out.splitlines()]
    assert words[0] == "started"
    assert words[-1] == "completed"
    assert {"suspended", "resumed"} <= set(words)


def test_a_killed_server_goes_on_where_it_was(cli: Cli, tmp_path: Path) -> None:
    """kill -9 between two events: nothing is lost, nothing happens twice."""
    data = tmp_path / "data"
    with serving(data) as process:
        cli("publish", "waits.yaml")
        run = cli("runs", "start", "demo/waits", "--json").json["id"]
        process.kill()
        process.wait()
        assert cli("runs", "show", run, "--json").json["status"] == "waiting"
    with serving(data):
        cli("events", "send", json.dumps(PAID))
        wait_until(lambda: cli("runs", "show", run, "--json").json["status"] == "completed")
        history = cli("runs", "history", run, "--json").json["items"]

    assert [event["e"] for event in history] == ["run-started", "message"]


def test_waiting_for_a_started_run_ends_with_its_exit_code(cli: Cli, tmp_path: Path) -> None:
    """Scripts can treat a server's run like one of their own."""
    fails = "- broken: {raise: {error: {type: 'https://example.com/e', status: 418}}}"
    (tmp_path / "fails.yaml").write_text(document(fails, name="fails"))
    with serving(tmp_path / "data"):
        cli("publish", "flow.yaml", "fails.yaml")

        assert cli("runs", "start", "demo/flow", "--wait").code == 0
        assert cli("runs", "start", "demo/fails", "--wait").code == 1


def test_the_token_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    """It lies in a file that others cannot read; output that goes to a log only says where."""
    data = tmp_path / "data"
    told = []
    for _ in range(2):
        process = start(["serve", "--data", data, "--port", "0"])
        try:
            assert process.stdout is not None
            assert "http://127.0.0.1:" in process.stdout.readline()
            server = json.loads((data / "server.json").read_text())
            assert request(f"{server['url']}/api/v1/runs")[0] == 401
            assert request(f"{server['url']}/api/v1/runs", server["token"])[0] == 200
        finally:
            process.send_signal(signal.SIGTERM)
            told.append(process.communicate(timeout=20)[1])
        assert process.returncode == 0

    token = (data / "token").read_text().strip()
    assert len(token) >= 32
    assert [token in text for text in told] == [False, False]
    assert [str(data / "token") in text for text in told] == [True, False]
    assert stat.S_IMODE((data / "token").stat().st_mode) == 0o600
    assert not (data / "server.json").exists()


def test_a_server_stops_while_somebody_follows(cli: Cli, tmp_path: Path) -> None:
    """An open stream must not keep the process alive."""
    data = tmp_path / "data"
    with serving(data) as process:
        cli("publish", "waits.yaml")
        run = cli("runs", "start", "demo/waits", "--json").json["id"]
        tail = start(["runs", "tail", run, "--json", "--data", data])
        assert tail.stdout is not None
        assert tail.stdout.readline()

        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=8) == 0
        tail.communicate(timeout=20)


def test_a_server_can_be_named_by_the_environment(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients need not see the server's data folder."""
    with serving(tmp_path / "elsewhere"):
        server = json.loads((tmp_path / "elsewhere" / "server.json").read_text())
        monkeypatch.setenv("SEGUE_URL", server["url"])
        assert cli("workflows", "list").code == 2  # no token yet
        monkeypatch.setenv("SEGUE_TOKEN", "wrong")
        refused = cli("workflows", "list")
        monkeypatch.setenv("SEGUE_TOKEN", server["token"])
        assert cli("publish", "flow.yaml").code == 0

        assert [w["name"] for w in cli("workflows", "list", "--json").json["items"]] == ["flow"]

    assert refused.code == 2
    assert "token" in refused.err
    unreachable = cli("workflows", "list")
    assert (unreachable.code, "does not answer" in unreachable.err) == (2, True)
    assert not (tmp_path / "data").exists()


def test_a_second_server_on_the_same_folder_is_refused(cli: Cli, tmp_path: Path) -> None:
    """And the first one is left alone."""
    with serving(tmp_path / "data"):
        second = cli("serve", "--port", "0")

        assert second.code == 2
        assert "in use" in second.err
        assert cli("workflows", "list").code == 0


def test_settings_of_the_folder_count(tmp_path: Path, cli: Cli) -> None:
    """`segue.toml` lies beside the data."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "segue.toml").write_text("max_body_bytes = 100\n")
    with serving(data):
        refused = cli("publish", "waits.yaml", "--json")

    assert refused.json["error"]["status"] == 413


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_run_of_a_document(cli: Cli, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C is an answer, not a crash: the report still comes."""
    data = tmp_path / "run"
    process = start(["run", "waits.yaml", "--json", "--data", data], cwd=tmp_path)
    try:
        wait_until(lambda: (data / "segue.db").exists() and _has_run(data))
    finally:
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 3, err
    report = json.loads(out)
    assert (report["status"], [t["status"] for t in report["tasks"]]) == ("cancelled", ["cancelled"])
    assert err == ""


def _has_run(data: Path) -> bool:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{data / 'segue.db'}?mode=ro", uri=True) as reader:
            return bool(reader.execute("SELECT count(*) FROM run").fetchone()[0])
    except sqlite3.OperationalError:
        return False


def test_help_comes_well_under_a_second(tmp_path: Path) -> None:
    """And `import segue` loads nothing heavy, which is why."""
    code = (
        "import sys, segue; print(sorted({m.split('.')[0] for m in sys.modules} & {'fastapi','httpx','yaml','rich'}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True, cwd=tmp_path
    )

    assert found.stdout.strip() == "[]"
    helped = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "segue", "--help"],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
        cwd=tmp_path,
    )
    assert not {"cyclopts", "msgspec", "yaml"} & {line.split("|")[-1].strip() for line in helped.stderr.splitlines()}


def test_the_result_survives_a_reader_that_leaves(cli: Cli, tmp_path: Path) -> None:
    """`segue … | head -1` ends quietly."""
    reading, writing = os.pipe()
    process = start(["run", "flow.yaml"], cwd=tmp_path, stdout=writing)
    os.close(writing)
    os.close(reading)

    _, err = process.communicate(timeout=20)

    assert "Traceback" not in err
    assert "BrokenPipe" not in err
