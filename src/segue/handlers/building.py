"""Assembles the handlers from explicit parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.connectors import ConnectionStore, MemoryConnections, OutboundLimits, OutboundPolicy
from segue.handlers.functions import FunctionHandler, FunctionRegistry
from segue.handlers.settings import MailSettings, ProcessSettings
from segue.types import Handler

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from segue.ai import ModelRegistry
    from segue.connectors import Calls, Outbound


class HandlerSet(dict[str, Handler]):
    """Handlers by name, with what they share.

    Attributes:
        outbound: The guarded HTTP client.
        calls: How connections are called; also serves `describe` and `probe`.
    """

    def __init__(self, outbound: Outbound, calls: Calls) -> None:
        super().__init__()
        self.outbound = outbound
        self.calls = calls

    async def aclose(self) -> None:
        """Close the connections that were kept open. Call it in the event loop that used them."""
        await self.outbound.aclose()


def build_handlers(
    *,
    functions: FunctionRegistry | None = None,
    models: ModelRegistry | None = None,
    connections: ConnectionStore | None = None,
    processes: ProcessSettings | None = None,
    mail: MailSettings | None = None,
    policy: OutboundPolicy | None = None,
    limits: OutboundLimits | None = None,
    ca_file: str | None = None,
    threads: Executor | None = None,
) -> HandlerSet:
    """Every handler this installation has, by the name that commands use.

    Args:
        functions: Python functions for `call: NAME`.
        models: Models for `call: model`.
        connections: Connections for `call: connector`.
        processes: Whether `run.script` and `run.shell` may start programs, and within which limits; off by default.
        mail: The mail server that notices leave through; without it e-mail is refused.
        policy: What requests may reach; by default nothing private, link-local or on this machine.
        limits: Bounds of each request.
        ca_file: PEM file of further certificate authorities to trust.
        threads: Where plain Python functions run; the event loop's default pool when left out.
    """
    # Imported here: httpx alone costs more time than the whole rest of this room.
    from segue.ai import ModelRegistry
    from segue.connectors import Calls, HostLines, Outbound, TokenCache
    from segue.handlers.connector import ConnectorHandler
    from segue.handlers.http import HttpHandler
    from segue.handlers.model import ModelHandler
    from segue.handlers.notify import NotifyHandler
    from segue.handlers.openapi import OpenApiHandler
    from segue.handlers.personal_data import PersonalDataHandler
    from segue.handlers.processes import ScriptHandler, ShellHandler

    outbound = Outbound(policy, limits, ca_file=ca_file)
    tokens = TokenCache(outbound)
    hosts = HostLines(outbound)
    calls = Calls(outbound, tokens)
    handlers = HandlerSet(outbound, calls)
    handlers["http"] = HttpHandler(outbound, tokens, hosts)
    handlers["openapi"] = OpenApiHandler(outbound, tokens, hosts=hosts)
    handlers["function"] = FunctionHandler(functions or FunctionRegistry(), threads)
    handlers["model"] = ModelHandler(models or ModelRegistry(), threads)
    handlers["find-personal-data"] = PersonalDataHandler(threads)
    handlers["notify"] = NotifyHandler(outbound, tokens, mail, hosts=hosts)
    handlers["script"] = ScriptHandler(processes or ProcessSettings(), outbound, tokens)
    handlers["shell"] = ShellHandler(processes or ProcessSettings(), outbound, tokens)
    handlers["connector"] = ConnectorHandler(calls, connections or MemoryConnections())
    return handlers
