"""Reading the pages: fenced blocks with what the page says about them, links, and headings.

A block's language says what is done with it; `playing.py` does it. Two things around a block are understood:

- A paragraph above it that ends like "Save this as `hello.yaml`:" makes the block that file.
- HTML comments above it are remarks to the tests: `<!-- not run: REASON -->`, `<!-- exit code: 2 -->`,
  `<!-- refused: REASON -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_SAVED = re.compile(r"\b[Ss]ave\b.* as `([\w./-]+)`[^`]*:$")
_REMARK = re.compile(r"<!-- ([a-z ]+): (.*) -->")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        line: Of its opening fence, from 1.
        saved_as: The file that it is, where the line above says so; otherwise empty.
        remarks: What comments above it tell the tests, by kind.
    """

    page: Path
    line: int
    language: str
    text: str
    saved_as: str = ""
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Every page for users: the introduction, and all of docs/."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    above, remarks, in_paragraph = "", {}, False
    lines = iter(enumerate(page.read_text(encoding="utf-8").splitlines(), 1))
    for number, line in lines:
        if line.startswith("```"):
            inside = []
            for _, text in lines:
                if text.startswith("```"):
                    break
                inside.append(text + "\n")
            saved = _SAVED.search(above)
            yield Block(page, number, line[3:].strip(), "".join(inside), saved[1] if saved else "", remarks)
            above, remarks = "", {}
        elif remark := _REMARK.fullmatch(line.strip()):
            remarks = {**remarks, remark[1]: remark[2].strip()}
        elif line.strip():
            above, remarks = f"{above} {line.strip()}" if in_paragraph else line.strip(), {}
        in_paragraph = bool(line.strip())


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[str]:
    """Where the page points to, inside this repository."""
    return [link for link in _LINK.findall(prose(page)) if "://" not in link and not link.startswith("mailto:")]


def anchors(page: Path) -> set[str]:
    """The anchors that headings get where pages are shown."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}
