"""Controls over a real data folder: what is found, what has to be explained, and who signs it off."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli_support import Cli
from tests.integration.service_support import WAITS

from segue.service import (
    ControlReport,
    NewControlReview,
    NewPolicy,
    NewSwitch,
    PublicationDecision,
    Service,
    ServiceError,
    Settings,
    open_service,
    report_as_html,
    report_as_pdf,
)
from segue.types import Identity, acting_as


def person(name: str, *roles: str) -> Identity:
    return Identity(kind="person", id=name, roles=frozenset(roles))


ANN, BEN = person("ann", "publisher", "operator"), person("ben", "publisher")
EVE, ADA = person("eve", "auditor"), person("ada", "admin")
FOUR_EYES = """
@id("second-pair") @approval("publisher")
forbid (principal, action == Action::"workflow.publish", resource);
"""


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Service]:
    async with open_service(folder, Settings(failures="hold")) as service:
        yield service


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    async with opened(tmp_path) as found:
        yield found


def by_id(report: ControlReport, name: str) -> Any:
    return next(control for control in report.controls if control.id == name)


async def reported(service: Service, name: str) -> Any:
    with acting_as(EVE):
        return by_id(await service.controls.report(), name)


async def test_an_idle_folder_claims_nothing(service: Service) -> None:
    """Silence is not compliance: without evidence a control does not hold."""
    with acting_as(EVE):
        report = await service.controls.report()

    assert report.chain.sound
    assert report.made_by == "person:eve"
    held = {control.id for control in report.controls if control.result == "holds"}
    assert held <= {"chain", "checkpoints"}
    assert sum(report.counts.values()) == len(report.controls)


async def test_a_publication_that_nobody_else_approved_has_to_be_explained(service: Service) -> None:
    """The exception names the version, so that an auditor can ask about it."""
    with acting_as(ANN):
        await service.workflows.publish(WAITS)

    found = await reported(service, "four-eyes")

    assert found.result == "exceptions"
    (row,) = found.to_explain[0].shown
    assert (row.ref, row.by) == ("workflow demo/waits:1.0.0", "person:ann")


async def test_a_publication_that_somebody_else_approved_holds(service: Service) -> None:
    """Both people are named."""
    with acting_as(ADA):
        await service.permissions.change("second", NewPolicy(text=FOUR_EYES, reason="two people"))
    with acting_as(ANN), pytest.raises(ServiceError, match="waits as publication"):
        await service.workflows.publish(WAITS)
    with acting_as(BEN):
        (waiting,) = (await service.publications.page()).items
        await service.publications.decide(waiting.number, PublicationDecision(approve=True, reason="read it"))

    found = await reported(service, "four-eyes")

    assert (found.result, found.evidence) == ("holds", 1)
    assert "wanted by person:ann, approved by person:ben" in found.found[0].shown[0].what


async def test_the_period_ends_before_its_end(service: Service) -> None:
    """Two reports side by side count each thing once."""
    with acting_as(ANN):
        await service.workflows.publish(WAITS)
    await asyncio.sleep(0.01)
    now = datetime.now(UTC)
    with acting_as(EVE):
        before = await service.controls.report(until=now - timedelta(days=1), control="four-eyes")
        after = await service.controls.report(since=now, until=None, control="four-eyes")

    assert [r.controls[0].result for r in (before, after)] == ["no evidence", "no evidence"]


async def test_refusals_are_counted_by_who_was_refused_what(service: Service) -> None:
    """Twenty of the same are somebody who tries, or a program that is set up wrongly; both want a look."""
    with acting_as(ANN):
        for _ in range(20):
            with pytest.raises(ServiceError):
                await service.permissions.change("acts", NewPolicy(text=None, reason="x"))

    found = await reported(service, "refusals")

    assert found.result == "exceptions"
    (row,) = found.to_explain[0].shown
    assert (row.by, row.what) == ("person:ann", "policy.change: refused 20 times")


async def test_switches_are_told_with_who_and_why(service: Service) -> None:
    """The proven off switch: thrown and released, with reasons."""
    switch = {"kind": "connection", "name": "crm", "reason": "leak"}
    with acting_as(ADA):
        await service.switches.stop(NewSwitch(**switch))  # type: ignore[arg-type]
        await service.switches.release(NewSwitch(**switch))  # type: ignore[arg-type]

    found = await reported(service, "off-switch")

    assert (found.result, found.evidence) == ("holds", 2)
    assert [row.by for row in found.found[0].shown] == ["person:ada", "person:ada"]


async def test_a_broken_chain_is_an_exception_and_stands_first_in_the_report(tmp_path: Path) -> None:
    """Evidence from a chain that does not verify is worth what the chain is worth."""
    async with opened(tmp_path) as service:
        with acting_as(ANN):
            await service.workflows.publish(WAITS)
    with closing(sqlite3.connect(tmp_path / "segue.db")) as connection, connection:
        connection.execute("UPDATE audit SET principal = 'person:ben' WHERE action = 'workflow.publish'")
    async with opened(tmp_path) as service:
        with acting_as(EVE):
            report = await service.controls.report()

    assert by_id(report, "chain").result == "exceptions"
    page = report_as_html(report)
    assert page.index("NOT SOUND") < page.index("Summary")


class TestReview:
    """Somebody has looked, and it is known who, at what, and what they said of it."""

    def review(self, **more: Any) -> NewControlReview:
        now = datetime.now(UTC)
        given = {"since": now - timedelta(days=1), "until": now, "outcome": "accepted", "comment": "looked at"}
        return NewControlReview(**{**given, **more})

    async def test_it_is_a_record_of_the_chain_and_stands_in_the_next_report(self, service: Service) -> None:
        """With what was found at that moment."""
        wanted = self.review(comment="the key is on order")
        with acting_as(EVE):
            made = await service.controls.review("encryption", wanted)
            record = await service.audit.get(made.record)
            report = await service.controls.report(since=wanted.since, until=wanted.until)

        assert (record.action, record.principal, record.verdict) == ("control.review", "person:eve", "accepted")
        assert record.reason == "the key is on order"
        assert (made.result, made.exceptions) == ("exceptions", 1)
        assert by_id(report, "encryption").reviews == [made]
        assert by_id(report, "encryption").digest == made.seen

    async def test_a_review_of_another_period_is_told_as_such(self, service: Service) -> None:
        """March's signature says nothing about April."""
        now = datetime.now(UTC)
        old = self.review(since=now - timedelta(days=60), until=now - timedelta(days=59))
        with acting_as(EVE):
            await service.controls.review("encryption", old)
            report = await service.controls.report()

        assert by_id(report, "encryption").reviews == []

    async def test_nobody_reviews_exceptions_of_their_own(self, service: Service) -> None:
        """Who has to explain is not who accepts the explanation."""
        both = person("ann", "operator", "auditor")
        with acting_as(both):
            run = await _cancelled(service)
            await asyncio.sleep(0.002)  # what ends now is without this millisecond
            wanted = self.review(since=datetime.now(UTC) - timedelta(hours=1), until=datetime.now(UTC))
            with pytest.raises(ServiceError, match="own-exceptions"):
                await service.controls.review("overrides", wanted)
        with acting_as(EVE):
            made = await service.controls.review("overrides", wanted)

        assert made.exceptions == 1, run

    async def test_what_changed_since_it_was_read_is_not_signed_off(self, service: Service) -> None:
        """A signature is under what was seen."""
        with acting_as(EVE), pytest.raises(ServiceError, match="not what was seen"):
            await service.controls.review("encryption", self.review(seen="0" * 64))

    @pytest.mark.parametrize("who", [ANN, Identity(kind="service", id="bot", roles=frozenset({"auditor"}))])
    async def test_a_review_needs_a_person_with_the_role(self, service: Service, who: Identity) -> None:
        """A program that accepts everything is no review."""
        with acting_as(who), pytest.raises(ServiceError) as refused:
            await service.controls.review("encryption", self.review())

        assert refused.value.kind == "permission-denied"

    async def test_a_role_that_reviews_other_controls_does_not_review_this_one(self, service: Service) -> None:
        """Whoever administers rights does not sign off how rights were administered."""
        with acting_as(ADA):
            with pytest.raises(ServiceError, match="none of the roles"):
                await service.controls.review("rights-changed", self.review())
            await service.controls.review("backups", self.review())

    async def test_a_period_that_is_not_over_is_refused(self, service: Service) -> None:
        """What happens tomorrow was seen by nobody."""
        with acting_as(EVE), pytest.raises(ServiceError) as refused:
            await service.controls.review("encryption", self.review(until=datetime.now(UTC) + timedelta(days=1)))

        assert refused.value.kind == "control-period-refused"


