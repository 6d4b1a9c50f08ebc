"""Connectors: how other systems are reached.

Here live the one outbound HTTP client with its guard, authentication and token cache, API descriptions, and
connections with pace, circuit and paging. Nothing here knows of runs, tasks or policies; secrets arrive revealed.
What needs httpx is imported when it is first used, so listing connections stays quick.
Open `connections.py` first, then `calls.py`; `outbound.py` is where every request leaves, `line.py` where it waits.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from segue.connectors.connections import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    Breaker,
    Connection,
    ConnectionStore,
    Credential,
    Limits,
    Lookup,
    MemoryConnections,
    NoAuth,
    OAuth2Auth,
    Paging,
    PinnedDocument,
    connection_from_json,
    connection_to_json,
    new_connection,
    parse_auth,
)
from segue.connectors.policy import OutboundLimits, OutboundPolicy

if TYPE_CHECKING:
    from segue.connectors.authentication import authenticator
    from segue.connectors.calls import Calls, read_credential
    from segue.connectors.circuit import CircuitReport, TargetDown
    from segue.connectors.content import encode_body, scalar_text
    from segue.connectors.describing import ConnectionReport, OperationDescription, describe, probe, unresolved
    from segue.connectors.documents import Document, parse_document
    from segue.connectors.exchange import Output, is_success, read_output, refused, retry_after_ms, shape
    from segue.connectors.foreseeing import foresee, foresee_operation
    from segue.connectors.line import HostLines
    from segue.connectors.openid import OpenIdProvider
    from segue.connectors.operations import Operation, Operations, OperationsCache
    from segue.connectors.outbound import IDEMPOTENT_METHODS, Answer, Outbound, host_of
    from segue.connectors.paging import ITEMS_MAX, collect
    from segue.connectors.requests import Prepared, prepare
    from segue.connectors.tokens import TokenCache

_LATER = {
    "authentication": ("authenticator",),
    "calls": ("Calls", "read_credential"),
    "circuit": ("CircuitReport", "TargetDown"),
    "content": ("encode_body", "scalar_text"),
    "describing": ("ConnectionReport", "OperationDescription", "describe", "probe", "unresolved"),
    "documents": ("Document", "parse_document"),
    "exchange": ("Output", "is_success", "read_output", "refused", "retry_after_ms", "shape"),
    "foreseeing": ("foresee", "foresee_operation"),
    "line": ("HostLines",),
    "openid": ("OpenIdProvider",),
    "operations": ("Operation", "Operations", "OperationsCache"),
    "outbound": ("IDEMPOTENT_METHODS", "Answer", "Outbound", "host_of"),
    "paging": ("ITEMS_MAX", "collect"),
    "requests": ("Prepared", "prepare"),
    "tokens": ("TokenCache",),
}
_MODULES = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = found
    return found


__all__ = [
    "IDEMPOTENT_METHODS",
    "ITEMS_MAX",
    "Answer",
    "ApiKeyAuth",
    "BasicAuth",
    "BearerAuth",
    "Breaker",
    "Calls",
    "CircuitReport",
    "Connection",
    "ConnectionReport",
    "ConnectionStore",
    "Credential",
    "Document",
    "HostLines",
    "Limits",
    "Lookup",
    "MemoryConnections",
    "NoAuth",
    "OAuth2Auth",
    "OpenIdProvider",
    "Operation",
    "OperationDescription",
    "Operations",
    "OperationsCache",
    "Outbound",
    "OutboundLimits",
    "OutboundPolicy",
    "Output",
    "Paging",
    "PinnedDocument",
    "Prepared",
    "TargetDown",
    "TokenCache",
    "authenticator",
    "collect",
    "connection_from_json",
    "connection_to_json",
    "describe",
    "encode_body",
    "foresee",
    "foresee_operation",
    "host_of",
    "is_success",
    "new_connection",
    "parse_auth",
    "parse_document",
    "prepare",
    "probe",
    "read_credential",
    "read_output",
    "refused",
    "retry_after_ms",
    "scalar_text",
    "shape",
    "unresolved",
]
