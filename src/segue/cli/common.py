"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from segue.service import PAGE_MAX

Data = Annotated[
    Path | None,
    Parameter(name="--data", help="Data folder; SEGUE_DATA or ./segue-data where it is left out."),
]
AsJson = Annotated[bool, Parameter(name="--json", negative="", show_default=False, help="Print JSON for machines.")]
Limit = Annotated[
    int, Parameter(name="--limit", help="Items to print, 1 to 500.", validator=Number(gte=1, lte=PAGE_MAX))
]
Why = Annotated[str, Parameter(help="Why; written down.")]
After = Annotated[str | None, Parameter(name="--after", help="Go on after this: `next` of the page before.")]