async def _cancelled(service: Service) -> str:
    """A run that was cancelled without a reason."""
    with acting_as(person("joe", "publisher", "operator")):
        await service.workflows.publish(WAITS)
        run, _ = await service.runs.start("demo/waits")
    await service.runs.control(run.id, "cancel")
    return run.id


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2030-01-01T00:00:00+00:00", None),
        (None, "9999-12-31T23:59:59-14:00"),
        ("0001-01-01T00:00:00+14:00", None),
        (None, "0001-01-01T00:00:00+00:00"),
        ("2020-02-01T00:00:00+00:00", "2020-01-01T00:00:00+00:00"),
    ],
)
async def test_a_period_that_cannot_be_is_refused(service: Service, since: str | None, until: str | None) -> None:
    """Also where a calendar ends: a report is refused and does not fail."""
    first, last = (None if text is None else datetime.fromisoformat(text) for text in (since, until))
    with acting_as(EVE), pytest.raises(ServiceError) as refused:
        await service.controls.report(since=first, until=last)

    assert refused.value.kind == "control-period-refused"


async def test_what_came_from_data_stays_text_in_the_page(service: Service) -> None:
    """A reason is written by anybody; the page is read by whoever may do most."""
    with acting_as(ADA):
        reason = "<script>alert(1)</script>"
        await service.switches.stop(NewSwitch(kind="connection", name="<img src=x>", reason=reason))
    with acting_as(EVE):
        page = report_as_html(await service.controls.report())

    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page
    assert "https://" not in page


