"""How a service for keys is spoken to: credentials by reference, and requests that end."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from segue.governance.keyring import KeysRefused

_TRIES: Final = 3
_PAUSE_SECONDS: Final = 0.2
_ANSWER_BYTES_MAX: Final = 64 * 1024
_AGAIN: Final = frozenset({429, 500, 502, 504})


def required_address(address: str, what: str) -> str:
    """An address that may be asked: with TLS, or on this machine.

    Raises:
        KeysRefused: It is neither.
    """
    try:
        place = httpx.URL(address)
    except httpx.InvalidURL:
        place = httpx.URL("")
    local = place.scheme == "http" and place.host in ("127.0.0.1", "localhost", "::1")
    if not place.host or not (place.scheme == "https" or local) or place.query or place.userinfo:
        raise KeysRefused(f"{what} must be an address with https, without credentials in it")
    return str(place).rstrip("/")


def credential(reference: str, environment: Mapping[str, str], what: str) -> str:
    """What a reference stands for.

    Raises:
        KeysRefused: It is no reference, or there is nothing.
    """
    kind, _, name = reference.partition(":")
    found = ""
    if kind == "env":
        found = environment.get(name, "")
    elif kind == "file":
        try:
            found = Path(name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise KeysRefused(f"{what}: {name} cannot be read ({type(error).__name__})") from None
    else:
        # Not shown: somebody may have put the credential itself there.
        raise KeysRefused(f"{what} must be env:NAME or file:PATH; the value itself does not belong into settings")
    if not found:
        raise KeysRefused(f"{what}: {reference} is not set")
    return found


class Line:
    """Requests to one service: TLS verified, no redirects, no proxy, bounded answers, few tries.

    Args:
        ca_file: Certificates to trust in place of those of the machine.
    """

    def __init__(self, name: str, *, ca_file: str | None, timeout_ms: int) -> None:
        self._name = name
        try:
            trusted = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise KeysRefused(f"the certificates {ca_file} cannot be read ({error.strerror or error})") from None
        self._seconds = timeout_ms / 1000
        # Uncompressed: what is decoded could be a thousand times what was counted.
        asked = {"accept-encoding": "identity"}
        self._client = httpx.Client(verify=trusted, timeout=self._seconds, trust_env=False, headers=asked)

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer. What can pass by itself is tried again.

        Raises:
            KeysRefused: There is no answer, or it is not JSON.
        """
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE_SECONDS * attempt)
            try:
                with self._client.stream("POST", url, content=content, headers=dict(headers)) as answer:
                    status, said = answer.status_code, self._read(answer)
            except httpx.HTTPError as error:
                problem = str(error) or type(error).__name__
                continue
            if status in _AGAIN and attempt < _TRIES - 1:
                continue
            return status, self._object(status, said)
        raise KeysRefused(f"{self._name} does not answer ({problem}); try again when it does")

    def _read(self, answer: httpx.Response) -> bytes:
        """The answer, as far as it may go: the time limit of the client is one for each piece."""
        late, said = time.monotonic() + self._seconds, b""
        for piece in answer.iter_raw():
            said += piece
            if len(said) > _ANSWER_BYTES_MAX:
                raise KeysRefused(f"{self._name} answers with more than {_ANSWER_BYTES_MAX} bytes")
            if time.monotonic() > late:
                raise httpx.ReadTimeout(f"the answer did not end within {self._seconds:g} s")
        return said

    def _object(self, status: int, said: bytes) -> dict[str, Any]:
        try:
            return msgspec.json.decode(said, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise KeysRefused(f"{self._name} answers {status} with what is not JSON: is the address right?") from None
