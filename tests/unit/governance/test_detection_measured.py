"""What detection finds in sentences that were written by hand, and that the docs say no more of it."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from segue.governance.detection import find_in_text

HERE = Path(__file__).parent / "personal_data"
DOCS = (Path(__file__).parents[3] / "docs" / "privacy.md").read_text("utf-8")


def measured(name: str) -> dict[str, tuple[int, float, float]]:
    """How many there are of each kind, precision, and recall; half of the words count as found."""
    held: Counter[str] = Counter()
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for text in tomllib.loads((HERE / f"{name}.toml").read_text("utf-8"))["text"]:
        places = [(kind, text["says"].index(words), len(words)) for kind, words in text["held"]]
        held.update(kind for kind, _, _ in places)
        for one in find_in_text(text["says"]):
            found[one.kind] += 1
            for kind, start, length in places:
                common = min(start + length, one.end) - max(start, one.start)
                if kind == one.kind and common >= length / 2:
                    right[kind] += 1
                    places.remove((kind, start, length))
                    break
    return {
        kind: (held[kind], right[kind] / found[kind] if found[kind] else 1.0, right[kind] / held[kind])
        for kind in held
    }


@pytest.mark.parametrize("name", ["known", "fresh"])
def test_the_docs_say_what_is_measured(name: str) -> None:
    """Whoever relies on it must know how much is missed, on sentences that it was not made for most of all."""
    (table,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", DOCS, re.DOTALL)
    said = {
        kind: (int(count), float(precision), float(recall))
        for kind, count, precision, recall in re.findall(r"\| `([a-z-]+)` \| (\d+) \| ([\d.]+) \| ([\d.]+) \|", table)
    }
    assert said == {
        kind: (count, round(precision, 2), round(recall, 2))
        for kind, (count, precision, recall) in measured(name).items()
    }
