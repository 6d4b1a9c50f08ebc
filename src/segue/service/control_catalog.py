"""Controls as data: reading `catalog/controls`, and finding everything that does not fit.

A file holds a list of controls; `frameworks.yaml` says what the numbers are about that controls are mapped to. A
control asks the sources of `segue.store.evidence` and a few more (`control_sources.py`), each row through an
expression of the workflow language, so that a report can print what was asked and a reader can ask it again.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec

from segue.dsl import read_document
from segue.dsl.expressions import Expression, ExpressionError, compile_expression
from segue.governance import ROLES
from segue.store.evidence import SOURCES as STORED

LIVE: Final = frozenset({"chain", "chain-problems", "checkpoints", "encryption", "models"})
"""Sources besides those of the store."""
SOURCES: Final = STORED | LIVE
_FRAMEWORKS: Final = "frameworks.yaml"
_Text = Annotated[str, msgspec.Meta(min_length=1, pattern=r"\S")]


class Framework(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What controls are mapped to. `names`: its numbers, and a few words of ours on what each is about."""

    title: _Text
    about: _Text
    names: dict[str, _Text]


_KEYWORDS: Final = {"source": "from", "except_": "except"}


class ControlQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename=_KEYWORDS):
    """Rows that count.

    Attributes:
        says: What a row of it is, in words for the report.
        source: Where they come from; one of `SOURCES`.
        actions: `audit` only: these actions of the chain; required there.
        verdicts: `audit` only: with one of these verdicts. except_: With none of these.
        where: Which rows, as an expression; all where it is left out.
    """

    says: _Text
    source: _Text
    actions: list[_Text] = []
    verdicts: list[_Text] = []
    except_: list[_Text] = []
    where: _Text | None = None

    @property
    def text(self) -> str:
        """The query on one line, as the report prints it."""
        parts = [self.source]
        for name, values in (("actions", self.actions), ("verdicts", self.verdicts), ("except", self.except_)):
            if values:
                parts.append(f"{name} {', '.join(values)}")
        if self.where is not None:
            parts.append(f"where {self.where}")
        return "; ".join(parts)

    def test(self) -> Expression | None:
        """What each row is asked.

        Raises:
            ExpressionError: It is none.
        """
        return None if self.where is None else compile_expression(self.where, variables=())


class Control(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One control.

    Attributes:
        maps: Numbers it speaks to, by framework.
        evidence: What shows that it works. Empty where Segue records nothing of it: it is then not covered.
        exceptions: What has to be explained.
        gaps: What the queries do not show.
        reviewers: Roles whose members may sign it off.
    """

    id: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{1,60}$")]
    title: _Text
    area: _Text
    statement: _Text
    maps: dict[str, Annotated[list[str], msgspec.Meta(min_length=1)]]
    reviewers: Annotated[list[str], msgspec.Meta(min_length=1)]
    evidence: list[ControlQuery] = []
    exceptions: list[ControlQuery] = []
    gaps: list[_Text] = []

    @property
    def covered(self) -> bool:
        """Segue records something of it."""
        return bool(self.evidence)


class _File(msgspec.Struct, forbid_unknown_fields=True):
    controls: list[Control]


class Catalogue(msgspec.Struct, frozen=True):
    """Everything there is, by id and by name."""

    controls: dict[str, Control]
    frameworks: dict[str, Framework]


def read_catalogue(files: Mapping[str, bytes]) -> Catalogue:
    """Controls from the contents of files by name.

    Raises:
        ValueError: Everything that does not fit, one finding a line.
    """
    wrong: list[str] = []
    frameworks: dict[str, Framework] = {}
    controls: dict[str, Control] = {}
    for name, source in sorted(files.items()):
        document = read_document(source, file=name)
        wrong += [f"{f.file}:{f.line}: {f.message}" for f in document.findings if f.severity == "error"]
        try:
            if name == _FRAMEWORKS:
                frameworks = msgspec.convert(document.data, dict[str, Framework])
                continue
            for control in msgspec.convert(document.data, _File).controls:
                if control.id in controls:
                    wrong.append(f"{name}: there is a control {control.id!r} already")
                controls[control.id] = control
        except msgspec.ValidationError as error:
            wrong.append(f"{name}: {error}")
    for control in controls.values():
        wrong += [f"control {control.id!r}: {said}" for said in _complaints(control, frameworks)]
    if wrong:
        raise ValueError("\n".join(wrong))
    return Catalogue(controls, frameworks)


@lru_cache(maxsize=1)
def shipped_catalogue() -> Catalogue:
    """The controls that come with Segue."""
    # Found by path and not by import, as the functions of the catalogue are.
    root = importlib.resources.files("segue") / "catalog" / "controls"
    return read_catalogue({f.name: f.read_bytes() for f in root.iterdir() if f.name.endswith(".yaml")})


def _complaints(control: Control, frameworks: Mapping[str, Framework]) -> Iterator[str]:
    for name, numbers in control.maps.items():
        known = frameworks[name].names if name in frameworks else None
        if known is None:
            yield f"there is no framework {name!r}"
            continue
        yield from (f"{name} has no {number!r} in {_FRAMEWORKS}" for number in numbers if number not in known)
    yield from (f"there is no role {role!r}" for role in control.reviewers if role not in ROLES)
    if not control.covered and not (control.gaps and not control.exceptions):
        yield "without evidence it must say under `gaps` why nothing is recorded, and have no exceptions"
    for query in (*control.evidence, *control.exceptions):
        yield from _wrong_with(query)


def _wrong_with(query: ControlQuery) -> Iterator[str]:
    if query.source not in SOURCES:
        yield f"there is no source {query.source!r}; there are {', '.join(sorted(SOURCES))}"
    if (query.source == "audit") != bool(query.actions) or (query.source != "audit" and query.verdicts):
        yield "`actions` go with the source `audit`, which needs them, and so do `verdicts`"
    try:
        query.test()
    except ExpressionError as error:
        yield f"{query.where!r} is no expression: {error}"


def names_of(control: Control, catalogue: Catalogue) -> dict[str, list[dict[str, Any]]]:
    """What a control is mapped to: framework, number, and what that is about."""
    return {
        framework: [{"number": n, "about": catalogue.frameworks[framework].names[n]} for n in numbers]
        for framework, numbers in control.maps.items()
    }
