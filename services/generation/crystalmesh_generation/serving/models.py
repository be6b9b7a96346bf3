"""The models of this server: which there are, and which is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crystalmesh_common.runtime.errors import ModelLoadingError, ModelNotFoundError
from crystalmesh_common.runtime.model_folders import ModelFolder


@dataclass(frozen=True)
class ModelFacts:
    """What a model folder turned out to be: a model, or the reason why it is none."""

    name: str
    reason: str = ""  # why it cannot write; empty for one that can
    version: str = ""  # of its weights
    engine: str = ""
    max_atoms: int = 0
    max_tokens: int = 0
    temperature: float = 1.0  # unless asked otherwise
    properties: tuple[str, ...] = ()  # of its regression head, by the names in the API
    parameters: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)  # as its training wrote it

    @property
    def ready(self) -> bool:
        return not self.reason


class ServedModels:
    """Models by name, in the order of the folders. Safe to fill from one thread while others read."""

    def __init__(self, folders: Sequence[ModelFolder]) -> None:
        self._names = [folder.name for folder in folders]
        self._loaded: dict[str, ModelFacts] | None = None if folders else {}

    def loaded(self, models: Sequence[ModelFacts]) -> None:
        """From now on these are known; what could not be loaded is among them with its reason."""
        self._loaded = {model.name: model for model in models}

    def all(self) -> list[ModelFacts]:
        """Every model, the default first."""
        loaded = self._loaded
        if loaded is None:
            return [ModelFacts(name, "it is still loading") for name in self._names]
        default = self.default
        return sorted((loaded[name] for name in self._names), key=lambda model: model != default)

    @property
    def default(self) -> ModelFacts | None:
        """The first that can write; None where there is none."""
        loaded = self._loaded or {}
        return next((loaded[name] for name in self._names if name in loaded and loaded[name].ready), None)

    def named(self, name: str) -> ModelFacts:
        """The model of this name, the default for an empty one.

        Raises ModelNotFoundError where there is none that can write, and ModelLoadingError while models load.
        """
        known = ", ".join(self._names)
        if name and name not in self._names:
            raise ModelNotFoundError(
                f"no model {name[:80]!r} is served here; there is {known or 'none'}", known=known
            )
        if self._loaded is None:
            raise ModelLoadingError("the models are still loading", retry_after_seconds=1.0)
        found = self._loaded[name] if name else self.default
        if found is None:
            raise ModelNotFoundError(
                "no language model is served here; ionic substitution goes without one", known=""
            )
        if not found.ready:
            raise ModelNotFoundError(f"the model {name} cannot be used: {found.reason}", known="")
        return found
