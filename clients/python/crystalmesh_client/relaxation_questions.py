"""What RelaxationService is asked, the same from synchronous and from asyncio code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from crystalmesh.relaxation.v1 import evaluation_pb2
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest
from crystalmesh.relaxation.v1.relaxation_pb2 import RelaxRequest
from crystalmesh_client.dynamics import (
    DynamicsFrame,
    DynamicsOptions,
    DynamicsReport,
    dynamics_frame_from,
    dynamics_report_from,
)
from crystalmesh_client.questions import Question, about_crystals, frame_reader, outcome_reader
from crystalmesh_client.relax_options import RelaxOptions
from crystalmesh_client.results import Evaluation, Failed, Relaxation, evaluation_from, relaxation_from
from crystalmesh_client.trajectories import RelaxationFrame, relaxation_frame_from
from crystalmesh_common.crystal.structure import Crystal

SERVICE = "relaxation"
QuantityName = Literal["energy", "forces", "stress", "magnetic_moments"]
ALL_QUANTITIES: tuple[QuantityName, ...] = ("energy", "forces", "stress", "magnetic_moments")

_QUANTITIES: Mapping[str, evaluation_pb2.Quantity.ValueType] = {
    "energy": evaluation_pb2.QUANTITY_ENERGY,
    "forces": evaluation_pb2.QUANTITY_FORCES,
    "stress": evaluation_pb2.QUANTITY_STRESS,
    "magnetic_moments": evaluation_pb2.QUANTITY_MAGNETIC_MOMENTS,
}

_read_evaluation = outcome_reader("evaluation", evaluation_from)
_read_relaxation = outcome_reader("relaxation", relaxation_from)
_read_relaxation_frames = frame_reader(relaxation_frame_from, _read_relaxation)
_read_dynamics = frame_reader(dynamics_frame_from, outcome_reader("report", dynamics_report_from))


def evaluations(quantities: Sequence[QuantityName], model: str) -> Question[Crystal, Evaluation | Failed]:
    """Ask for energies and their derivatives; ValueError for a quantity that there is not."""
    unknown = [name for name in quantities if name not in _QUANTITIES]
    if unknown:
        raise ValueError(f"no quantity {unknown[0]!r}; there are {', '.join(_QUANTITIES)}")
    asked = EvaluateRequest(quantities=[_QUANTITIES[name] for name in quantities], model=model)
    return about_crystals("Evaluate", asked, _read_evaluation)


def relaxations(options: RelaxOptions | None, model: str) -> Question[Crystal, Relaxation | Failed]:
    """Ask where crystals end."""
    asked = RelaxRequest(options=(options or RelaxOptions()).to_proto(), model=model)
    return about_crystals("Relax", asked, _read_relaxation)


def relaxations_with_frames(
    options: RelaxOptions | None, every: int, model: str
) -> Question[Crystal, RelaxationFrame | Relaxation | Failed]:
    """Ask where crystals end, and for every so many steps on the way; ValueError unless that is positive."""
    if every < 1:
        raise ValueError(f"every must be at least 1, not {every}")
    asked = RelaxRequest(
        options=(options or RelaxOptions()).to_proto(), model=model, frame_interval_steps=every
    )
    return about_crystals("Relax", asked, _read_relaxation_frames)


def dynamics_runs(
    options: DynamicsOptions, model: str
) -> Question[Crystal, DynamicsFrame | DynamicsReport | Failed]:
    """Ask for trajectories in time."""
    return about_crystals("RunMolecularDynamics", options.to_proto(model), _read_dynamics)
