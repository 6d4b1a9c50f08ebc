"""Settings of several workspaces in one folder: what the server says, what each says, what none may share.

A folder with `workspaces.toml` holds workspaces, each in a sub-folder of its own. What that file says counts for the
server, and for each workspace whose own `segue.toml` does not say otherwise. A workspace is called as its folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from segue.service.errors import ServiceError

SHARED_NAME: Final = "workspaces.toml"
"""Makes a folder one of workspaces."""
OF_THE_SERVER: Final = frozenset(
    {
        *("host", "port", "allowed_hosts", "behind_proxy", "tls_cert_file", "tls_key_file"),
        # Told apart by them, a name that is taken would answer otherwise than one that is free.
        *("max_body_bytes", "guesses_per_minute"),
    }
)
"""Settings of the one server, which no workspace has for itself."""
OF_EACH: Final = frozenset(
    {"workspace", "secrets_folder", "secret_variables", "connection_variables", "key_file", "audit_key_file"}
)
"""Settings that only a workspace has: shared, they would carry secrets or rights over a border."""
_KEYS: Final = ("SEGUE_KEY", "SEGUE_AUDIT_KEY")
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NAME_MAX: Final = 63


def is_name(name: str) -> bool:
    """A workspace of several can be called so: letters in lower case, digits, and single hyphens between them.

    Two hyphens would let variables of one workspace look like those of another; see `secret_variables`.
    """
    return len(name) <= _NAME_MAX and _NAME.fullmatch(name) is not None


def address_of(name: str) -> str:
    """Where a workspace answers, below the server's address."""
    return f"/w/{name}"


def secret_variables(name: str) -> str:
    """What the variables of the environment begin with that hold secrets of this workspace, and of no other."""
    return f"SEGUE_SECRET_{name.upper().replace('-', '_')}__"


def installation_of(folder: Path) -> Path | None:
    """The folder of workspaces that a data folder stands in; None where it is none of several."""
    above = folder.absolute().parent
    return above if (above / SHARED_NAME).is_file() else None


def below_shared(shared: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What is said for all, as one workspace gets it: its own address, its own name, its own secrets."""
    found = dict(shared)
    if isinstance(address := found.get("public_url"), str):
        found["public_url"] = address.rstrip("/") + address_of(name)
    return found


def refuse_shared(names: Iterable[str], source: str, environment: Mapping[str, str] | None = None) -> None:
    """What is said for all must not be what only one may have.

    Raises:
        ServiceError: `setting-refused`.
    """
    wrong = sorted(OF_EACH.intersection(names))
    if environment is not None:
        wrong += [variable for variable in _KEYS if environment.get(variable)]
    if wrong:
        raise ServiceError(
            "setting-refused",
            f"In {source}: `{wrong[0]}` would count for every workspace.",
            remedy="Say it in the `segue.toml` of each workspace that needs it.",
        )


def refuse_alone(own: Mapping[str, Any], merged: Mapping[str, Any], folder: Path) -> None:
    """What a workspace of several may not say for itself, and what it may not be.

    Raises:
        ServiceError: `setting-refused`.
    """
    wrong = sorted((OF_THE_SERVER | {"secret_variables"}).intersection(own))
    if wrong:
        raise ServiceError(
            "setting-refused",
            f"In the settings of {str(folder)!r}: `{wrong[0]}` is not for one of several workspaces to say.",
            remedy=f"Say it in {SHARED_NAME}, or serve this folder by a server of its own, elsewhere.",
        )
    if not is_name(folder.name):
        raise ServiceError(
            "setting-refused",
            f"{folder.name!r} cannot be the name of a workspace.",
            remedy="Up to 63 letters in lower case and digits, with single hyphens between them.",
        )
    if merged.get("workspace") != folder.name:
        raise ServiceError(
            "setting-refused",
            f"The settings of {str(folder)!r} call the workspace {merged.get('workspace')!r}.",
            remedy="Call the folder so: of several workspaces, each is called as its folder.",
        )
    if merged.get("allow_processes"):
        raise ServiceError(
            "setting-refused",
            f"{folder.name!r} is one of several workspaces, and programs that it starts could read the others.",
            remedy="Serve it by a server of its own, as a user of its own, or leave `allow_processes` off.",
        )


def environment_or(given: Mapping[str, str] | None) -> Mapping[str, str]:
    """The variables that count."""
    return os.environ if given is None else given
