"""Protobuf to the engine's dataclasses and back, and all validation of requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from crystalmesh.common.v1.model_pb2 import ModelInfo
from crystalmesh.relaxation.v1 import evaluation_pb2
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest, EvaluateResponse
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    UnknownEnumValueError,
    UnsupportedQuantityError,
)
from crystalmesh_common.runtime.intake import resolve_ids
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import to_status
from crystalmesh_relaxation.engine import Evaluation, PotentialInfo, Quantity
from crystalmesh_relaxation.models import Models

QUANTITIES: Mapping[evaluation_pb2.Quantity.ValueType, Quantity] = {
    evaluation_pb2.QUANTITY_ENERGY: Quantity.ENERGY,
    evaluation_pb2.QUANTITY_FORCES: Quantity.FORCES,
    evaluation_pb2.QUANTITY_STRESS: Quantity.STRESS,
    evaluation_pb2.QUANTITY_MAGNETIC_MOMENTS: Quantity.MAGNETIC_MOMENTS,
}


@dataclass(frozen=True)
class EvaluateOrder:
    """A request that is right as a whole. Its crystals are still as they came."""

    model: str
    ids: Sequence[str]
    quantities: frozenset[Quantity]


def evaluate_order(request: EvaluateRequest, models: Models, limits: Limits) -> EvaluateOrder:
    """Check a request; raises an InvalidRequestError or what `Models.resolve` raises when it fails whole."""
    potential = models.resolve(request.model)
    quantities = _quantities(request.quantities, potential)
    ids = resolve_ids(request.crystals, max_crystals=limits.crystals_per_call)
    return EvaluateOrder(potential.name, ids, quantities)


def _quantities(
    asked: Sequence[evaluation_pb2.Quantity.ValueType], potential: PotentialInfo
) -> frozenset[Quantity]:
    if not asked:
        return potential.quantities
    for value in asked:
        if value not in QUANTITIES:
            raise UnknownEnumValueError(f"quantities: no Quantity has the value {value}", field="quantities")
    quantities = frozenset(QUANTITIES[value] for value in asked)
    check_quantities(potential, quantities, field="quantities")
    return quantities | {Quantity.ENERGY}


def check_quantities(
    potential: PotentialInfo, needed: AbstractSet[Quantity], why: str = "", **details: Any
) -> None:
    """Raise UnsupportedQuantityError unless the potential gives all that is needed; `why` ends the line."""
    if missing := needed - potential.quantities:
        names = ", ".join(sorted(quantity.value for quantity in missing))
        raise UnsupportedQuantityError(f"{potential.name} cannot give {names}{why}", **details)


def evaluate_response(crystal_id: str, index: int, outcome: object, model: str) -> EvaluateResponse:
    """The message that reports one crystal's outcome."""
    response = EvaluateResponse(crystal_id=crystal_id, index=index)
    match outcome:
        case CrystalMeshError():
            response.error.CopyFrom(to_status(outcome))
        case Evaluation():
            fill_evaluation(response.evaluation, outcome, model)
        case _:
            raise TypeError(f"an evaluation cannot end in {type(outcome).__name__}")
    return response


def fill_evaluation(message: evaluation_pb2.Evaluation, evaluation: Evaluation, model: str) -> None:
    """Write what a potential said into a message; what was not asked for stays empty."""
    message.energy_ev = evaluation.energy_ev
    message.energy_ev_per_atom = evaluation.energy_ev_per_atom
    message.model = model
    if evaluation.forces_ev_per_angstrom is not None:
        message.forces_ev_per_angstrom.extend(evaluation.forces_ev_per_angstrom.ravel().tolist())
    if evaluation.stress_gpa is not None:
        message.stress_gpa.extend(evaluation.stress_gpa.ravel().tolist())
    if evaluation.magnetic_moments_mu_b is not None:
        message.magnetic_moments_mu_b.extend(evaluation.magnetic_moments_mu_b.tolist())


def model_infos(models: Models, *, ready: bool) -> list[ModelInfo]:
    """The messages that describe the potentials, the default first; of one that still loads, its name."""
    return [_model_info(name, models.get(name), models, ready=ready) for name in models.names]


def _model_info(name: str, potential: PotentialInfo | None, models: Models, *, ready: bool) -> ModelInfo:
    message = ModelInfo(name=name, is_default=name == models.names[0])
    if potential is not None:
        message.MergeFrom(
            ModelInfo(
                version=potential.version,
                ready=ready,
                license=potential.license,
                description=potential.description,
                atomic_numbers=potential.atomic_numbers,
                device=potential.device,
            )
        )
    return message
