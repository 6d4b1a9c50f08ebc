"""The transit engine of HashiCorp Vault and OpenBao.

Source: the vendors' API documentation of "Transit secrets engine" (encrypt, decrypt) and of "AppRole auth method"
(login). A wrapped key is the engine's own text, `vault:vN:…`, which names the version of the key: rotating the key
there changes nothing here until `segue keys rotate --kms` wraps with the newest version.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from segue.governance.keyring import KeysRefused
from segue.governance.kms import VaultTransit
from segue.governance.kms_line import Line, credential, required_address


class Vault:
    """See `KeyService`."""

    def __init__(self, settings: VaultTransit, environment: Mapping[str, str]) -> None:
        self._settings = s = settings
        self._environment = environment
        self._address = required_address(s.address, "kms.address")
        if (s.token is None) == (s.role_id is None or s.secret_id is None):
            raise KeysRefused("kms needs either `token`, or `role_id` and `secret_id`")
        self._line = Line(self.name, ca_file=s.ca_file, timeout_ms=s.timeout_ms)

    @property
    def name(self) -> str:
        """See `KeyService`."""
        return f"Vault at {self._address}, key {self._settings.mount}/{self._settings.key}"

    def wrap(self, key: bytes, about: bytes) -> bytes:
        """See `KeyEncryption`."""
        said = {"plaintext": b64encode(key).decode(), "associated_data": b64encode(about).decode()}
        return _text(self._ask("encrypt", said), "ciphertext", self.name).encode()

    def unwrap(self, wrapped: bytes, about: bytes) -> bytes:
        """See `KeyEncryption`."""
        said = {"ciphertext": wrapped.decode("ascii", "replace"), "associated_data": b64encode(about).decode()}
        try:
            return b64decode(_text(self._ask("decrypt", said), "plaintext", self.name), validate=True)
        except binascii.Error:
            raise KeysRefused(f"{self.name} answers with something that is no key") from None

    def _ask(self, what: str, said: Mapping[str, str]) -> Any:
        s = self._settings
        headers = {"X-Vault-Token": self._token()}
        return self._post(f"{s.mount}/{what}/{s.key}", said, headers).get("data")

    def _token(self) -> str:
        s = self._settings
        if s.token is not None:
            return credential(s.token, self._environment, "kms.token")
        said = {
            "role_id": credential(s.role_id or "", self._environment, "kms.role_id"),
            "secret_id": credential(s.secret_id or "", self._environment, "kms.secret_id"),
        }
        return _text(self._post(f"auth/{s.role_mount}/login", said, {}).get("auth"), "client_token", self.name)

    def _post(self, path: str, said: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
        place = {} if self._settings.namespace is None else {"X-Vault-Namespace": self._settings.namespace}
        more = {"X-Vault-Request": "true", "Content-Type": "application/json", **place, **headers}
        status, answer = self._line.post(f"{self._address}/v1/{path}", msgspec.json.encode(said), more)
        if status == 200:
            return answer
        errors = answer.get("errors")
        why = (
            "; ".join(" ".join(str(e).split()) for e in errors)
            if isinstance(errors, list) and errors
            else "no reason given"
        )
        raise KeysRefused(f"{self.name} refuses ({status}): {why}")


def _text(data: Any, field: str, name: str) -> str:
    found = data.get(field) if isinstance(data, dict) else None
    if not isinstance(found, str):
        raise KeysRefused(f"{name} answers without {field!r}")
    return found
