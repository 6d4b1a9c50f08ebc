"""Real folders and servers, without what their making costs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests import cheap


@pytest.fixture(scope="module", autouse=True)
def _cheaply() -> Iterator[None]:
    with cheap.empty_folders(), cheap.passwords():
        yield
