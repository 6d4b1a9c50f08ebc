"""The route that lets the server back itself up."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from segue.api.bodies import read_json
from segue.api.common import Asked
from segue.api.describe import json_answer, json_body, json_response, operation
from segue.service import BackupView, NewBackup

router = APIRouter(tags=["backups"])


@router.post(
    "/backups",
    **operation(
        "makeBackup",
        "Back up the data folder",
        answers={201: json_answer(BackupView, "The backup is on disk, and its manifest beside it.")},
        problems=("backup-refused",),
        body=json_body(NewBackup),
    ),
)
async def make_backup(request: Request, service: Asked) -> Response:
    """A consistent copy, made beside the work under way, in the folder `backups` of the data folder."""
    wanted = await read_json(request, NewBackup)
    return json_response(await service.backups.make(wanted), 201)
