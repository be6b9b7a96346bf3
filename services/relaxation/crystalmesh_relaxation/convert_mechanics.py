"""Equations of state, elastic tensors and phonons: protobuf to tasks, and their results back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from google.protobuf.message import Message

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.stability.v1 import elasticity_pb2, equation_of_state_pb2, phonons_pb2
from crystalmesh.stability.v1.elasticity_pb2 import (
    ComputeElasticTensorRequest,
    ComputeElasticTensorResponse,
)
from crystalmesh.stability.v1.equation_of_state_pb2 import (
    FitEquationOfStateRequest,
    FitEquationOfStateResponse,
)
from crystalmesh.stability.v1.phonons_pb2 import ComputePhononsRequest, ComputePhononsResponse
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InvalidFieldError,
    TooManyAtomsError,
)
from crystalmesh_common.runtime.intake import resolve_ids
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import to_status
from crystalmesh_relaxation.convert import check_quantities
from crystalmesh_relaxation.engine import PotentialInfo, Quantity
from crystalmesh_relaxation.mechanics.elasticity import Elasticity, ElasticityOptions, compute_elasticity
from crystalmesh_relaxation.mechanics.equation_of_state import (
    EquationOfState,
    EquationOfStateOptions,
    fit_equation_of_state,
)
from crystalmesh_relaxation.mechanics.phonons import PhononOptions, Phonons, compute_phonons
from crystalmesh_relaxation.mechanics.supercell import Repeats
from crystalmesh_relaxation.models import Models
from crystalmesh_relaxation.procedure import ProcedureTask

MAX_VOLUME_STRAIN = 0.3
POINTS = (5, 101)
MAX_NORMAL_STRAIN = 0.05
MAX_SHEAR_STRAIN = 0.1
DISPLACEMENT_ANGSTROM = (0.001, 0.1)
MAX_REPEATS = 8
MAX_SHAKEN_ATOMS = 800
"""The modes of 800 atoms fit into a message, and keep a device waiting for two seconds."""


class MechanicsOptions(Protocol):
    """How to measure something."""

    @property
    def quantities(self) -> frozenset[Quantity]:
        """What a potential has to give."""
        ...


Options = TypeVar("Options", bound=MechanicsOptions)
Options_co = TypeVar("Options_co", bound=MechanicsOptions, covariant=True)


@dataclass(frozen=True)
class MechanicsOrder(Generic[Options_co]):
    """A request that is right as a whole. Its crystals are still as they came."""

    potential: PotentialInfo
    ids: Sequence[str]
    options: Options_co


def equation_of_state_order(
    request: FitEquationOfStateRequest, models: Models, limits: Limits
) -> MechanicsOrder[EquationOfStateOptions]:
    """Check a request.

    Raises an InvalidRequestError, an UnsupportedQuantityError, or what `Models.resolve` raises.
    """
    defaults = EquationOfStateOptions()
    fewest, most = POINTS
    points = request.points if request.HasField("points") else defaults.points
    if not fewest <= points <= most:
        raise InvalidFieldError(f"points must be {fewest} to {most}", field="points")
    options = EquationOfStateOptions(
        relax_first=_flag(request, "relax_first", default=defaults.relax_first),
        max_volume_strain=_strain(
            request, "max_volume_strain", defaults.max_volume_strain, at_most=MAX_VOLUME_STRAIN
        ),
        points=points,
        keep_fractional_coordinates=request.keep_fractional_coordinates,
    )
    return _order(request.model, request.crystals, options, models, limits)


def elasticity_order(
    request: ComputeElasticTensorRequest, models: Models, limits: Limits
) -> MechanicsOrder[ElasticityOptions]:
    """Check a request; raises as `equation_of_state_order` does."""
    defaults = ElasticityOptions()
    options = ElasticityOptions(
        relax_first=_flag(request, "relax_first", default=defaults.relax_first),
        max_normal_strain=_strain(
            request, "max_normal_strain", defaults.max_normal_strain, at_most=MAX_NORMAL_STRAIN
        ),
        max_shear_strain=_strain(
            request, "max_shear_strain", defaults.max_shear_strain, at_most=MAX_SHEAR_STRAIN
        ),
        keep_fractional_coordinates=request.keep_fractional_coordinates,
    )
    return _order(request.model, request.crystals, options, models, limits)


def phonon_order(
    request: ComputePhononsRequest, models: Models, limits: Limits
) -> MechanicsOrder[PhononOptions]:
    """Check a request; raises as `equation_of_state_order` does."""
    defaults = PhononOptions()
    displacement = _given(request, "displacement_angstrom", defaults.displacement_angstrom)
    shortest, longest = DISPLACEMENT_ANGSTROM
    if not shortest <= displacement <= longest:
        raise InvalidFieldError(
            f"displacement_angstrom must be {shortest:g} to {longest:g}", field="displacement_angstrom"
        )
    tolerance = _given(request, "instability_tolerance_thz", defaults.instability_tolerance_thz)
    if not 0 < tolerance < math.inf:
        raise InvalidFieldError(
            "instability_tolerance_thz must be a positive number", field="instability_tolerance_thz"
        )
    options = PhononOptions(
        relax_first=_flag(request, "relax_first", default=defaults.relax_first),
        displacement_angstrom=displacement,
        repeats=_repeats(request.supercell),
        instability_tolerance_thz=tolerance,
    )
    return _order(request.model, request.crystals, options, models, limits)


async def equation_of_state_tasks(
    crystals: AsyncIterator[Crystal | CrystalMeshError], options: EquationOfStateOptions
) -> AsyncIterator[ProcedureTask[EquationOfState] | CrystalMeshError]:
    """The task of each crystal, or why there is none, in order."""
    async for crystal in crystals:
        if isinstance(crystal, CrystalMeshError):
            yield crystal
        else:
            yield ProcedureTask(fit_equation_of_state(crystal, options))


async def elasticity_tasks(
    crystals: AsyncIterator[Crystal | CrystalMeshError], options: ElasticityOptions
) -> AsyncIterator[ProcedureTask[Elasticity] | CrystalMeshError]:
    """The task of each crystal, or why there is none, in order."""
    async for crystal in crystals:
        if isinstance(crystal, CrystalMeshError):
            yield crystal
        else:
            yield ProcedureTask(compute_elasticity(crystal, options))


async def phonon_tasks(
    crystals: AsyncIterator[Crystal | CrystalMeshError], options: PhononOptions, limits: Limits
) -> AsyncIterator[ProcedureTask[Phonons] | CrystalMeshError]:
    """The task of each crystal, or why there is none, in order; too large a supercell has none."""
    max_atoms = min(limits.atoms_per_crystal, MAX_SHAKEN_ATOMS)
    async for crystal in crystals:
        if isinstance(crystal, CrystalMeshError):
            yield crystal
        elif (atoms := len(crystal) * math.prod(options.repeats)) > max_atoms:
            yield TooManyAtomsError(
                f"{atoms} atoms in the supercell; at most {max_atoms} are shaken",
                atoms=atoms,
                max_atoms=max_atoms,
            )
        else:
            # Without a first relaxation it begins with the symmetry of the crystal, which takes a while.
            yield await asyncio.to_thread(ProcedureTask, compute_phonons(crystal, options))


def equation_of_state_response(
    crystal_id: str, index: int, outcome: object, model: str
) -> FitEquationOfStateResponse:
    """The message that brings an equation of state, or an error."""
    response = FitEquationOfStateResponse(crystal_id=crystal_id, index=index)
    match outcome:
        case CrystalMeshError():
            response.error.CopyFrom(to_status(outcome))
        case EquationOfState():
            response.equation_of_state.CopyFrom(_equation_of_state(outcome, model))
        case _:
            raise TypeError(f"a fit cannot end in {type(outcome).__name__}")
    return response


def elasticity_response(
    crystal_id: str, index: int, outcome: object, model: str
) -> ComputeElasticTensorResponse:
    """The message that brings an elastic tensor, or an error."""
    response = ComputeElasticTensorResponse(crystal_id=crystal_id, index=index)
    match outcome:
        case CrystalMeshError():
            response.error.CopyFrom(to_status(outcome))
        case Elasticity():
            response.elasticity.CopyFrom(_elasticity(outcome, model))
        case _:
            raise TypeError(f"straining cannot end in {type(outcome).__name__}")
    return response


def phonon_response(crystal_id: str, index: int, outcome: object, model: str) -> ComputePhononsResponse:
    """The message that brings vibrations, or an error."""
    response = ComputePhononsResponse(crystal_id=crystal_id, index=index)
    match outcome:
        case CrystalMeshError():
            response.error.CopyFrom(to_status(outcome))
        case Phonons():
            response.phonons.CopyFrom(_phonons(outcome, model))
        case _:
            raise TypeError(f"shaking cannot end in {type(outcome).__name__}")
    return response


def _equation_of_state(result: EquationOfState, model: str) -> equation_of_state_pb2.EquationOfState:
    return equation_of_state_pb2.EquationOfState(
        equilibrium_volume_cubic_angstrom=result.curve.volume_cubic_angstrom,
        equilibrium_energy_ev=result.curve.energy_ev,
        bulk_modulus_gpa=result.curve.bulk_modulus_gpa,
        bulk_modulus_derivative=result.curve.bulk_modulus_derivative,
        residual_ev_per_atom=result.residual_ev_per_atom,
        reliable=result.reliable,
        unreliable_reason=result.unreliable_reason,
        points=[
            equation_of_state_pb2.VolumePoint(
                volume_cubic_angstrom=point.volume_cubic_angstrom, energy_ev=point.energy_ev
            )
            for point in result.points
        ],
        crystal=crystal_to_proto(result.crystal),
        model=model,
    )


def _elasticity(result: Elasticity, model: str) -> elasticity_pb2.Elasticity:
    moduli = result.moduli
    return elasticity_pb2.Elasticity(
        stiffness_gpa=result.stiffness_gpa.ravel().tolist(),
        bulk_modulus_voigt_gpa=moduli.bulk_voigt,
        bulk_modulus_reuss_gpa=moduli.bulk_reuss,
        bulk_modulus_hill_gpa=moduli.bulk_hill,
        shear_modulus_voigt_gpa=moduli.shear_voigt,
        shear_modulus_reuss_gpa=moduli.shear_reuss,
        shear_modulus_hill_gpa=moduli.shear_hill,
        young_modulus_gpa=moduli.young,
        poisson_ratio=moduli.poisson_ratio,
        universal_anisotropy=moduli.universal_anisotropy,
        mechanically_stable=result.mechanically_stable,
        residual_gpa=result.residual_gpa,
        crystal=crystal_to_proto(result.crystal),
        model=model,
        relaxation_converged=result.relaxation_converged,
        unsettled_strain_count=result.unsettled_strains,
    )


def _phonons(result: Phonons, model: str) -> phonons_pb2.Phonons:
    return phonons_pb2.Phonons(
        dynamically_stable=result.dynamically_stable,
        frequencies_thz=result.frequencies_thz.tolist(),
        unstable_modes=[
            phonons_pb2.PhononMode(
                frequency_thz=mode.frequency_thz, displacements=mode.displacements.ravel().tolist()
            )
            for mode in result.unstable_modes
        ],
        crystal=crystal_to_proto(result.crystal),
        relaxation_converged=result.relaxation_converged,
        model=model,
    )


def _order(
    model: str, crystals: Sequence[CrystalInput], options: Options, models: Models, limits: Limits
) -> MechanicsOrder[Options]:
    potential = models.resolve(model)
    check_quantities(potential, options.quantities, ", which this needs")
    return MechanicsOrder(potential, resolve_ids(crystals, max_crystals=limits.crystals_per_call), options)


def _repeats(given: Sequence[int]) -> Repeats:
    if not given:
        return (1, 1, 1)
    if len(given) != 3 or not all(1 <= count <= MAX_REPEATS for count in given):
        raise InvalidFieldError(
            f"supercell must be empty or 3 values of 1 to {MAX_REPEATS}", field="supercell"
        )
    a, b, c = given
    return (a, b, c)


def _strain(request: Message, field: str, default: float, *, at_most: float) -> float:
    value = _given(request, field, default)
    if not 0 < value <= at_most:
        raise InvalidFieldError(f"{field} must be above 0 and at most {at_most:g}", field=field)
    return value


def _given(request: Message, field: str, default: float) -> float:
    """What an optional field holds, else the default."""
    return float(getattr(request, field)) if request.HasField(field) else default


def _flag(request: Message, field: str, *, default: bool) -> bool:
    return bool(getattr(request, field)) if request.HasField(field) else default
