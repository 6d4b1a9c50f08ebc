"""Whatever ships survives the loss of its disk at any write."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.campaigns.writes import ROOT, SHIPPED, Shipped, campaign


@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda shipped: Path(shipped.paths[0]).stem)
async def test_a_failure_at_any_write_changes_no_result_and_no_effect(shipped: Shipped) -> None:
    """The same as `make fail-at-write`: the result is that of a run left in peace, each action is there once."""
    writes, findings = await campaign(shipped)

    assert writes >= 2, "nothing was failed"
    assert findings == []


def test_every_document_that_ships_is_among_them() -> None:
    """A new template must not be forgotten here."""
    found = {*ROOT.glob("src/segue/catalog/templates/**/*.yaml"), *ROOT.glob("examples/**/*.yaml")}
    shipped = {ROOT / path for one in SHIPPED for path in one.paths}

    assert {path for path in found if not path.stem.endswith(".tests")} == shipped
