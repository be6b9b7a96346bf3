"""Loaded models as one function from crystals to predictions: no grpc, no protobuf, one thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime.devices import memory_errors_typed
from crystalmesh_common.runtime.durable import file_sha256
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    DataCorruptError,
    ModelFailedError,
    OutOfMemoryError,
)
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_property.graphs.batches import BatchSize, collate, even_batches
from crystalmesh_property.graphs.graph import CrystalGraph, GraphOptions, build_graph
from crystalmesh_property.model.files import TrainedModel, load_model
from crystalmesh_property.model.predicting import Estimates, estimate
from crystalmesh_property.properties import SCALES, Property
from crystalmesh_property.serving.domain import TrainingDomain
from crystalmesh_property.serving.prediction import (
    DomainWarning,
    LoadedModel,
    Plan,
    PredictedValue,
    Prediction,
    Question,
)

_log = structlog.get_logger(__name__)

_TOGETHER = BatchSize(crystals=64, edges=20_000)
"""What networks are given at a time; a crystal alone may be more."""

_STANDARD_DEVIATIONS = 1.96
"""Of a normal distribution, in half of its 95% interval."""


@dataclass(frozen=True, eq=False)
class _Able:
    """A model that can predict."""

    info: LoadedModel
    trained: TrainedModel
    domain: TrainingDomain

    @property
    def properties(self) -> tuple[Property, ...]:
        return self.trained.network.properties


@dataclass(frozen=True, eq=False)
class _Answers:
    """What a model says of c crystals, (c, p); NaN is not known."""

    values: FloatArray
    uncertainties: FloatArray


class Predictor:
    """Models on one device. `load` makes one."""

    def __init__(self, models: Mapping[str, _Able], infos: Sequence[LoadedModel], device: str) -> None:
        self._models = models
        self._device = device
        self.infos = infos

    @classmethod
    def load(cls, folders: Sequence[ModelFolder], device: str) -> Predictor:
        """Load what can be loaded and predict with it once; `infos` says of each folder what became of it."""
        models: dict[str, _Able] = {}
        infos: list[LoadedModel] = []
        for folder in folders:
            try:
                able = _load(folder, device)
                _warm_up(cls({folder.name: able}, (able.info,), device))
            except CrystalMeshError as error:
                _log.error("model_not_loaded", name=folder.name, path=str(folder.path), reason=error.message)
                infos.append(LoadedModel(folder.name, error.message))
                continue
            models[folder.name] = able
            infos.append(able.info)
        return cls(models, infos, device)

    def predict(self, crystals: Sequence[Crystal], plan: Plan) -> list[Prediction | CrystalMeshError]:
        """One outcome per crystal that passed `check_crystal`, in order.

        What is said of a crystal depends on the others by rounding only. Raises OutOfMemoryError, or whatever
        a network raises, when the crystals cannot be done together.
        """
        failed: dict[int, CrystalMeshError] = {}
        answers: dict[str, _Answers] = {}
        warnings: list[list[DomainWarning]] = [[] for _ in crystals]
        built: dict[GraphOptions, dict[int, CrystalGraph]] = {}
        for name in dict.fromkeys(question.model for question in plan):
            model = self._models[name]
            options = model.trained.graphs
            if options not in built:  # models mostly agree on them, and graphs take most of the time
                built[options] = _graphs(crystals, options, failed)
            answers[name] = self._answers(model, built[options], len(crystals))
            for position, graph in built[options].items():
                warnings[position].extend(model.domain.warnings(graph, name))
        return [
            failed[position]
            if position in failed
            else self._prediction(position, plan, answers, warnings[position])
            for position in range(len(crystals))
        ]

    def _answers(self, model: _Able, graphs: Mapping[int, CrystalGraph], crystals: int) -> _Answers:
        positions = np.array(list(graphs), dtype=np.int64)
        edges = np.array([len(graph.targets) for graph in graphs.values()], dtype=np.int64)
        values = np.full((crystals, len(model.properties)), np.nan)
        uncertainties = np.full_like(values, np.nan)
        for members in even_batches(edges, np.arange(len(positions)), _TOGETHER):
            chosen = positions[members]
            with memory_errors_typed():
                batch = collate([graphs[position] for position in chosen.tolist()]).to(self._device)
                estimates = estimate(model.trained.network, batch)
            values[chosen], uncertainties[chosen] = _in_units(model, estimates)
        return _Answers(values, uncertainties)

    def _prediction(
        self,
        position: int,
        plan: Plan,
        answers: Mapping[str, _Answers],
        warnings: Sequence[DomainWarning],
    ) -> Prediction | CrystalMeshError:
        values = []
        for name, model in plan:
            found, able = answers[model], self._models[model]
            column = able.properties.index(name)
            value = float(found.values[position, column])
            uncertainty = float(found.uncertainties[position, column])
            if not np.isfinite(value):
                return ModelFailedError(f"{model} gave a {name} that is not finite for this crystal")
            known = uncertainty if np.isfinite(uncertainty) else None
            values.append(PredictedValue(name, value, known, model, able.info.version))
        return Prediction(values, warnings)


def _load(folder: ModelFolder, device: str) -> _Able:
    """Raises ModelNotFoundError or DataCorruptError."""
    trained = load_model(folder.path, device)
    try:
        domain = TrainingDomain.of(trained.domain)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataCorruptError(f"the model in {folder.path} does not fit this version: {error!r}") from error
    info = LoadedModel(
        name=folder.name,
        properties=trained.network.properties,
        sha256=file_sha256(folder.path / "model.safetensors"),
        parameters=sum(values.numel() for values in trained.network.parameters()),
        atomic_numbers=domain.atomic_numbers,
        provenance=trained.provenance,
    )
    return _Able(info, trained, domain)


def _warm_up(predictor: Predictor) -> None:
    """Predict for a crystal that everybody knows; raises ModelFailedError where that fails."""
    cell = 5.43 * np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
    silicon = Crystal(cell, np.array([14, 14]), np.array([[0.0, 0, 0], [0.25, 0.25, 0.25]]))
    plan = tuple(Question(name, info.name) for info in predictor.infos for name in info.properties)
    try:
        (outcome,) = predictor.predict([silicon], plan)
    except Exception as error:
        raise ModelFailedError(f"the model cannot predict: {error}") from error
    if isinstance(outcome, CrystalMeshError):
        raise outcome


def _graphs(
    crystals: Sequence[Crystal], options: GraphOptions, failed: dict[int, CrystalMeshError]
) -> dict[int, CrystalGraph]:
    """The graphs of crystals by position; why a crystal has none goes to `failed`."""
    graphs: dict[int, CrystalGraph] = {}
    for position, crystal in enumerate(crystals):
        try:
            graphs[position] = build_graph(crystal, options)
        except CrystalMeshError as error:
            failed[position] = error
        except MemoryError:
            failed[position] = OutOfMemoryError("the server ran out of memory on this item")
        except Exception as error:  # noqa: BLE001 -- whatever a library raises is the outcome of its crystal
            _log.error("graph_failed", exc_info=error)
            failed[position] = ModelFailedError(
                "this crystal could not be made a graph; the operator finds the cause in the log"
            )
    return graphs


def _in_units(model: _Able, estimates: Estimates) -> tuple[FloatArray, FloatArray]:
    """Values and standard deviations in the units of the properties, (c, p).

    A deviation is half the width of the 95% interval over 1.96. Of a quantity with a bound that is the width
    before the bound cuts it; of a modulus, whose interval is even on a logarithmic scale, the mean of both
    sides.
    """
    names = model.properties
    factors = [model.trained.interval_factors.get(name, np.nan) for name in names]
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is told so
        values, lower, upper = estimates.in_units(names, factors)
        logarithmic = np.array([SCALES[name].logarithmic for name in names])
        half = np.where(logarithmic, (upper - lower) / 2, upper - values)
    return values, half / _STANDARD_DEVIATIONS
