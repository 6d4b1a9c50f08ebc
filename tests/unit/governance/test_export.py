"""Forms in which audit records leave."""

from __future__ import annotations

import json
import re

import pytest

from segue.governance.export import export_records, otlp_request, syslog_message

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
