"""What a run is about stands in no log and in no answer to a failed request, whatever goes wrong."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from tests.integration.service_support import document

from segue import Segue
from segue.service import OutboundSettings, ServiceError, Settings
from segue.types import whereabouts

CANARY = "canary-ada@example.org"
CAUGHT = "catch: {as: why, do: [{kept: {set: {why: '${ $why }'}}}]}"
MAIL = "'${ $workflow.input.mail }'"
ACTS = {
    "function": f"{{call: broken, with: {{mail: {MAIL}}}}}",
    "unexpected": f"{{call: lost, with: {{mail: {MAIL}}}}}",
    "http": f"{{call: http, with: {{method: get, endpoint: 'http://127.0.0.1:9/x', query: {{q: {MAIL}}}}}}}",
    "refused": "{call: http, with: {method: get, endpoint: '${ \"http://10.0.0.1/\" + $workflow.input.mail }'}}",
    "shell": '{run: {shell: {command: \'${ "echo " + $workflow.input.mail + " >&2; exit 3" }\'}}}',
    "model": f"{{call: model, with: {{name: {MAIL}, input: '${{ $workflow.input }}'}}}}",
    "connector": f"{{call: connector, with: {{use: {MAIL}, operation: x, arguments: {{}}}}}}",
    "notify": f"{{call: notify, with: {{channel: email, to: {MAIL}, subject: x, text: {MAIL}}}}}",
    "expression": "{set: {n: '${ $workflow.input.mail | tonumber }'}}",
    "raise": f"{{raise: {{error: {{type: 'https://x.example/y', status: 400, detail: {MAIL}}}}}}}",
    "schema": f"{{set: {{n: 1}}, input: {{from: {MAIL}, schema: {{document: {{type: integer}}}}}}}}",
}


def flow(kind: str, act: str) -> str:
    tasks = f"- guarded:\n    try: [{{act: {act}}}]\n    {CAUGHT}\n- act: {act}\n"
    return document(tasks, name=kind)


async def broken(mail: str) -> None:
    raise ValueError(f"no such person: {mail}") from KeyError(mail)


class Strange:
    """Nothing that can be stored, and what shows itself quotes data."""

    def __repr__(self) -> str:
        return CANARY


async def lost(mail: str) -> Any:
    return {"answer": Strange()}


@pytest.mark.parametrize("kind", ACTS)
async def test_a_failing_act_leaves_nothing_of_its_data_in_the_log(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Logs are read by more people, kept longer, and sent further than data."""
    settings = Settings(
        allow_processes=True,
        outbound=OutboundSettings(allow_loopback=True),
        mail={"host": "127.0.0.1", "port": 9, "sender": "x@example.org"},
    )
    with caplog.at_level(logging.DEBUG):
        async with Segue.open(tmp_path, functions={"broken": broken, "lost": lost}, settings=settings) as segue:
            await segue.publish(flow(kind, ACTS[kind]))
            run = await segue.start(f"demo/{kind}", input={"mail": CANARY})
            await segue.service.runs.wait(run.id)
            seen = await segue.service.runs.get(run.id)
        assert seen.status == "faulted", seen
    logging.getLogger("segue.test").error("after %s", kind)
    for record in caplog.records:
        assert CANARY not in logging.Formatter().format(record), record.name


def test_of_an_exception_the_log_has_kind_and_places() -> None:
    """Enough to find the bug, with what caused it."""
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as error:
            raise ValueError(CANARY) from error
    except ValueError:
        told = whereabouts()
    assert told.startswith("ValueError at\n")
    assert "because of KeyError at\n" in told
    assert "test_logs.py" in told
    assert CANARY not in told


async def test_a_refused_start_quotes_no_input_to_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever sent it is told what does not fit; the log is not."""
    text = document(more="input: {schema: {document: {properties: {mail: {type: integer}}}}}")
    with caplog.at_level(logging.DEBUG):
        async with Segue.open(tmp_path) as segue:
            await segue.publish(text)
            with pytest.raises(ServiceError):
                await segue.start("demo/flow", input={"mail": CANARY})
    assert CANARY not in caplog.text
