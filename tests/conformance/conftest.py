"""Each rule in a data folder of its own, without playing all migrations for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests import cheap


@pytest.fixture(scope="module", autouse=True)
def _cheaply() -> Iterator[None]:
    with cheap.empty_folders():
        yield
