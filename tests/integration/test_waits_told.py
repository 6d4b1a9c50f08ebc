"""`segue runs start --wait` says what it waits for, once, and a bug ends the waiting."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli_support import Cli, serving, start, wait_until
from tests.integration.service_support import document

ASKS = document(
    "- ask: {call: human-task, with: {title: 'Pay?', assign: {role: approver}}}\n"
    "- listen: {listen: {to: {one: {with: {type: paid}}}}}",
    name="asks",
)
ABOVE = document("- below: {run: {workflow: {namespace: demo, name: asks, version: '1.0.0'}}}", name="above")


@pytest.fixture
def data(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGUE_DATA", str(tmp_path / "data"))
    for name, text in (("asks", ASKS), ("above", ABOVE)):
        (tmp_path / f"{name}.yaml").write_text(text)
        assert Cli(capsys)("publish", tmp_path / f"{name}.yaml").code == 0
    return tmp_path / "data"


class Waiting:
    """A `--wait` in a process of its own, and what it has said so far."""

    def __init__(self, folder: Path, workflow: str) -> None:
        self._file = (folder / "said").open("w+")
        self.process = start(["runs", "start", workflow, "--wait", "--data", folder / "data"], stderr=self._file)

    def said(self) -> list[str]:
        self._file.seek(0)
        return self._file.read().splitlines()

    def until(self, words: str) -> None:
        wait_until(lambda: any(words in line for line in self.said()), 20)


def test_it_tells_each_thing_once_and_ends_with_the_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever waits knows whom to call, and whether somebody paused it."""
    cli = Cli(capsys)
    with serving(data):
        waiting = Waiting(tmp_path, "demo/asks")
        waiting.until(f"waits for role:approver: Pay?; `segue tasks show 1 --data {data}`")
        run = cli("runs", "list", "--json").json["items"][0]["id"]
        cli("runs", "pause", run)
        waiting.until(f"it is paused, `segue runs resume {run} ")
        cli("runs", "resume", run)
        assert cli("tasks", "decide", "1", "approve").code == 0
        waiting.until("waits for an event at /do/1/listen: paid")
        cli("events", "send", '{"specversion": "1.0", "id": "1", "source": "test", "type": "paid"}')
        assert waiting.process.wait(timeout=20) == 0
    told = [line for line in waiting.said() if line.startswith("waits for")]
    assert len(told) == len(set(told)) == 3


def test_it_tells_that_a_run_below_is_waited_for(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run itself waits for nobody, and says where to look."""
    cli = Cli(capsys)
    with serving(data):
        waiting = Waiting(tmp_path, "demo/above")
        waiting.until("waits for the run that /do/0/below started: `segue runs list --parent ")
        cli("runs", "cancel", next(r["id"] for r in _runs(cli) if r["cause"]["kind"] != "run"))
        assert waiting.process.wait(timeout=20) == 3


def test_a_bug_that_has_stopped_it_ends_the_waiting(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It goes on when a person lets it, after an update: with the code of what is held."""
    cli = Cli(capsys)
    with serving(data):
        run = cli("runs", "start", "demo/asks", "--key", "k", "--json").json["id"]
        wait_until(lambda: cli("tasks", "list", "--json").json["items"])
    with closing(sqlite3.connect(data / "segue.db")) as connection:
        failure = (
            '{"type": "https://serverlessworkflow.io/spec/1.0.0/errors/runtime", "status": 500, "title": "A bug"}'
        )
        connection.execute(
            "INSERT INTO incident (run, task, kind, state, at, event, namespace, name, pointer, failure, fingerprint)"
            " SELECT seq, 0, 'quarantined', 'open', started_at, 0, namespace, name, '', ?, 'x' FROM run",
            (failure,),
        )
        connection.execute("UPDATE run SET residence = 'quarantined', reason = 'a bug'")
        connection.commit()
    with serving(data):
        done = cli("runs", "start", "demo/asks", "--key", "k", "--wait")
        assert (done.code, done.out.strip()) == (4, run)
        assert "(exception 1); `segue exceptions show 1` tells" in done.err


def _runs(cli: Cli) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cli("runs", "list", "--json").json["items"]
    return found
