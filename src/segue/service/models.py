"""Use case of models: the register of those there are, whose they are, and what asks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from segue.ai import ModelRegistry
from segue.service.access import UseCases, governed
from segue.service.errors import ServiceError
from segue.service.models_used import models_used
from segue.service.shapes import ModelView

if TYPE_CHECKING:
    from segue.service.definitions import Definitions


class Models(UseCases):
    """Registered models.

    Args:
        owners: Whom models belong to, by name; changes as it is changed.
    """

    def __init__(self, registry: ModelRegistry, owners: Mapping[str, str], definitions: Definitions) -> None:
        self._registry = registry
        self._owners = owners
        self._definitions = definitions

    @governed("model.list")
    async def all(self) -> list[ModelView]:
        """Models by name and version."""
        used = self._used()
        return [
            ModelView(
                name=card.name,
                version=card.version,
                kind="python" if card.file is None else card.file.rpartition(".")[2],
                purpose=card.purpose or None,
                owner=self._owners.get(card.name),
                risk=card.risk or None,
                use_cases=list(card.use_cases),
                used_by=used.get(card.name, []),
                features=list(card.features),
                labels=list(card.labels),
            )
            for card in self._registry.all()
        ]

    def _used(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for namespace, name in sorted(self._definitions.names()):
            latest = self._definitions.find(namespace, name, "latest")
            try:
                used = {} if latest is None else models_used(self._definitions.plan(latest.digest))
            except ServiceError:
                continue  # This release cannot compile it, so it asks nothing either.
            for model in used:
                found.setdefault(model, []).append(f"{namespace}/{name}")
        return found
