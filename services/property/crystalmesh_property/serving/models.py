"""The models of this server: which there are, which is asked for what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from crystalmesh_common.runtime.errors import (
    ModelLoadingError,
    ModelNotFoundError,
    UnsupportedQuantityError,
)
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_property.properties import Property
from crystalmesh_property.serving.prediction import LoadedModel, Plan, Question
from crystalmesh_property.serving.provenance import Provenance


class ServedModels:
    """Models by name, in the order of the folders. Safe to fill from one thread while others read."""

    def __init__(self, folders: Sequence[ModelFolder]) -> None:
        self._names = [folder.name for folder in folders]
        self._loaded: dict[str, LoadedModel] | None = None if folders else {}
        self._preferred: dict[Property, str] = {}

    def loaded(self, models: Sequence[LoadedModel]) -> None:
        """From now on these are known; what could not be loaded is among them with its reason."""
        by_name = {model.name: model for model in models}
        ready = [by_name[name] for name in self._names if by_name[name].ready]
        self._preferred = {
            name: min(able, key=lambda model: _test_mae(model, name)).name
            for name in Property
            if (able := [model for model in ready if name in model.properties])
        }
        self._loaded = by_name

    def all(self) -> list[LoadedModel]:
        """Every model, those that are preferred for something first."""
        loaded = self._loaded
        if loaded is None:
            return [LoadedModel(name, "it is still loading") for name in self._names]
        preferred = set(self._preferred.values())
        return [loaded[name] for name in sorted(self._names, key=lambda name: name not in preferred)]

    def is_default(self, name: str) -> bool:
        """Whether requests that name no model take something from this one."""
        return name in self._preferred.values()

    def plan(self, model: str, asked: Sequence[Property]) -> Plan:
        """Which model to ask for which property; all properties that there are, where none is asked for.

        Raises ModelNotFoundError for a model that is not served, UnsupportedQuantityError for a property that
        it, or any model here, does not predict, and ModelLoadingError while models load.
        """
        if model and model not in self._names:
            known = ", ".join(self._names)
            raise ModelNotFoundError(
                f"no model {model[:80]!r} is served here; there is {known or 'none'}", known=known
            )
        if self._loaded is None:
            raise ModelLoadingError("the models are still loading", retry_after_seconds=1.0)
        able: Mapping[Property, str] = self._preferred
        if model:
            named = self._loaded[model]
            if not named.ready:
                raise ModelNotFoundError(f"the model {model} cannot be used: {named.reason}", known="")
            able = dict.fromkeys(named.properties, model)
        _check_covered(asked, able, model)
        return tuple(Question(name, able[name]) for name in asked or able)


def _check_covered(asked: Sequence[Property], able: Mapping[Property, str], model: str) -> None:
    if not able:
        raise UnsupportedQuantityError("this server has no model that predicts anything; see ListModels")
    if missing := [name for name in asked if name not in able]:
        who = f"the model {model} does not predict" if model else "no model here predicts"
        names = ", ".join(missing)
        raise UnsupportedQuantityError(f"{who} {names}; there is {', '.join(able)}", properties=names)


def _test_mae(model: LoadedModel, name: Property) -> float:
    mae = Provenance.of(model.provenance).test_mae(name)
    return math.inf if mae is None else mae
