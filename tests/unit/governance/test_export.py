"""Forms in which audit records leave."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from segue.governance.export import complaint_of_target, export_records, otlp_request, rejected, syslog_message

RECORD = {
    "seq": 7,
    "at": "2026-01-31T12:00:00.250Z",
    "principal": "person:ann",
    "action": "run.cancel",
    "resource": "run:r1",
    "verdict": "done",
    "reason": 'said "stop"]\nnow',
    "workspace": "default",
    "data": None,
    "hash": "ab" * 32,
}


def test_a_syslog_message_has_the_form_of_rfc_5424() -> None:
    """Receivers drop what they cannot parse, without a word."""
    form = rb'<109>1 2026-01-31T12:00:00\.250Z \S+ segue \d+ audit \[audit@32473 seq="7" hash="(ab)+"\] \xef\xbb\xbf'
    head = re.match(form, syslog_message(RECORD))

    assert head is not None
    assert json.loads(syslog_message(RECORD)[head.end() :]) == RECORD


def test_a_denial_is_a_warning() -> None:
    """So that receivers can alert on it without knowing us."""
    assert syslog_message({**RECORD, "verdict": "deny"}).startswith(b"<108>1 ")
    (logs,) = json.loads(otlp_request([{**RECORD, "verdict": "deny"}]))["resourceLogs"]
    assert logs["scopeLogs"][0]["logRecords"][0]["severityText"] == "WARN"


def test_an_otlp_record_carries_its_place_hash_and_time() -> None:
    """What proves that a copy is complete must not have to be parsed out of a text."""
    (logs,) = json.loads(otlp_request([RECORD]))["resourceLogs"]
    (record,) = logs["scopeLogs"][0]["logRecords"]
    told = {a["key"]: a["value"]["stringValue"] for a in record["attributes"]}

    assert record["timeUnixNano"] == "1769860800250000000"
    assert told["segue.audit.seq"] == "7"
    assert told["segue.audit.hash"] == RECORD["hash"]


async def test_an_unknown_target_is_refused() -> None:
    """A typing error must not become a file of that name."""
    with pytest.raises(ValueError, match="'kafka' is no way to export"):
        async with export_records("kafka://host"):
            pass


@pytest.mark.parametrize(
    "target",
    [
        "syslog+udp://",
        "syslog+tcp://host:99999",
        "otlp+https://user:secret@host/v1/logs",
        "syslog+tcp://host?ca=x",
        "syslog+tls://host?verify=no",
    ],
)
def test_what_can_never_be_sent_to_is_refused_when_it_is_set(target: str) -> None:
    """Not noticed by anybody otherwise until the records are needed; and a password would stand in the log."""
    assert complaint_of_target(target)
    assert complaint_of_target("syslog+tls://host:6514?ca=/etc/ca.pem") is None


async def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    """A disk that was full, or a crash, leaves half of a line."""
    path = tmp_path / "copy.jsonl"
    path.write_text(json.dumps(RECORD) + '\n{"seq": 8, "at"')
    async with export_records(str(path)) as send:
        await send([{**RECORD, "seq": 8}, {**RECORD, "seq": 9}])

    first, torn, *rest = path.read_text().splitlines()
    assert (json.loads(first)["seq"], torn) == (7, '{"seq": 8, "at"')
    assert [json.loads(line)["seq"] for line in rest] == [8, 9]


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        (b"", 0),
        (b"{}", 0),
        (b"ok", 0),
        (b'{"partialSuccess": {}}', 0),
        (b'{"partialSuccess": {"rejectedLogRecords": "3"}}', 3),
    ],
)
def test_what_a_collector_did_not_take_is_known(answer: bytes, count: int) -> None:
    """Its status says 200 all the same (OTLP, partial success)."""
    assert rejected(answer) == count
