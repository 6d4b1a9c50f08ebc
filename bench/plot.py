"""Two pictures of the figures, as SVG: W1 beside other engines, and how near each workload comes to its limit.

    python -m bench.plot FIGURES.json docs/images

Drawn by hand: bars and text need no library. Colours carry no meaning that a label does not carry too.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

from bench._figures import BARE_LOOP, Figure, from_json, ratio_text

_WIDTH, _BAR, _GAP, _LEFT, _RIGHT, _TOP = 960, 22, 12, 430, 120, 64
_OURS, _LIMIT, _OTHER, _INK = "#1f6f6b", "#b9a44c", "#9aa3a8", "#22282b"

Bar = tuple[str, float, str, str]
"""Label, share of the full width, text at its end, colour."""


def draw(figures: Sequence[Figure], folder: Path) -> list[Path]:
    """Write the pictures; the one with peers only where peers were measured."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_write(folder / "bench-limits.svg", "Share of what the disk and asyncio allow", _limits(figures))]
    if any(figure.group == "peers" for figure in figures):
        title = "Ten durable steps, 200 runs at once: steps per second (logarithmic)"
        drawn.append(_write(folder / "bench-peers.svg", title, _peers(figures)))
    return drawn


def _limits(figures: Sequence[Figure]) -> list[Bar]:
    """One bar for each rate beside the bare loop."""
    compared = [figure for figure in figures if figure.beside == BARE_LOOP and figure.ratio is not None]
    return [(f"{f.group}  {f.what}", min(1.0, f.ratio or 0), ratio_text(f), _OURS) for f in compared]


def _peers(figures: Sequence[Figure]) -> list[Bar]:
    """Peers from the slowest, then Segue, then the limit."""
    peers = sorted((f for f in figures if f.group == "peers"), key=lambda f: f.value)
    rows = [(f.what, f.value, _OTHER) for f in peers]
    own = next(
        (f for f in figures if f.group == "W1" and f.what.startswith("200 runs") and "document" in f.what), None
    )
    if own is not None:
        rows.append(("Segue, document", own.value, _OURS))
        rows.append((BARE_LOOP, own.beside_value or own.value, _LIMIT))
    most, least = math.log10(max(row[1] for row in rows)), 1.0
    return [
        (name, max(0.01, (math.log10(value) - least) / (most - least)), f"{value:,.0f}", color)
        for name, value, color in rows
    ]


def _write(path: Path, title: str, bars: Sequence[Bar]) -> Path:
    height = _TOP + len(bars) * (_BAR + _GAP) + 16
    room = _WIDTH - _LEFT - _RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
        f' role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" rx="6" fill="#fbfaf6"/>',
        f'<text x="24" y="36" font-size="17" font-weight="600" fill="{_INK}">{escape(title)}</text>',
    ]
    for row, (label, share, value, color) in enumerate(bars):
        y = _TOP + row * (_BAR + _GAP)
        middle = y + _BAR * 0.7
        width, end = max(2.0, share * room), _WIDTH - _RIGHT + 12
        parts.append(
            f'<text x="{_LEFT - 12}" y="{middle:.1f}" text-anchor="end" fill="#22282b">{escape(label)}</text>'
        )
        parts.append(f'<rect x="{_LEFT}" y="{y}" width="{room}" height="{_BAR}" fill="#efece2"/>')
        parts.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{color}"/>')
        parts.append(f'<text x="{end}" y="{middle:.1f}" font-weight="600" fill="{_INK}">{escape(value)}</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")
    return path


if __name__ == "__main__":
    told = json.loads(Path(sys.argv[1]).read_text())
    for path in draw(from_json(told["figures"]), Path(sys.argv[2])):
        print(path)
