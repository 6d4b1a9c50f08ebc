"""A control report as one HTML page that needs nothing else: to look at, to keep, to print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

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

_STYLE: Final = """
:root { color-scheme: light; --ink: #1d2430; --soft: #5a6473; --line: #d5dae1; --paper: #fff; --tint: #f5f7f9;
  --holds: #17603a; --exceptions: #8f1d1d; --none: #7a5200; --uncovered: #46505e; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--tint); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto,
  "Liberation Sans", Arial, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 2rem 4rem; background: var(--paper); }
h1 { font-size: 1.9rem; margin: 0 0 .3rem; } h2 { font-size: 1.3rem; margin: 2.5rem 0 .6rem; }
h3 { font-size: 1.08rem; margin: 0; } h4 { font-size: .82rem; margin: 1rem 0 .25rem; color: var(--soft);
  text-transform: uppercase; letter-spacing: .04em; }
p { margin: .3rem 0 .7rem; } .lead { color: var(--soft); }
table { width: 100%; border-collapse: collapse; margin: .3rem 0 .6rem; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; } table.rows td { overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; } td.n, th.n { text-align: right; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: .6rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font: .85em ui-monospace, "Liberation Mono", Menlo, monospace; overflow-wrap: anywhere; }
.box { border: 1px solid var(--line); border-left: .35rem solid var(--soft); padding: .7rem 1rem; margin: 1rem 0; }
.box.sound { border-left-color: var(--holds); } .box.unsound { border-left-color: var(--exceptions); }
.number { white-space: nowrap; }
.result { font-weight: 700; white-space: nowrap; }
.holds { color: var(--holds); } .exceptions { color: var(--exceptions); }
.no-evidence { color: var(--none); } .not-covered { color: var(--uncovered); }
section.control { border-top: 2px solid var(--ink); margin-top: 2rem; padding-top: .7rem; }
.head { display: flex; justify-content: space-between; gap: 1rem; align-items: baseline; }
.query { color: var(--soft); font-size: .82rem; margin: 0 0 .2rem; }
ul { margin: .2rem 0 .6rem; padding-left: 1.2rem; }
.sign { display: grid; grid-template-columns: 2fr 1fr; gap: 2rem; margin-top: 1.4rem; color: var(--soft);
  font-size: .82rem; }
.sign div { border-top: 1px solid var(--ink); padding-top: .2rem; }
a { color: inherit; }
@page { size: A4; margin: 18mm 16mm 20mm; @bottom-right { content: counter(page) " / " counter(pages); } }
@media print { body { background: var(--paper); font-size: 10pt; } main { max-width: none; padding: 0; }
  section.control { break-inside: auto; }
  .head, h2, h3, h4, .query { break-after: avoid; } tr { break-inside: avoid; }
  thead { display: table-header-group; } a { text-decoration: none; } }
