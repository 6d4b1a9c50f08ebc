"""Controls as data: what ships fits, and what does not fit is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from segue.service.control_catalog import SOURCES, read_catalogue, shipped_catalogue
from segue.service.control_sources import LIVE
from segue.store.evidence import SOURCES as STORED
from segue.store.evidence import Period, rows_of
from segue.store.migrate import migrate

FRAMEWORKS = b"gdpr: {title: GDPR, about: articles, names: {'17': erasure}}"
FITS = """
controls:
- id: erasure
  title: Erasing
  area: Privacy
  statement: It is done.
  maps: {gdpr: ["17"]}
  reviewers: [auditor]
  evidence:
  - {says: Erasures, from: audit, actions: [subject.erase], verdicts: [done], where: .reason != ""}
"""


def read(text: str) -> None:
    read_catalogue({"frameworks.yaml": FRAMEWORKS, "a.yaml": text.encode()})


def test_what_ships_fits_and_covers_every_framework() -> None:
    """A control that cannot be read would be missing from every report without a word."""
    shipped = shipped_catalogue()

    assert len(shipped.controls) >= 20
    assert {key for control in shipped.controls.values() for key in control.maps} == set(shipped.frameworks)
    used = {(key, number) for c in shipped.controls.values() for key, numbers in c.maps.items() for number in numbers}
    named = {(key, number) for key, framework in shipped.frameworks.items() for number in framework.names}
    assert named == used


def test_every_source_is_asked_by_some_control() -> None:
    """A source that nothing asks is dead code; one that is asked and not there would fail a report."""
    asked = {query.source for c in shipped_catalogue().controls.values() for query in (*c.evidence, *c.exceptions)}

    assert asked == SOURCES == STORED | LIVE


def test_every_stored_source_answers_over_an_empty_folder(tmp_path: Path) -> None:
    """A column that a migration renames breaks here and not in front of an auditor."""
    with closing(sqlite3.connect(tmp_path / "segue.db", isolation_level=None)) as connection:
        migrate(connection, str(tmp_path))
        for source in STORED:
            assert list(rows_of(connection, source, Period(0, 2**50), actions=["run.start"])) == []


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('"17"', '"99"', "gdpr has no '99'"),
        ("gdpr:", "pci:", "no framework 'pci'"),
        ("[auditor]", "[boss]", "no role 'boss'"),
        ("from: audit", "from: rumours", "no source 'rumours'"),
        ("actions: [subject.erase], ", "", "`actions` go with"),
        ('where: .reason != ""', "where: '.reason |'", "is no expression"),
        ("title: Erasing", "titel: Erasing", "titel"),
        ("statement: It is done.", "statement: ''", "statement"),
        ("evidence:", "exceptions:", "under `gaps`"),
        ("- id: erasure", "- id: Erasure!", "id"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(was: str, becomes: str, said: str) -> None:
    """Whoever writes a control sees at once what is wrong with it."""
    read(FITS)
    assert was in FITS

    with pytest.raises(ValueError, match=r"\w") as refused:
        read(FITS.replace(was, becomes))

    assert said in str(refused.value)


def test_two_controls_of_one_name_are_refused() -> None:
    """A review names a control, so a name means one."""
    with pytest.raises(ValueError, match="already"):
        read(FITS + FITS.replace("\ncontrols:\n", ""))
