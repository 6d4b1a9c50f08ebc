"""The mapping of the settings: roles and groups here by group there. It alone decides, and it never gives `owner`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from segue.service.settings import OidcSettings


def rights_of(settings: OidcSettings | None, belongs: Collection[str]) -> tuple[list[str], list[str]]:
    """Roles and groups of whoever belongs to these groups there."""
    if settings is None:
        return [], []
    return _mapped(settings.roles, belongs), _mapped(settings.groups, belongs)


def _mapped(mapping: Mapping[str, list[str]], belongs: Collection[str]) -> list[str]:
    return sorted({name for group, names in mapping.items() if group in belongs for name in names})