async def test_the_pdf_is_one_file_with_numbered_pages_and_the_same_each_time(service: Service) -> None:
    """An auditor files it, and compares two copies by their digest."""
    with acting_as(ADA):
        await service.switches.stop(NewSwitch(kind="connection", name="crm", reason="<b>it & łódź</i> leaks"))
    with acting_as(EVE):
        report = await service.controls.report()

    made = report_as_pdf(report)

    assert made.startswith(b"%PDF-")
    assert made.count(b"/Type /Page\n") >= 5
    assert report_as_pdf(report) == made


async def test_without_the_extra_the_pdf_is_refused_with_what_to_install(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plain install has no PDF writer, and says so."""
    monkeypatch.setitem(sys.modules, "reportlab.lib", None)
    monkeypatch.delitem(sys.modules, "segue.service.control_pdf", raising=False)
    with acting_as(EVE):
        report = await service.controls.report(control="chain")

    with pytest.raises(ServiceError) as refused:
        report_as_pdf(report)

    assert refused.value.kind == "pdf-unavailable"
    assert "extra `pdf`" in refused.value.remedy


def test_the_command_writes_the_page_and_shows_one_control(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An auditor's first two commands."""
    cli = Cli(capsys)
    data, source = tmp_path / "data", tmp_path / "waits.yaml"
    source.write_text(WAITS)
    assert cli("publish", source, "--data", data).code == 0

    listed = cli("controls", "list", "--framework", "nist", "--data", data, "--json").json
    told = cli(
        "controls", "report", "--data", data, "--html", tmp_path / "r.html", "--pdf", tmp_path / "r.pdf", "--json"
    ).json
    one = cli("controls", "report", "chain", "--data", data)

    assert {m["framework"] for c in listed["items"] for m in c["mappedTo"]} >= {"nist"}
    assert told["chain"]["sound"]
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF-")
    assert "Records are whole: " in one.out
    assert cli("controls", "report", "--framework", "pci", "--data", data).code == 2
    assert cli("controls", "report", "--from", "2030-01-01", "--data", data).code == 2
