"""Routes of controls."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response

from segue.api.bodies import read_json
from segue.api.common import Asked, Moment
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import (
    ControlReport,
    ControlReview,
    ControlView,
    NewControlReview,
    Page,
    report_as_html,
    report_as_pdf,
)

router = APIRouter(tags=["controls"])
Since = Annotated[Moment | None, Query(description="Begin; thirty days before the end where it is left out.")]
Until = Annotated[Moment | None, Query(description="End, not part of it; now where it is left out.")]
Framework = Annotated[str | None, Query(description="Only controls mapped to it, such as gdpr.", max_length=60)]
Control = Annotated[str | None, Query(description="Only this control.", max_length=60)]
_PROBLEMS: Final = ("control-unknown", "control-period-refused", "audit-key-refused")
_LOCKED: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}


def _file(media: str, description: str) -> dict[str, Any]:
    return {"description": description, "content": {media: {"schema": {"type": "string"}}}}


@router.get(
    "/controls",
    **operation(
        "listControls",
        "List controls",
        answers={200: json_answer(Page[ControlView], "All of them.")},
        problems=("control-unknown",),
    ),
)
async def list_controls(service: Asked, framework: Framework = None) -> Response:
    """With what they are mapped to, and what they do not show."""
    return json_response(await service.controls.page(framework=framework))


@router.get(
    "/controls/report",
    **operation(
        "reportControls",
        "What every control came to in a period",
        answers={200: json_answer(ControlReport, "Evidence, exceptions and reviews by control.")},
        problems=_PROBLEMS,
    ),
)
async def report_controls(
    service: Asked, since: Since = None, until: Until = None, framework: Framework = None, control: Control = None
) -> Response:
    """Verifies the whole audit chain, too."""
    return json_response(
        await service.controls.report(since=since, until=until, framework=framework, control=control)
    )


@router.get(
    "/controls/report.html",
    **operation(
        "reportControlsAsHtml",
        "The same as a page",
        answers={200: _file("text/html", "One file that loads nothing.")},
        problems=_PROBLEMS,
    ),
)
async def report_controls_as_html(
    service: Asked, since: Since = None, until: Until = None, framework: Framework = None, control: Control = None
) -> Response:
    """To look at, to keep and to print."""
    report = await service.controls.report(since=since, until=until, framework=framework, control=control)
    return Response(report_as_html(report), media_type="text/html; charset=utf-8", headers=_LOCKED)


@router.get(
    "/controls/report.pdf",
    **operation(
        "reportControlsAsPdf",
        "The same as PDF",
        answers={200: _file("application/pdf", "An A4 file with page numbers.")},
        problems=(*_PROBLEMS, "pdf-unavailable"),
    ),
)
async def report_controls_as_pdf(
    service: Asked, since: Since = None, until: Until = None, framework: Framework = None, control: Control = None
) -> Response:
    """Where the server has the extra `pdf`."""
    report = await service.controls.report(since=since, until=until, framework=framework, control=control)
    # Laying out pages takes a second, which other requests should not wait for.
    content = await asyncio.to_thread(report_as_pdf, report)
    name = f"controls-{report.since[:10]}-{report.until[:10]}.pdf"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type="application/pdf", headers=headers)


@router.post(
    "/controls/{control}/reviews",
    **operation(
        "reviewControl",
        "Sign a control off for a period, or object",
        answers={201: json_answer(ControlReview, "It is recorded in the audit chain.")},
        problems=("control-changed", *_PROBLEMS),
        body=json_body(NewControlReview),
    ),
)
async def review_control(
    control: Annotated[str, Path(description="Id of the control.", min_length=1, max_length=60)],
    request: Request,
    service: Asked,
) -> Response:
    """Judged anew; nobody who stands in the exceptions may."""
    return json_response(await service.controls.review(control, await read_json(request, NewControlReview)), 201)
