"""Protobuf to the engine's dataclasses and back, and all validation of requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crystalmesh.common.v1.model_pb2 import ModelInfo
from crystalmesh.relaxation.v1 import evaluation_pb2
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest, EvaluateResponse
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    ModelNotFoundError,
    UnknownEnumValueError,
    UnsupportedQuantityError,
)
from crystalmesh_common.runtime.intake import resolve_ids
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import to_status
from crystalmesh_relaxation.engine import Evaluation, PotentialInfo, Quantity
from crystalmesh_relaxation.worker import Outcome

_QUANTITIES: Mapping[int, Quantity] = {
    evaluation_pb2.QUANTITY_ENERGY: Quantity.ENERGY,
    evaluation_pb2.QUANTITY_FORCES: Quantity.FORCES,
    evaluation_pb2.QUANTITY_STRESS: Quantity.STRESS,
    evaluation_pb2.QUANTITY_MAGNETIC_MOMENTS: Quantity.MAGNETIC_MOMENTS,
}


@dataclass(frozen=True)
class EvaluateOrder:
    """A request that is right as a whole. Its crystals are still as they came."""

    ids: Sequence[str]
    quantities: frozenset[Quantity]


def evaluate_order(request: EvaluateRequest, potential: PotentialInfo, limits: Limits) -> EvaluateOrder:
    """Check a request; raises an InvalidRequestError or ModelNotFoundError when it fails whole."""
    check_model(request.model, potential)
    quantities = _quantities(request.quantities, potential)
    ids = resolve_ids(request.crystals, max_crystals=limits.crystals_per_call)
    return EvaluateOrder(ids, quantities)


def check_model(name: str, potential: PotentialInfo) -> None:
    """Raise ModelNotFoundError unless `name` is empty or the served potential."""
    if name not in ("", potential.name):
        raise ModelNotFoundError(f"no model {name[:80]!r} is served here", known=potential.name)


def _quantities(asked: Sequence[int], potential: PotentialInfo) -> frozenset[Quantity]:
    if not asked:
        return potential.quantities
    for value in asked:
        if value not in _QUANTITIES:
            raise UnknownEnumValueError(f"quantities: no Quantity has the value {value}", field="quantities")
    quantities = frozenset(_QUANTITIES[value] for value in asked)
    if missing := quantities - potential.quantities:
        names = ", ".join(sorted(quantity.value for quantity in missing))
        raise UnsupportedQuantityError(f"{potential.name} cannot give {names}", field="quantities")
    return quantities | {Quantity.ENERGY}


def evaluate_response(
    crystal_id: str, index: int, outcome: Outcome | CrystalMeshError, model: str
) -> EvaluateResponse:
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


def model_info(potential: PotentialInfo, *, ready: bool) -> ModelInfo:
    """The message that describes a potential."""
    return ModelInfo(
        name=potential.name,
        version=potential.version,
        is_default=True,
        ready=ready,
        license=potential.license,
        description=potential.description,
        atomic_numbers=potential.atomic_numbers,
        device=potential.device,
    )
