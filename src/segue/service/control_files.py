"""Control reports as files."""

from __future__ import annotations

from segue.service.control_html import report_as_html
from segue.service.controls import ControlReport

__all__ = ["report_as_html", "report_as_pdf"]


def report_as_pdf(report: ControlReport) -> bytes:
    """The report as an A4 file with page numbers.

    Raises:
        ServiceError: `pdf-unavailable` where the extra `pdf` is not installed.
    """
    # Loaded when it is needed: no command but this one pays for it.
    from segue.service.control_pdf import render

    return render(report)
