"""Relaxations: protobuf to tasks, and their results back."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from crystalmesh.relaxation.v1 import relaxation_pb2
from crystalmesh.relaxation.v1.relaxation_pb2 import RelaxRequest, RelaxResponse
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
from crystalmesh_relaxation.convert import check_quantities, fill_evaluation
from crystalmesh_relaxation.engine import PotentialInfo, Quantity
from crystalmesh_relaxation.models import Models
from crystalmesh_relaxation.relaxing.motion import CellMode
from crystalmesh_relaxation.relaxing.task import (
    EnergyLimit,
    Frame,
    OptimizerKind,
    Relaxation,
    RelaxationTask,
    RelaxOptions,
    StopReason,
)

MAX_STEPS = 100_000
_DEFAULTS = RelaxOptions()
_DEFAULT_SYMMETRY_TOLERANCE_ANGSTROM = 0.01

_CELL_MODES: Mapping[int, CellMode] = {
    relaxation_pb2.CELL_MODE_UNSPECIFIED: CellMode.FULL,
    relaxation_pb2.CELL_MODE_FIXED: CellMode.FIXED,
    relaxation_pb2.CELL_MODE_FULL: CellMode.FULL,
    relaxation_pb2.CELL_MODE_VOLUME: CellMode.VOLUME,
}
_OPTIMIZERS: Mapping[int, OptimizerKind] = {
    relaxation_pb2.OPTIMIZER_UNSPECIFIED: OptimizerKind.FIRE,
    relaxation_pb2.OPTIMIZER_FIRE: OptimizerKind.FIRE,
    relaxation_pb2.OPTIMIZER_LBFGS: OptimizerKind.LBFGS,
    relaxation_pb2.OPTIMIZER_BFGS: OptimizerKind.BFGS,
}
_STOP_REASONS: Mapping[StopReason, relaxation_pb2.StopReason.ValueType] = {
    StopReason.CONVERGED: relaxation_pb2.STOP_REASON_CONVERGED,
    StopReason.STEP_LIMIT: relaxation_pb2.STOP_REASON_STEP_LIMIT,
    StopReason.TIME_LIMIT: relaxation_pb2.STOP_REASON_TIME_LIMIT,
    StopReason.UNPHYSICAL: relaxation_pb2.STOP_REASON_UNPHYSICAL,
    StopReason.ENERGY_LIMIT: relaxation_pb2.STOP_REASON_ENERGY_LIMIT,
}


@dataclass(frozen=True)
class RelaxOrder:
    """A request that is right as a whole. Its crystals are still as they came."""

    potential: PotentialInfo
    ids: Sequence[str]
    options: RelaxOptions
    fixed_sites: Mapping[str, Sequence[int]]  # by crystal id


def relax_order(request: RelaxRequest, models: Models, limits: Limits) -> RelaxOrder:
    """Check a request; raises an InvalidRequestError or what `Models.resolve` raises when it fails whole."""
    potential = models.resolve(request.model)
    options = _options(request)
    needed = {Quantity.FORCES} if options.cell_mode is CellMode.FIXED else {Quantity.FORCES, Quantity.STRESS}
    check_quantities(potential, needed, ", which relaxing needs")
    ids = resolve_ids(request.crystals, max_crystals=limits.crystals_per_call)
    fixed = {name: list(sites.indices) for name, sites in request.options.fixed_sites.items()}
    if unknown := sorted(set(fixed) - set(ids)):
        raise InvalidFieldError(
            f"fixed_sites names {unknown[0][:80]!r}, which is no crystal of this request",
            field="options.fixed_sites",
        )
    return RelaxOrder(potential, ids, options, fixed)


async def relax_tasks(
    crystals: AsyncIterator[Crystal | CrystalMeshError], order: RelaxOrder
) -> AsyncIterator[RelaxationTask | CrystalMeshError]:
    """The task of each crystal, or why there is none, in order."""
    async for crystal in crystals:
        if isinstance(crystal, CrystalMeshError):
            yield crystal
            continue
        fixed = order.fixed_sites.get(crystal.id, ())
        if any(site >= len(crystal) for site in fixed):
            yield InvalidFieldError(
                f"site {max(fixed)} cannot be fixed: the crystal has {len(crystal)} sites",
                field="options.fixed_sites",
            )
        else:
            yield RelaxationTask(crystal, order.options, tuple(sorted(set(fixed))))


def relax_response(crystal_id: str, index: int, outcome: object, model: str) -> RelaxResponse:
    """The message that brings a frame, a result, or an error."""
    response = RelaxResponse(crystal_id=crystal_id, index=index)
    match outcome:
        case CrystalMeshError():
            response.error.CopyFrom(to_status(outcome))
        case Frame():
            response.frame.step = outcome.step
            response.frame.crystal.CopyFrom(crystal_to_proto(outcome.crystal))
            fill_evaluation(response.frame.evaluation, outcome.evaluation, model)
        case Relaxation():
            _fill_relaxation(response.relaxation, outcome, model)
        case _:
            raise TypeError(f"a relaxation cannot end in {type(outcome).__name__}")
    return response


def _fill_relaxation(message: relaxation_pb2.Relaxation, result: Relaxation, model: str) -> None:
    message.crystal.CopyFrom(crystal_to_proto(result.crystal))
    moments = result.final.magnetic_moments_mu_b
    if moments is not None:
        del message.crystal.magnetic_moments_mu_b[:]
        message.crystal.magnetic_moments_mu_b.extend(moments.tolist())
    message.converged = result.converged
    message.stop_reason = _STOP_REASONS[result.stop_reason]
    message.steps = result.steps
    fill_evaluation(message.initial, result.initial, model)
    fill_evaluation(message.final, result.final, model)
    message.max_force_ev_per_angstrom = result.max_force_ev_per_angstrom
    message.max_stress_gpa = result.max_stress_gpa
    message.wall_time.FromNanoseconds(int(result.seconds * 1e9))


def _options(request: RelaxRequest) -> RelaxOptions:
    given = request.options

    def positive(field: str, default: float) -> float:
        value = getattr(given, field) if given.HasField(field) else default  # type: ignore[arg-type]
        if not (math.isfinite(value) and value > 0):
            raise InvalidFieldError(f"options.{field} must be a positive number", field=f"options.{field}")
        return float(value)

    max_steps = given.max_steps if given.HasField("max_steps") else _DEFAULTS.max_steps
    if not 1 <= max_steps <= MAX_STEPS:
        raise InvalidFieldError(f"options.max_steps must be 1 to {MAX_STEPS:,}", field="options.max_steps")
    if not math.isfinite(given.pressure_gpa):
        raise InvalidFieldError("options.pressure_gpa must be a number", field="options.pressure_gpa")
    seconds = given.max_duration.ToNanoseconds() / 1e9 if given.HasField("max_duration") else None
    if seconds is not None and seconds <= 0:
        raise InvalidFieldError("options.max_duration must be positive", field="options.max_duration")
    tolerance = positive("symmetry_tolerance_angstrom", _DEFAULT_SYMMETRY_TOLERANCE_ANGSTROM)
    return RelaxOptions(
        cell_mode=_known(_CELL_MODES, given.cell_mode, "options.cell_mode"),
        optimizer=_known(_OPTIMIZERS, given.optimizer, "options.optimizer"),
        max_force_ev_per_angstrom=positive("max_force_ev_per_angstrom", _DEFAULTS.max_force_ev_per_angstrom),
        max_stress_gpa=positive("max_stress_gpa", _DEFAULTS.max_stress_gpa),
        max_steps=max_steps,
        max_seconds=seconds,
        pressure_gpa=given.pressure_gpa,
        symmetry_tolerance_angstrom=tolerance if given.preserve_symmetry else None,
        frame_interval_steps=request.frame_interval_steps,
        energy_limit=_energy_limit(given.energy_limit) if given.HasField("energy_limit") else None,
    )


def _energy_limit(given: relaxation_pb2.EnergyLimit) -> EnergyLimit:
    if not math.isfinite(given.energy_ev_per_atom):
        field = "options.energy_limit.energy_ev_per_atom"
        raise InvalidFieldError(f"{field} must be a number", field=field)
    if not given.HasField("after_steps"):
        return EnergyLimit(given.energy_ev_per_atom)
    if not 1 <= given.after_steps <= MAX_STEPS:
        field = "options.energy_limit.after_steps"
        raise InvalidFieldError(f"{field} must be 1 to {MAX_STEPS:,}", field=field)
    return EnergyLimit(given.energy_ev_per_atom, given.after_steps)


Kind = TypeVar("Kind", CellMode, OptimizerKind)


def _known(values: Mapping[int, Kind], value: int, field: str) -> Kind:
    if value not in values:
        raise UnknownEnumValueError(f"{field}: no such value: {value}", field=field)
    return values[value]
