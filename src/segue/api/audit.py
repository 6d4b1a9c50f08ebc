"""Routes of the audit chain."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from segue.api.bodies import read_json
from segue.api.common import After, Asked, Limit, Moment
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import (
    AuditPruned,
    AuditSigned,
    AuditVerification,
    AuditView,
    NewAuditPrune,
    NewAuditVerification,
    Page,
)

router = APIRouter(tags=["audit"])


@router.get(
    "/audit",
    **operation(
        "listAudit",
        "List records of the audit chain, newest first",
        answers={200: json_answer(Page[AuditView], "A page of records.")},
    ),
)
async def list_audit(
    service: Asked,
    limit: Limit = 50,
    after: After = None,
    action: Annotated[str | None, Query(description="Only this action.", max_length=100)] = None,
    resource: Annotated[str | None, Query(description="Only about this, such as `run:ID`.", max_length=600)] = None,
    principal: Annotated[str | None, Query(description="Only by `kind:id`.", max_length=300)] = None,
    verdict: Annotated[str | None, Query(description="Only with this verdict.", max_length=40)] = None,
    since: Annotated[Moment | None, Query(description="Only at this time or later.")] = None,
    until: Annotated[Moment | None, Query(description="Only before this time.")] = None,
) -> Response:
    """All filters must hold."""
    page = await service.audit.page(
        action=action,
        resource=resource,
        principal=principal,
        verdict=verdict,
        since=since,
        until=until,
        limit=limit,
        after=after,
    )
    return json_response(page)


@router.get(
    "/audit/records",
    **operation(
        "followAudit",
        "Read the audit chain, oldest first",
        answers={200: json_answer(Page[AuditView], "Records behind `after`.")},
    ),
)
async def follow_audit(
    service: Asked,
    limit: Limit = 500,
    after: Annotated[int, Query(description="Place of the last record that is known.", ge=0, le=2**62)] = 0,
) -> Response:
    """For whoever keeps a copy: go on behind `next`, or behind the last record."""
    return json_response(await service.audit.following(after=after, limit=limit))


@router.get(
    "/audit/records/{record}",
    **operation(
        "getAuditRecord",
        "Read one record",
        answers={200: json_answer(AuditView, "The record.")},
        problems=("audit-unknown",),
    ),
)
async def get_audit_record(
    record: Annotated[int, Path(description="Place of the record.", ge=1, le=2**62)], service: Asked
) -> Response:
    """By its place in the chain."""
    return json_response(await service.audit.get(record))


@router.post(
    "/audit/verify",
    **operation(
        "verifyAudit",
        "Verify the audit chain",
        answers={200: json_answer(AuditVerification, "What was found.")},
        problems=("audit-key-refused",),
        body=json_body(NewAuditVerification),
    ),
)
async def verify_audit(request: Request, service: Asked) -> Response:
    """Reads the whole chain and the histories that it tells of."""
    wanted = await read_json(request, NewAuditVerification)
    key = None if wanted.public_key is None else wanted.public_key.encode()
    return json_response(await service.audit.verify(public_key=key, checkpoints=wanted.checkpoints))


@router.post(
    "/audit/checkpoints",
    **operation(
        "signAudit",
        "Sign where the audit chain ends",
        answers={201: json_answer(AuditSigned, "The checkpoint: keep it elsewhere.")},
        problems=("audit-key-refused",),
    ),
)
async def sign_audit(service: Asked) -> Response:
    """Happens every few seconds by itself; this one is for whoever wants to keep it."""
    return json_response(await service.audit.sign(), 201)


@router.post(
    "/audit/prune",
    **operation(
        "pruneAudit",
        "Remove old records of the audit chain",
        answers={200: json_answer(AuditPruned, "What was removed, or would be.")},
        problems=("audit-key-refused",),
        body=json_body(NewAuditPrune),
    ),
)
async def prune_audit(request: Request, service: Asked) -> Response:
    """Only up to a signed checkpoint, whose hash is kept; counts only, unless told otherwise."""
    wanted = await read_json(request, NewAuditPrune)
    return json_response(await service.audit.prune(wanted.before, dry_run=wanted.dry_run, reason=wanted.reason))
