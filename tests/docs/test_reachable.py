"""Pages can be found, and links lead somewhere."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from cyclopts import Parameter
from tests.docs.reading import DOCS, ROOT, anchors, links, pages

from segue.cli.app import _COMMANDS, _GROUPS

PAGES = pages()


def _target(page: Path, link: str) -> tuple[Path, str]:
    path, _, anchor = link.partition("#")
    return (page.parent / path).resolve() if path else page, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A dead link says that nobody reads the page."""
    dead = []
    for link in links(page):
        target, anchor = _target(page, link)
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)

    assert dead == []


def test_every_page_is_reached_from_the_front_door() -> None:
    """What no link leads to is read by nobody."""
    reached: set[Path] = set()
    ahead = [ROOT / "README.md", DOCS / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached:
            continue
        reached.add(page)
        found = [_target(page, link)[0] for link in links(page)]
        ahead += [path for path in found if path.suffix == ".md" and path.exists()]
        # A link to a folder shows what is in it.
        ahead += [inside for path in found if path.is_dir() and path != DOCS for inside in path.glob("*.md")]

    assert set(PAGES) - reached == set()


def _options() -> Iterator[str]:
    targets = [target for target, _ in _COMMANDS.values()]
    targets += [target for _, inner in _GROUPS.values() for target, _ in inner.values()]
    for target in targets:
        module, _, name = target.partition(":")
        function = getattr(import_module(module), name)
        hints = get_type_hints(function, include_extras=True)
        for parameter in inspect.signature(function).parameters.values():
            named = [extra.name for extra in get_args(hints[parameter.name]) if isinstance(extra, Parameter)]
            names = [name for given in named for name in given or ()]
            yield from names or [f"--{parameter.name.replace('_', '-')}"]


def test_the_pages_name_no_option_that_is_not_there() -> None:
    """Options that the pages name exist; a renamed option leaves traces nowhere."""
    known = {*_options(), "--help", "--version"}
    for page in PAGES:
        named = set(re.findall(r"(?<![\w-])segue [^`\n]*?(--[a-z-]+)", page.read_text(encoding="utf-8")))
        assert named <= known, f"{page.name} names {sorted(named - known)}"