"""


def report_as_html(report: ControlReport) -> str:
    """The report as a page. Everything that came from data is escaped; it loads nothing and runs nothing."""
    return "\n".join(_page(report)) + "\n"


def _page(report: ControlReport) -> Iterator[str]:
    title = f"Control report, {report.since[:10]} to {report.until[:10]}"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>"
    yield f'<h1>Control report</h1>\n<p class="lead">{escape(DISCLAIMER)}</p>'
    yield _facts(heading_facts(report))
    yield from _chain(report)
    yield from _summary(report)
    yield from _coverage(report)
    yield "<h2>Controls</h2>"
    for control in report.controls:
        yield from _control(control, report)
    yield "</main>\n</body>\n</html>"


def _chain(report: ControlReport) -> Iterator[str]:
    sound = report.chain.sound
    yield f'<div class="box {"sound" if sound else "unsound"}"><h3>{escape(chain_words(report.chain))}</h3>'
    yield _facts(chain_facts(report.chain))
    if report.chain.problems:
        yield _list(f"{problem.kind}: {problem.detail}" for problem in report.chain.problems)
    yield "</div>"


def _summary(report: ControlReport) -> Iterator[str]:
    yield f"<h2>Summary</h2>\n<p>{escape(summary_of(report))}</p>"
    rows = [
        (
            f'<a href="#{escape(c.id)}">{escape(c.title)}</a>',
            escape(c.area),
            _result(c),
            str(c.evidence) if c.covered else "",
            str(c.exceptions) if c.covered else "",
            escape(reviewed(c, report)),
        )
        for c in report.controls
    ]
    yield _table(("Control", "Area", "Result", "Evidence", "Exceptions", "Review"), rows, numbers=(3, 4))


def _coverage(report: ControlReport) -> Iterator[str]:
    yield "<h2>By framework</h2>"
    for title, rows in coverage(report):
        yield f"<h4>{escape(title)}</h4>"
        cells = [
            (
                f'<span class="number">{escape(number)}</span>',
                escape(about),
                ", ".join(f'<a href="#{escape(c.id)}">{escape(c.title)}</a> ({_result(c)})' for c in controls),
            )
            for number, about, controls in rows
        ]
        yield _table(("Number", "About", "Controls"), cells)


def _control(control: ControlResult, report: ControlReport) -> Iterator[str]:
    yield f'<section class="control" id="{escape(control.id)}">'
    yield f'<div class="head"><h3>{escape(control.title)}</h3>{_result(control)}</div>'
    yield f"<p>{escape(control.statement)}</p>"
    mapped = "; ".join(f"{m.title} {m.number} ({m.about})" for m in control.mapped_to)
    facts = [("Control", f"{control.id} · {control.area}"), ("Speaks to", mapped)]
    yield _facts([*facts, ("Reviewers", ", ".join(control.reviewers)), ("Digest", control.digest)])
    for name, findings, nothing in (
        ("Evidence", control.found, "None was found."),
        ("Exceptions to explain", control.to_explain, "None."),
    ):
        if findings:
            yield f"<h4>{name}</h4>"
        for finding in findings:
            yield from _found(finding, nothing)
    if control.gaps:
        yield "<h4>What this does not show</h4>"
        yield _list(control.gaps)
    yield "<h4>Reviews</h4>"
    if control.reviews:
        yield _list(review_line(review, report) for review in control.reviews)
    else:
        yield f"<p>{escape(EMPTY)}</p>"
        yield '<div class="sign"><div>Reviewer, name and signature</div><div>Date</div></div>'
    yield "</section>"


def _found(finding: ControlFinding, nothing: str) -> Iterator[str]:
    yield f"<p><strong>{escape(finding.says)}: {finding.count}</strong></p>"
    yield f'<p class="query">Asked: <code>{escape(finding.query)}</code></p>'
    if not finding.count:
        yield f"<p>{escape(nothing)}</p>"
        return
    rows = [(escape(row.at), escape(row.ref), escape(row.what), escape(row.by)) for row in finding.shown]
    yield _table(("Time (UTC)", "Reference", "What", "By"), rows, kind_of="rows")
    if finding.count > len(finding.shown):
        yield f'<p class="query">{len(finding.shown)} of {finding.count} are shown.</p>'


def _result(control: ControlResult) -> str:
    return f'<span class="result {control.result.replace(" ", "-")}">{escape(control.result)}</span>'


def _facts(pairs: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs) + "</dl>"


def _list(lines: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _table(
    columns: Iterable[str], rows: Iterable[tuple[str, ...]], numbers: tuple[int, ...] = (), kind_of: str = "facts"
) -> str:
    """Cells are HTML."""
    kind = [' class="n"' if place in numbers else "" for place in range(8)]
    head = "".join(f"<th{kind[i]}>{escape(name)}</th>" for i, name in enumerate(columns))
    body = "".join("<tr>" + "".join(f"<td{kind[i]}>{c}</td>" for i, c in enumerate(row)) + "</tr>" for row in rows)
    return f'<table class="{kind_of}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
