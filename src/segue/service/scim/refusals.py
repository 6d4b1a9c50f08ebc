"""What provisioning refuses, with the words that its clients know."""

from __future__ import annotations

from typing import Final

from segue.service.errors import ServiceError

SCIM_TYPES: Final = frozenset(
    {
        *("invalidFilter", "tooMany", "uniqueness", "mutability", "invalidSyntax"),
        *("invalidPath", "noTarget", "invalidValue", "invalidVers", "sensitive"),
    }
)
"""RFC 7644, table 9."""


class ScimRefusal(ServiceError):
    """A refusal with a `scimType` of RFC 7644, section 3.12."""

    def __init__(self, scim_type: str, detail: str, *, kind: str = "scim-refused") -> None:
        assert scim_type in SCIM_TYPES, scim_type
        super().__init__(kind, detail)
        self.scim_type = scim_type


def taken(what: str) -> ScimRefusal:
    """Another resource has it."""
    return ScimRefusal("uniqueness", what, kind="scim-taken")


def unknown(kind: str, name: str) -> ServiceError:
    """There is no such resource, or none any more."""
    return ServiceError("scim-unknown", f"There is no {kind} {name!r}.")
