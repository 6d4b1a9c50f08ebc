"""What a program sees of a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue import Segue, ServiceError

BAD = "document: {dsl: '1.0.3', namespace: n, name: w, version: '1.0.0'}\ndo: [{a: {set: {x: '${ .b | nosuch }'}}}]\n"


async def test_a_refused_document_says_why_in_its_text(tmp_path: Path) -> None:
    """A traceback is all that many programs show."""
    async with Segue.open(tmp_path) as house:
        with pytest.raises(ServiceError, match=r"(?s)nosuch.*invalid-expression"):
            await house.publish(BAD)


async def test_text_of_several_lines_is_a_document_not_a_path(tmp_path: Path) -> None:
    """A path never has a line break in it."""
    async with Segue.open(tmp_path) as house:
        published = await house.publish(BAD.replace(" | nosuch", ""))
        assert published.created
