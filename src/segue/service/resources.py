"""What documents refer to and do not hold: schemas kept elsewhere and functions of catalogues, read at publish."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from segue.dsl import DefinitionError, FunctionDocument, read_function
from segue.types import TaskFailure

if TYPE_CHECKING:
    from segue.connectors import Outbound

BYTES_MAX: Final = 5 * 1024 * 1024
TIMEOUT_SECONDS: Final = 30.0


class Resources:
    """Reads resources for a compilation, which runs in a thread.

    Args:
        outbound: Gives the guarded HTTP client, which is made when it is first needed.
        base: Folder that relative paths and `file:` addresses are read from; None refuses them. Only the command
            line sets it: a server must not read its own files for whoever publishes.
    """

    def __init__(self, outbound: Callable[[], Outbound], base: Path | None = None) -> None:
        self._outbound = outbound
        self._base = base
        self._loop = asyncio.get_running_loop()

    def resource(self, endpoint: Any) -> bytes:
        """The content behind an endpoint as a document writes it.

        Raises:
            OSError: It cannot be read; the message is for the author.
            ValueError: It is no address of a kind that is read here.
        """
        address = _address(endpoint)
        place = urlsplit(address)
        if place.scheme in ("http", "https"):
            return self._fetch(address)
        if place.scheme in ("", "file"):
            return self._read(unquote(place.path))
        raise ValueError(f"{address!r} is neither an http nor a file address")

    def function(self, name: str, version: str | None, endpoint: Any) -> FunctionDocument | None:
        """A function of a catalogue, or the one at an absolute address (then `name` is empty).

        A catalogue is laid out as `functions/NAME/VERSION/function.yaml` below its endpoint.
        """
        address = _address(endpoint)
        if name:
            if version is None:
                return None
            address = f"{address.rstrip('/')}/functions/{name}/{version}/function.yaml"
        try:
            content = self.resource(address)
        except (OSError, ValueError):
            return None
        try:
            return read_function(content, name=name or address, version=version or "0.0.0", file=address)
        except DefinitionError:
            return None

    def _read(self, path: str) -> bytes:
        if self._base is None:
            raise OSError("files of the server are not read; give an http or https address")
        with open(self._base / path, "rb") as file:
            return _bounded(file.read(BYTES_MAX + 1), path)

    def _fetch(self, address: str) -> bytes:
        waiting = asyncio.run_coroutine_threadsafe(self._send(address), self._loop)
        return waiting.result(TIMEOUT_SECONDS)

    async def _send(self, address: str) -> bytes:
        try:
            answer = await self._outbound().send("GET", address, total_ms=int(TIMEOUT_SECONDS * 900))
        except TaskFailure as error:
            raise OSError(str(error)) from None
        if answer.status != 200:
            raise OSError(f"{address} answers with the status {answer.status}")
        return _bounded(answer.content, address)


def _address(endpoint: Any) -> str:
    if isinstance(endpoint, dict):
        if "authentication" in endpoint:
            raise ValueError("a resource that needs credentials is not read at publish")
        endpoint = endpoint.get("uri")
    if not isinstance(endpoint, str):
        raise ValueError(f"{endpoint!r} is no address")
    return endpoint


def _bounded(content: bytes, place: str) -> bytes:
    if len(content) > BYTES_MAX:
        raise OSError(f"{place} is larger than {BYTES_MAX} bytes")
    return content
