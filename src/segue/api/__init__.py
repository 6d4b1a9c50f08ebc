"""The HTTP API, version 1, under `/api/v1`: it reads requests, asks the service and renders its answers.

No rule lives here. Shapes come from `segue.service.shapes`, refusals from `segue.service.errors`; both the answers
and the OpenAPI document are made from them. Only this room imports FastAPI, and only serving imports this room.
Open `app.py` first, then `guard.py` for who may speak to the server.
"""

from segue.api.app import create_app, openapi_document

__all__ = ["create_app", "openapi_document"]
