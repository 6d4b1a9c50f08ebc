"""Reading the case files: what a case is, and the whole document that its short form stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

CASES: Final = Path(__file__).parent / "cases"
HEADER: Final = "document: {dsl: '1.0.3', namespace: conformance, name: case, version: 0.1.0}\n"
_KEYS: Final = """
name source document do root raw input functions http events control secrets allow environment children until_ms
way expect
"""
_EXPECTED: Final = """
status output error refused refuses warned tasks skipped emitted emitted_ids_differ duration_ms calls called_at
called_with schedule lifecycle lifecycle_has lifecycle_data lifecycle_lacks lifecycle_name nowhere
"""
KEYS: Final = frozenset(_KEYS.split())
EXPECTED: Final = frozenset(_EXPECTED.split())


class Loader(yaml.CSafeLoader):
    """YAML 1.2's idea of plain scalars: `yes`, `on` and dates are text."""


Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _starts in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", "n~" + "\0"),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+", "-0123456789"),
):
    Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), ["" if s == "\0" else s for s in _starts]
    )


@dataclass(frozen=True)
class Case:
    """One rule of the language with a document that shows it."""

    name: str
    source: str
    file: str
    given: dict[str, Any] = field(default_factory=dict)
    expect: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The whole document. A short form is completed; lines of a long one without `document:` move down by one."""
        if "document" in self.given:
            written: str = self.given["document"]
            whole = self.given.get("raw") or re.search(r"^document:", written, re.MULTILINE)
            return written if whole else HEADER + written
        root: str = self.given.get("root", "")
        return HEADER + "do:\n" + self.given["do"] + root


def load(path: Path) -> list[Case]:
    """All cases of one file. Asserts what a slip of the pen would break silently: unknown keys, doubled names."""
    found = yaml.load(path.read_text(encoding="utf-8"), Loader)
    cases: list[Case] = []
    for entry in found:
        unknown = set(entry) - KEYS | set(entry["expect"]) - EXPECTED
        assert not unknown, f"{path.name}: {entry['name']!r} has unknown keys {sorted(unknown)}"
        assert entry["expect"], f"{path.name}: {entry['name']!r} expects nothing"
        cases.append(Case(str(entry["name"]), str(entry["source"]), path.name, entry, entry["expect"]))
    names = [case.name for case in cases]
    doubled = {name for name in names if names.count(name) > 1}
    assert not doubled, f"{path.name}: several cases are called {sorted(doubled)}"
    return cases


def load_all() -> list[Case]:
    """Every case, file by file."""
    return [case for path in sorted(CASES.glob("*.yaml")) for case in load(path)]


def placed(value: Any, places: dict[str, str]) -> Any:
    """The value with the words that stand for addresses replaced."""
    if isinstance(value, str):
        for word, address in places.items():
            value = value.replace(word, address)
        return value
    if isinstance(value, dict):
        return {placed(key, places): placed(held, places) for key, held in value.items()}
    return [placed(held, places) for held in value] if isinstance(value, list) else value
