"""Use case of models: list."""

from __future__ import annotations

from segue.ai import ModelRegistry
from segue.service.access import UseCases, governed
from segue.service.shapes import ModelView


class Models(UseCases):
    """Registered models."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    @governed("model.list")
    async def all(self) -> list[ModelView]:
        """Models by name and version."""
        return [
            ModelView(
                name=card.name,
                version=card.version,
                kind="python" if card.file is None else card.file.rpartition(".")[2],
                purpose=card.purpose or None,
                features=list(card.features),
                labels=list(card.labels),
            )
            for card in self._registry.all()
        ]
