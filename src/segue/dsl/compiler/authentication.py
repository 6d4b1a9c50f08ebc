"""Authentication policies, resolved: names looked up, secrets as references.

The compiled policy has the shape of the document's, with `{use: secret}` replaced by `{secret: reference}`.
"""

from __future__ import annotations

from typing import Any, Final

from segue.core.plan import Program
from segue.dsl.compiler.build import DEFINITION, Build, Scope, as_object, below, listed
from segue.dsl.compiler.programs import NOTHING, combine, constant, template
from segue.dsl.expressions import is_wrapped
from segue.dsl.schema.authentication import SCHEMES
from segue.types import SecretText

_PLACE: Final = DEFINITION.with_secrets()
_SHOWN: Final = {"basic": "Basic", "digest": "Digest", "bearer": "Bearer", "oauth2": "Bearer", "oidc": "Bearer"}
"""`$authorization.scheme`: what stands in the header."""

_SENSITIVE: Final = ("password", "token", "client.secret", "client.assertion", "subject.token", "actor.token")


def authentication(build: Build, value: Any, pointer: str, scope: Scope) -> tuple[Program, str | None]:
    """Compile a policy, written here or named; and the scheme that it puts into the header."""
    if not isinstance(value, dict) or not build.is_sound(pointer):
        return constant(None), None
    if "use" not in value:
        return policy(build, value, pointer, scope)
    name = value["use"]
    named = build.component("authentications", name)
    if not isinstance(named, dict):
        known = listed(sorted(as_object(build.use.get("authentications"))))
        message = f"there is no {name!r} in `use.authentications`"
        build.error("unknown-component", below(pointer, "use"), message, f"define it there; known: {known}")
        return NOTHING, None
    return policy(build, named, below("/use/authentications", name), scope)


def policy(build: Build, value: dict[str, Any], pointer: str, scope: Scope) -> tuple[Program, str | None]:
    """Compile a policy that is written at this pointer; and the scheme that it puts into the header."""
    if not build.is_sound(pointer):
        return NOTHING, None
    scheme = next(scheme for scheme in SCHEMES if scheme in value)
    fields = _fields(build, value[scheme], below(pointer, scheme), scope)
    return combine({scheme: fields}), _SHOWN[scheme]


def _fields(build: Build, fields: dict[str, Any], pointer: str, scope: Scope) -> Program:
    if "use" in fields:
        name = fields["use"]
        if not isinstance(name, str) or name not in build.secrets:
            message = f"the secret {name!r} is not declared"
            build.error("undeclared-secret", below(pointer, "use"), message, "add it to the list `use.secrets`")
            return NOTHING
        return combine({"secret": constant(SecretText.of(name))})
    for path in _SENSITIVE:
        _warn_if_inline(build, fields, path.split("."), pointer)
    return template(build, fields, pointer, scope, _PLACE)


def _warn_if_inline(build: Build, fields: dict[str, Any], path: list[str], pointer: str) -> None:
    held: Any = fields
    for key in path:
        held = as_object(held).get(key)
    if isinstance(held, str) and held and not is_wrapped(held):
        warn_inline_secret(build, below(pointer, *path), path[-1])


def warn_inline_secret(build: Build, pointer: str, what: str) -> None:
    """Warn of a secret in plain sight."""
    message = f"the {what} stands here for everybody to read"
    remedy = "declare a secret in `use.secrets` and write ${ $secrets.NAME }"
    build.warn("inline-secret", pointer, message, remedy)
