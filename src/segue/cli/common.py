"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Data = Annotated[
    Path | None,
    Parameter(name="--data", help="Data folder; SEGUE_DATA or ./segue-data where it is left out."),
]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for machines.")]
Limit = Annotated[int, Parameter(name="--limit", help="Items to print, at most 500.")]
After = Annotated[str | None, Parameter(name="--after", help="Go on after this: `next` of the page before.")]
