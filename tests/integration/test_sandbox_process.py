"""The practice company as a process: ready line, clean stop, and a kill in the middle of writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

Start = Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(*more: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        command = [sys.executable, "-m", "segue.sandbox", "serve", "--data", str(tmp_path), *more]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        return process, json.loads(line) if line else {}

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def stats(described: dict[str, Any], name: str) -> dict[str, Any]:
    admin = described["systems"][name]["admin"]
    counted: dict[str, Any] = httpx.get(admin["stats"], headers={admin["header"]: admin["token"]}).json()
    return counted


def test_it_says_when_it_is_ready_and_stops_when_told(start: Start, tmp_path: Path) -> None:
    """Scripts wait for the one line, and end it without a trace of an error."""
    process, described = start("--today", "2026-11-21")

    assert described == json.loads((tmp_path / "practice.json").read_text())
    assert described["today"] == "2026-11-21"
    assert list(described["systems"]) == ["crm", "billing", "usage", "support"]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")


def test_what_was_answered_is_there_after_a_kill(start: Start) -> None:
    """The count proves other systems' durability, so its own must not be in doubt: nothing answered is lost."""
    process, described = start()
    support = described["systems"]["support"]
    headers = {support["credentials"]["header"]: support["credentials"]["key"]}
    answered: list[int] = []
    enough = threading.Event()

    def write() -> None:
        with httpx.Client(headers=headers) as client:
            email = client.get(support["url"] + "/requesters?limit=1").json()["requesters"][0]["email"]
            body = {"requester_email": email, "template": "welcome_back"}
            try:
                for _ in range(5000):
                    answered.append(client.post(support["url"] + "/outreach", json=body).json()["id"])
                    if len(answered) >= 100:
                        enough.set()
            except httpx.TransportError:
                pass

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    assert enough.wait(30)
    os.kill(process.pid, signal.SIGKILL)
    for writer in writers:
        writer.join()
    process.wait()

    _, again = start()
    assert again == described, "same customers, ports and credentials"
    counted = stats(again, "support")
    created = counted["writes"]["outreach"]["created"]
    # Each writer may have had one write committed whose answer the kill swallowed.
    assert len(set(answered)) == len(answered) <= created <= len(answered) + 2
    assert counted["last_sequence"] == created
    assert counted["requests_by_operation"]["startOutreach"] == {"201": created}


def test_it_says_why_it_cannot_start(start: Start, tmp_path: Path) -> None:
    """Exit code 2 and one sentence, not a stack of frames."""
    process, _ = start("--today", "2026-11-21")
    process.kill()
    process.wait()

    refused, _ = start("--today", "2026-11-22")
    _, errors = refused.communicate(timeout=10)
    assert refused.returncode == 2
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


@pytest.mark.full
@pytest.mark.parametrize("name", ["crm", "billing", "usage", "support"])
def test_generated_requests_find_no_broken_promise(start: Start, name: str) -> None:
    """Schemathesis plays clients that read the document; neither a 5xx nor an undescribed answer may come."""
    process, described = start()
    system = described["systems"][name]
    given = system["credentials"]
    match given["kind"]:
        case "oauth2":
            form = {key: given[key] for key in ("client_id", "client_secret")}
            answer = httpx.post(given["token_url"], data={"grant_type": "client_credentials", **form})
            sign_in = ["-H", f"Authorization: Bearer {answer.json()['access_token']}"]
        case "basic":
            sign_in = ["--auth", f"{given['username']}:{given['password']}"]
        case "bearer":
            sign_in = ["-H", f"Authorization: Bearer {given['token']}"]
        case _:
            sign_in = ["-H", f"{given['header']}: {given['key']}"]
    # Cursors and used idempotency keys are refused though their schema allows them: no schema can tell.
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", system["openapi"], *sign_in, "--seed", "1",
               "--max-examples", "25", "--exclude-checks", "positive_data_acceptance"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)

    assert done.returncode == 0, done.stdout[-4000:]
    assert process.poll() is None


def test_a_shell_gets_addresses_and_credentials(start: Start, tmp_path: Path) -> None:
    """What a person would copy out of practice.json by hand, they evaluate."""
    _, described = start()
    command = [sys.executable, "-m", "segue.sandbox", "env", "--data", str(tmp_path)]
    script = 'eval "$("$@")"; echo "$PRACTICE_TODAY"; echo "$PRACTICE_CRM_URL"; echo "$PRACTICE_CRM_SCOPES"'
    script += '; echo "$PRACTICE_USAGE_TOKEN"'
    said = subprocess.run(["sh", "-c", script, "sh", *command], stdout=subprocess.PIPE, text=True, check=True)

    crm = described["systems"]["crm"]
    token = described["systems"]["usage"]["credentials"]["token"]
    wanted = [described["today"], crm["url"], " ".join(crm["credentials"]["scopes"]), token]
    assert said.stdout.splitlines() == wanted


def test_where_no_company_was_started_there_is_nothing_to_export(tmp_path: Path) -> None:
    """`eval` of nothing would go on with empty variables; the exit code and the message say it."""
    command = [sys.executable, "-m", "segue.sandbox", "env", "--data", str(tmp_path / "none")]
    said = subprocess.run(command, capture_output=True, text=True)

    assert (said.returncode, said.stdout) == (2, "")
    assert "Start the company first" in said.stderr
