"""Which attributes of people and groups are kept, as data; and the three resources that describe the service.

Kept is what signing in, routing and showing need, and no more of a person than that. Attributes that directories send
besides are taken and dropped.

Source: RFC 7643, sections 4, 5, 6, 7 and 8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from segue.service.scim.filters import FILTER_MAX

USER_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
_ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_META: Final = "urn:ietf:params:scim:schemas:core:2.0"
LIST_URN: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
PATCH_URN: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR_URN: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
PREFIX: Final = "/scim/v2"
COUNT_MAX: Final = 200
TEXT_MAX: Final = 500
"""Characters of one text of a person or group."""


class Attribute(NamedTuple):
    """An attribute as RFC 7643, section 7 describes it.

    Attributes:
        exact: Upper and lower case differ.
        max: Values of a multi-valued attribute.
    """

    name: str
    type: str = "string"
    multi: bool = False
    exact: bool = False
    required: bool = False
    read_only: bool = False
    unique: bool = False
    subs: tuple[Attribute, ...] = ()
    about: str = ""
    max: int = 50

    def sub(self, name: str) -> Attribute | None:
        """The sub-attribute of this name, however it is written."""
        return _named(self.subs, name)


class Kind(NamedTuple):
    """A type of resource: `dropped` are attributes, in lower case, that clients may send and nobody keeps."""

    name: str
    urn: str
    endpoint: str
    about: str
    attributes: tuple[Attribute, ...]
    dropped: frozenset[str] = frozenset()

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name, however it is written; common ones too."""
        return _named((*self.attributes, *_COMMON), name)

    def plain(self, name: str) -> str:
        """A name without the URN of this schema before it."""
        prefix = self.urn.lower() + ":"
        return name[len(prefix) :] if name.lower().startswith(prefix) else name

    def drops(self, name: str) -> bool:
        """An attribute, or one of an extension, that is taken and dropped."""
        lower = name.lower()
        return lower.startswith("urn:") or re.split(r"[.\[]", lower)[0] in self.dropped


def _named(attributes: Iterable[Attribute], name: str) -> Attribute | None:
    lower = name.lower()
    return next((attribute for attribute in attributes if attribute.name.lower() == lower), None)


_COMMON: Final = (
    Attribute("id", exact=True, read_only=True),
    Attribute("externalId", exact=True),
    Attribute("schemas", multi=True, exact=True, read_only=True),
    Attribute(
        "meta",
        "complex",
        read_only=True,
        subs=(
            *(Attribute(name, exact=True, read_only=True) for name in ("resourceType", "location", "version")),
            *(Attribute(name, "dateTime", exact=True, read_only=True) for name in ("created", "lastModified")),
        ),
    ),
)

USERS: Final = Kind(
    "User",
    USER_URN,
    "/Users",
    "A person who may sign in through the provider.",
    (
        Attribute("userName", required=True, unique=True, about="What the person signs in with there."),
        Attribute(
            "name",
            "complex",
            subs=(Attribute("formatted"), Attribute("familyName"), Attribute("givenName")),
            about="Their name in parts.",
        ),
        Attribute("displayName", about="Their name as lists show it."),
        Attribute(
            "emails",
            "complex",
            multi=True,
            subs=(Attribute("value"), Attribute("type"), Attribute("primary", "boolean")),
            about="Addresses; the primary one, or one of type work, can tell who signs in.",
        ),
        Attribute("active", "boolean", about="False ends every session and token at once."),
        Attribute(
            "groups",
            "complex",
            multi=True,
            read_only=True,
            subs=(Attribute("value", exact=True, read_only=True), Attribute("display", read_only=True)),
            about="Groups that name the person as a member.",
        ),
    ),
    frozenset(
        {
            *("nickname", "profileurl", "title", "usertype", "preferredlanguage", "locale", "timezone", "password"),
            *("phonenumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509certificates"),
        }
    ),
)
GROUPS: Final = Kind(
    "Group",
    GROUP_URN,
    "/Groups",
    "A group of the directory; the mapping of the settings says what it means here.",
    (
        Attribute("displayName", required=True, unique=True, about="The name that the mapping knows it by."),
        Attribute(
            "members",
            "complex",
            multi=True,
            # Only ids are kept; the rest is told from who they are.
            subs=(Attribute("value", exact=True), Attribute("display", read_only=True)),
            about="People, by id.",
            max=50_000,
        ),
    ),
)


def service_config(body_bytes_max: int) -> dict[str, Any]:
    """What this service can do (RFC 7643, section 5)."""
    no = {"supported": False}
    return {
        "schemas": [f"{_META}:ServiceProviderConfig"],
        "patch": {"supported": True},
        "bulk": {**no, "maxOperations": 0, "maxPayloadSize": body_bytes_max},
        "filter": {"supported": True, "maxResults": COUNT_MAX},
        "changePassword": no,
        "sort": no,
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Token of a service account",
                "description": f"A bearer token with the scope `provision`; filters up to {FILTER_MAX} characters.",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{PREFIX}/ServiceProviderConfig"},
    }


def resource_types() -> list[dict[str, Any]]:
    """What is provisioned (RFC 7643, section 6)."""
    return [
        {
            "schemas": [f"{_META}:ResourceType"],
            "id": kind.name,
            "name": kind.name,
            "endpoint": kind.endpoint,
            "description": kind.about,
            "schema": kind.urn,
            "schemaExtensions": [],
            "meta": {"resourceType": "ResourceType", "location": f"{PREFIX}/ResourceTypes/{kind.name}"},
        }
        for kind in (USERS, GROUPS)
    ]


def schemas() -> list[dict[str, Any]]:
    """Attributes that are kept (RFC 7643, section 7)."""
    return [
        {
            "schemas": [f"{_META}:Schema"],
            "id": kind.urn,
            "name": kind.name,
            "description": kind.about,
            "attributes": [_described(attribute) for attribute in kind.attributes],
            "meta": {"resourceType": "Schema", "location": f"{PREFIX}/Schemas/{kind.urn}"},
        }
        for kind in (USERS, GROUPS)
    ]


def _described(attribute: Attribute) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": attribute.name,
        "type": attribute.type,
        "multiValued": attribute.multi,
        "description": attribute.about or attribute.name,
        "required": attribute.required,
        "caseExact": attribute.exact,
        "mutability": "readOnly" if attribute.read_only else "readWrite",
        "returned": "default",
        "uniqueness": "server" if attribute.unique else "none",
    }
    if attribute.subs:
        told["subAttributes"] = [_described(sub) for sub in attribute.subs]
    return told
