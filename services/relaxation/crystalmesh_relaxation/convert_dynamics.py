"""Molecular dynamics: protobuf to tasks, and their frames and reports back."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from crystalmesh.relaxation.v1 import dynamics_pb2
from crystalmesh.relaxation.v1.dynamics_pb2 import RunMolecularDynamicsRequest, RunMolecularDynamicsResponse
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InvalidFieldError,
    UnknownEnumValueError,
)
from crystalmesh_common.runtime.intake import resolve_ids
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import to_status
from crystalmesh_relaxation.convert import check_quantities
from crystalmesh_relaxation.dynamics.task import (
    DynamicsFrame,
    DynamicsOptions,
    DynamicsReport,
    DynamicsTask,
    Ensemble,
)
from crystalmesh_relaxation.engine import PotentialInfo
from crystalmesh_relaxation.models import Models

MAX_STEPS = 10_000_000
MAX_TIME_STEP_FS = 10.0
MAX_TEMPERATURE_KELVIN = 20_000.0
_DEFAULTS = DynamicsOptions(steps=1)

_ENSEMBLES: Mapping[dynamics_pb2.Ensemble.ValueType, Ensemble] = {
    dynamics_pb2.ENSEMBLE_UNSPECIFIED: Ensemble.NVT_LANGEVIN,
    dynamics_pb2.ENSEMBLE_NVE: Ensemble.NVE,
    dynamics_pb2.ENSEMBLE_NVT_LANGEVIN: Ensemble.NVT_LANGEVIN,
    dynamics_pb2.ENSEMBLE_NPT: Ensemble.NPT,
}


@dataclass(frozen=True)
class DynamicsOrder:
    """A request that is right as a whole. Its crystals are still as they came."""

    potential: PotentialInfo
    ids: Sequence[str]
    options: DynamicsOptions


def dynamics_order(request: RunMolecularDynamicsRequest, models: Models, limits: Limits) -> DynamicsOrder:
    """Check a request.

    Raises an InvalidRequestError, an UnsupportedQuantityError, or what `Models.resolve` raises.
    """
    potential = models.resolve(request.model)
    options = _options(request)
    why = f", which {options.ensemble.value} dynamics needs"
    check_quantities(potential, options.quantities, why, field="ensemble")
    ids = resolve_ids(request.crystals, max_crystals=limits.crystals_per_call)
    return DynamicsOrder(potential, ids, options)


async def dynamics_tasks(
    crystals: AsyncIterator[Crystal | CrystalMeshError], options: DynamicsOptions
) -> AsyncIterator[DynamicsTask | CrystalMeshError]:
    """The task of each crystal, or why there is none, in order."""
    async for crystal in crystals:
        yield crystal if isinstance(crystal, CrystalMeshError) else DynamicsTask(crystal, options)


def dynamics_response(crystal_id: str, index: int, outcome: object) -> RunMolecularDynamicsResponse:
    """The message that brings a frame, a report, or an error."""
    response = RunMolecularDynamicsResponse(crystal_id=crystal_id, index=index)
    match outcome:
        case CrystalMeshError():
            response.error.CopyFrom(to_status(outcome))
        case DynamicsFrame():
            _fill_frame(response.frame, outcome)
        case DynamicsReport():
            _fill_report(response.report, outcome)
        case _:
            raise TypeError(f"a run cannot end in {type(outcome).__name__}")
    return response


def _fill_frame(message: dynamics_pb2.DynamicsFrame, frame: DynamicsFrame) -> None:
    message.step = frame.step
    message.crystal.CopyFrom(crystal_to_proto(frame.crystal))
    message.velocities_angstrom_per_fs.extend(frame.velocities_angstrom_per_fs.ravel().tolist())
    message.potential_energy_ev = frame.potential_energy_ev
    message.kinetic_energy_ev = frame.kinetic_energy_ev
    message.temperature_kelvin = frame.temperature_kelvin


def _fill_report(message: dynamics_pb2.DynamicsReport, report: DynamicsReport) -> None:
    message.steps = report.steps
    message.stable = report.stable
    message.instability = report.instability
    message.energy_drift_mev_per_atom_per_ps = report.energy_drift_mev_per_atom_per_ps
    message.mean_temperature_kelvin = report.mean_temperature_kelvin
    message.shortest_distance_angstrom = report.shortest_distance_angstrom
    message.bonds_kept_fraction = report.bonds_kept_fraction
    message.final.CopyFrom(crystal_to_proto(report.final))


def _options(request: RunMolecularDynamicsRequest) -> DynamicsOptions:
    if not 1 <= request.steps <= MAX_STEPS:
        raise InvalidFieldError(f"steps must be 1 to {MAX_STEPS:,}", field="steps")
    if request.ensemble not in _ENSEMBLES:
        raise UnknownEnumValueError(f"ensemble: no such value: {request.ensemble}", field="ensemble")
    time_step_fs = _given(request, "time_step_fs", _DEFAULTS.time_step_fs)
    if not 0 < time_step_fs <= MAX_TIME_STEP_FS:
        raise InvalidFieldError(
            f"time_step_fs must be above 0 and at most {MAX_TIME_STEP_FS:g}", field="time_step_fs"
        )
    temperature_kelvin = _given(request, "temperature_kelvin", _DEFAULTS.temperature_kelvin)
    if not 0 <= temperature_kelvin <= MAX_TEMPERATURE_KELVIN:
        raise InvalidFieldError(
            f"temperature_kelvin must be 0 to {MAX_TEMPERATURE_KELVIN:,.0f}", field="temperature_kelvin"
        )
    friction_per_fs = _given(request, "friction_per_fs", _DEFAULTS.friction_per_fs)
    if not 0 < friction_per_fs < math.inf:
        raise InvalidFieldError("friction_per_fs must be a positive number", field="friction_per_fs")
    pressure_gpa = _given(request, "pressure_gpa", _DEFAULTS.pressure_gpa)
    if not math.isfinite(pressure_gpa):
        raise InvalidFieldError("pressure_gpa must be a number", field="pressure_gpa")
    return DynamicsOptions(
        steps=request.steps,
        ensemble=_ENSEMBLES[request.ensemble],
        time_step_fs=time_step_fs,
        temperature_kelvin=temperature_kelvin,
        friction_per_fs=friction_per_fs,
        pressure_gpa=pressure_gpa,
        frame_interval_steps=int(_given(request, "frame_interval_steps", _DEFAULTS.frame_interval_steps)),
        seed=request.seed,
    )


def _given(request: RunMolecularDynamicsRequest, field: str, default: float) -> float:
    """What an optional field holds, else the default."""
    return float(getattr(request, field)) if request.HasField(field) else default  # type: ignore[arg-type]
