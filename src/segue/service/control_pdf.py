"""A control report as PDF. The one module that imports reportlab, which the extra `pdf` brings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

from segue.service.control_text import (
    DISCLAIMER,
    EMPTY,
    chain_facts,
    chain_words,
    coverage,
    heading_facts,
    review_line,
    reviewed,
    summary_of,
)
from segue.service.controls import ControlFinding, ControlReport, ControlResult
from segue.service.errors import ServiceError

try:
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.lib.units import mm
    from reportlab.pdfgen.canvas import Canvas
    from reportlab.platypus import CondPageBreak, Flowable, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table
except ImportError as error:
    raise ServiceError("pdf-unavailable", f"PDF files need the package reportlab ({error}).") from None

_INK, _SOFT, _LINE = colors.HexColor("#1d2430"), colors.HexColor("#5a6473"), colors.HexColor("#d5dae1")
_COLOURS: Final = {"holds": "#17603a", "exceptions": "#8f1d1d", "no evidence": "#7a5200", "not covered": "#46505e"}
_MARGIN: Final = 17 * mm
_PADDING: Final = 6  # of the frame that pages have, in points
_WIDTH: Final = A4[0] - 2 * _MARGIN - 2 * _PADDING
_TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9, leading=12.5, textColor=_INK, spaceAfter=3)
_TITLE = ParagraphStyle("title", _TEXT, fontName="Helvetica-Bold", fontSize=20, leading=25, spaceAfter=4)
_H2 = ParagraphStyle("h2", _TEXT, fontName="Helvetica-Bold", fontSize=13, leading=17, spaceBefore=14, spaceAfter=4)
_H3 = ParagraphStyle("h3", _TEXT, fontName="Helvetica-Bold", fontSize=11, leading=14)
_H4 = ParagraphStyle("h4", _TEXT, fontName="Helvetica-Bold", fontSize=8, textColor=_SOFT, spaceBefore=6, spaceAfter=1)
_SMALL = ParagraphStyle("small", _TEXT, fontSize=7.5, leading=10, textColor=_SOFT)
_CELL = ParagraphStyle("cell", _TEXT, fontSize=7.8, leading=10, spaceAfter=0, splitLongWords=True)
_HEAD = ParagraphStyle("head", _CELL, fontName="Helvetica-Bold", textColor=_SOFT)
_NUMBER = ParagraphStyle("number", _CELL, alignment=2)


def render(report: ControlReport) -> bytes:
    """The report as an A4 file with page numbers. Two of the same report have the same bytes."""
    into = BytesIO()
    document = SimpleDocTemplate(
        into,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=16 * mm,
        bottomMargin=20 * mm,
        title=f"Control report, {report.since[:10]} to {report.until[:10]}",
        author=f"Segue {report.segue}",
        subject=f"Workspace {report.workspace}",
        invariant=1,
        lang="en",
    )
    foot = f"Workspace {report.workspace} · {report.since} to {report.until} · made {report.made_at}"

    def canvas(*args: Any, **named: Any) -> Canvas:
        return _Numbered(*args, foot=foot, **named)

    document.build(list(_story(report)), canvasmaker=canvas)
    return into.getvalue()


class _Numbered(Canvas):  # type: ignore[misc]
    """Pages know how many there are only when all are drawn, so their feet are drawn at the end."""

    def __init__(self, *args: Any, foot: str, **named: Any) -> None:
        super().__init__(*args, **named)
        self._foot = foot
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802 - reportlab's name
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        for number, page in enumerate(self._pages, 1):
            self.__dict__.update(page)
            self.setFont("Helvetica", 7.5)
            self.setFillColor(_SOFT)
            self.drawString(_MARGIN + _PADDING, 11 * mm, self._foot)
            self.drawRightString(A4[0] - _MARGIN - _PADDING, 11 * mm, f"Page {number} of {len(self._pages)}")
            Canvas.showPage(self)
        super().save()


def _story(report: ControlReport) -> Iterator[Flowable]:
    yield Paragraph("Control report", _TITLE)
    yield _text(DISCLAIMER)
    yield Spacer(0, 4)
    yield _facts(heading_facts(report))
    yield from _chain(report)
    yield from _summary(report)
    yield from _coverage(report)
    yield CondPageBreak(80 * mm)
    yield Paragraph("Controls", _H2)
    for control in report.controls:
        yield from _control(control, report)


def _chain(report: ControlReport) -> Iterator[Flowable]:
    sound = report.chain.sound
    inner: list[Flowable] = [Paragraph(_safe(chain_words(report.chain)), _H3), _facts(chain_facts(report.chain), 12)]
    inner += [_text(f"{problem.kind}: {problem.detail}") for problem in report.chain.problems]
    edge = colors.HexColor(_COLOURS["holds" if sound else "exceptions"])
    style = [("BOX", (0, 0), (-1, -1), 0.5, _LINE), ("LINEBEFORE", (0, 0), (0, -1), 4, edge)]
    yield Spacer(0, 6)
    yield Table([[[one]] for one in inner], colWidths=[_WIDTH], style=[*style, ("LEFTPADDING", (0, 0), (-1, -1), 10)])


def _summary(report: ControlReport) -> Iterator[Flowable]:
    yield Paragraph("Summary", _H2)
    yield _text(summary_of(report))
    rows = [
        (
            _link(control),
            _cell(control.area),
            _result(control),
            Paragraph(str(control.evidence) if control.covered else "", _NUMBER),
            Paragraph(str(control.exceptions) if control.covered else "", _NUMBER),
            _cell(reviewed(control, report)),
        )
        for control in report.controls
    ]
    names = ("Control", "Area", "Result", "Evidence", "Exceptions", "Review")
    yield _table(names, rows, (0.36, 0.11, 0.13, 0.1, 0.11, 0.19), numbers=(3, 4))


def _coverage(report: ControlReport) -> Iterator[Flowable]:
    yield CondPageBreak(60 * mm)
    yield Paragraph("By framework", _H2)
    for title, found in coverage(report):
        rows = [
            (
                _cell(number),
                _cell(about),
                Paragraph(", ".join(f"{_anchor(c)} ({_coloured(c)})" for c in controls), _CELL),
            )
            for number, about, controls in found
        ]
        yield CondPageBreak(30 * mm)
        yield Paragraph(_safe(title), _H4)
        yield _table(("Number", "About", "Controls"), rows, (0.2, 0.28, 0.52))


def _control(control: ControlResult, report: ControlReport) -> Iterator[Flowable]:
    head = Table(
        [[Paragraph(f'<a name="{control.id}"/>{_safe(control.title)}', _H3), _result(control, 9.5, alignment=2)]],
        colWidths=[_WIDTH * 0.8, _WIDTH * 0.2],
        style=[
            ("LINEABOVE", (0, 0), (-1, 0), 1, _INK),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 0),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ],
    )
    mapped = "; ".join(f"{m.title} {m.number} ({m.about})" for m in control.mapped_to)
    facts = [("Control", f"{control.id} · {control.area}"), ("Speaks to", mapped)]
    facts += [("Reviewers", ", ".join(control.reviewers)), ("Digest", control.digest)]
    yield Spacer(0, 8)
    yield KeepTogether([head, _text(control.statement), _facts(facts)])
    for name, findings, nothing in (
        ("EVIDENCE", control.found, "None was found."),
        ("EXCEPTIONS TO EXPLAIN", control.to_explain, "None."),
    ):
        for place, finding in enumerate(findings):
            yield from _found(finding, nothing, name if place == 0 else "")
    if control.gaps:
        yield KeepTogether([Paragraph("WHAT THIS DOES NOT SHOW", _H4), *(_text("• " + gap) for gap in control.gaps)])
    reviews = [_text("• " + review_line(review, report)) for review in control.reviews]
    yield KeepTogether([Paragraph("REVIEWS", _H4), *(reviews or [_text(EMPTY), *_signature()])])


def _signature() -> list[Flowable]:
    line = Table(
        [[Paragraph("Reviewer, name and signature", _SMALL), "", Paragraph("Date", _SMALL)]],
        colWidths=[_WIDTH * 0.58, _WIDTH * 0.06, _WIDTH * 0.36],
        style=[("LINEABOVE", (0, 0), (0, 0), 0.6, _INK), ("LINEABOVE", (2, 0), (2, 0), 0.6, _INK)],
    )
    return [Spacer(0, 18), line]


def _found(finding: ControlFinding, nothing: str, heading: str) -> Iterator[Flowable]:
    top: list[Flowable] = [Paragraph(heading, _H4)] if heading else []
    top.append(Paragraph(f"<b>{_safe(finding.says)}: {finding.count}</b>", _TEXT))
    top.append(Paragraph(f'Asked: <font name="Courier">{_safe(finding.query)}</font>', _SMALL))
    if not finding.count:
        yield KeepTogether([*top, _text(nothing)])
        return
    yield CondPageBreak(32 * mm)
    yield from top
    rows = [tuple(_cell(text) for text in (row.at, row.ref, row.what, row.by)) for row in finding.shown]
    yield _table(("Time (UTC)", "Reference", "What", "By"), rows, (0.23, 0.24, 0.36, 0.17))
    if finding.count > len(finding.shown):
        yield Paragraph(f"{len(finding.shown)} of {finding.count} are shown.", _SMALL)


# -- pieces --------------------------------------------------------------------------------------------


def _table(
    names: Iterable[str], rows: list[tuple[Flowable, ...]], shares: Iterable[float], numbers: tuple[int, ...] = ()
) -> Flowable:
    head = [
        Paragraph(name, ParagraphStyle("right", _HEAD, alignment=2) if place in numbers else _HEAD)
        for place, name in enumerate(names)
    ]
    style = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1.8),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.8),
    ]
    return Table([head, *rows], colWidths=[share * _WIDTH for share in shares], repeatRows=1, style=style)


def _facts(pairs: Iterable[tuple[str, str]], inset: float = 0) -> Flowable:
    rows = [(Paragraph(_safe(name), _HEAD), _cell(value)) for name, value in pairs]
    style = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 1),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
    ]
    return Table(rows, colWidths=[24 * mm, _WIDTH - 24 * mm - inset], style=style, hAlign="LEFT")


def _text(text: str) -> Flowable:
    return Paragraph(_safe(text), _TEXT)


def _cell(text: str) -> Flowable:
    return Paragraph(_safe(text), _CELL)


def _link(control: ControlResult) -> Flowable:
    return Paragraph(_anchor(control), _CELL)


def _anchor(control: ControlResult) -> str:
    return f'<a href="#{control.id}">{_safe(control.title)}</a>'


def _coloured(control: ControlResult) -> str:
    return f'<font color="{_COLOURS[control.result]}"><b>{control.result}</b></font>'


def _result(control: ControlResult, size: float = 7.8, *, alignment: int = 0) -> Flowable:
    style = ParagraphStyle("result", _CELL, fontSize=size, leading=size + 3, alignment=alignment)
    return Paragraph(_coloured(control), style)


def _safe(text: str) -> str:
    """Text that came from data, as reportlab's markup; what its built-in fonts lack is shown as a question mark."""
    shown = text.encode("cp1252", "replace").decode("cp1252")
    return escape("".join(c if c.isprintable() or c == "\n" else "?" for c in shown))
