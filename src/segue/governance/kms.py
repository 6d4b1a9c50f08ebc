"""Services that hold the key by which a key-encryption key is wrapped: HashiCorp Vault (also OpenBao) and AWS KMS.

Each is a `KeyService` over the HTTP API that its vendor documents. Credentials are references (`env:NAME`,
`file:PATH`) and read when they are needed. A service is asked when a folder is opened and when keys are rotated,
never in between.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from segue.governance.keyring import KeyService


class VaultTransit(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="vault"
):
    """A key of the transit engine of Vault or OpenBao.

    Attributes:
        address: Such as `https://vault.example.com:8200`.
        key: Name of the key in the engine; of a type with authentication, such as `aes256-gcm96`.
        mount: Where the engine is mounted.
        token: Reference to a token, `env:NAME` or `file:PATH`; or else an AppRole:
        role_id, secret_id: References to its two parts. role_mount: Where AppRole is mounted.
        namespace: Where there are namespaces.
        ca_file: Certificates to trust, as PEM, in place of those of the machine.
        timeout_ms: For each of its answers.
    """

    address: str
    key: str
    mount: str = "transit"
    token: str | None = None
    role_id: str | None = None
    secret_id: str | None = None
    role_mount: str = "approle"
    namespace: str | None = None
    ca_file: str | None = None
    timeout_ms: int = 5000


class AwsKms(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="aws"
):
    """A symmetric key of AWS KMS.

    Attributes:
        region: Such as `eu-central-1`.
        key: Id, ARN or alias (`alias/segue`) of the key.
        access_key, secret_key: References to the credentials, `env:NAME` or `file:PATH`.
        session_token: Reference to that of temporary credentials; None without.
        endpoint: In place of the region's own.
        ca_file: Certificates to trust, as PEM, in place of those of the machine.
        timeout_ms: For each of its answers.
    """

    region: str
    key: str
    access_key: str = "env:AWS_ACCESS_KEY_ID"
    secret_key: str = "env:AWS_SECRET_ACCESS_KEY"  # noqa: S105 - a reference
    session_token: str | None = None
    endpoint: str | None = None
    ca_file: str | None = None
    timeout_ms: int = 5000


KmsSettings = VaultTransit | AwsKms


def service_of(settings: KmsSettings, environment: Mapping[str, str] | None = None) -> KeyService:
    """The service that settings name. Nothing is asked yet.

    Raises:
        KeysRefused: The settings contradict themselves.
    """
    # Here, because the HTTP client takes longer to import than most commands run.
    from segue.governance.kms_aws import Aws
    from segue.governance.kms_vault import Vault

    known = os.environ if environment is None else environment
    return Vault(settings, known) if isinstance(settings, VaultTransit) else Aws(settings, known)
