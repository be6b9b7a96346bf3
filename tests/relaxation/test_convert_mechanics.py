from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.stability.v1.elasticity_pb2 import ComputeElasticTensorRequest
from crystalmesh.stability.v1.equation_of_state_pb2 import FitEquationOfStateRequest
from crystalmesh.stability.v1.phonons_pb2 import ComputePhononsRequest
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import from_status
from crystalmesh_relaxation import convert_mechanics
from crystalmesh_relaxation.engine import PotentialInfo, Quantity
from crystalmesh_relaxation.engines.chgnet_info import chgnet_info
from crystalmesh_relaxation.mechanics.birch_murnaghan import BirchMurnaghan
from crystalmesh_relaxation.mechanics.elasticity import Elasticity, ElasticityOptions
from crystalmesh_relaxation.mechanics.equation_of_state import (
    EquationOfState,
    EquationOfStateOptions,
    VolumePoint,
)
from crystalmesh_relaxation.mechanics.phonons import PhononMode, PhononOptions, Phonons
from crystalmesh_relaxation.models import Models
from crystalmesh_relaxation.procedure import ProcedureTask
from tests.conftest import silicon, sodium_chloride

CHGNET = chgnet_info("cpu")
LIMITS = Limits()


def models(*potentials: PotentialInfo) -> Models:
    served = potentials or (CHGNET,)
    found = Models([potential.name for potential in served])
    found.loaded(served)
    return found


def inputs(*crystals: Crystal) -> list[CrystalInput]:
    return [CrystalInput(crystal=crystal_to_proto(crystal)) for crystal in crystals or (silicon(),)]


def equation_of_state_order(**fields: Any) -> convert_mechanics.MechanicsOrder[EquationOfStateOptions]:
    request = FitEquationOfStateRequest(**{"crystals": inputs(), **fields})
    return convert_mechanics.equation_of_state_order(request, models(), LIMITS)


def elasticity_order(**fields: Any) -> convert_mechanics.MechanicsOrder[ElasticityOptions]:
    request = ComputeElasticTensorRequest(**{"crystals": inputs(), **fields})
    return convert_mechanics.elasticity_order(request, models(), LIMITS)


def phonon_order(**fields: Any) -> convert_mechanics.MechanicsOrder[PhononOptions]:
    request = ComputePhononsRequest(**{"crystals": inputs(), **fields})
    return convert_mechanics.phonon_order(request, models(), LIMITS)


ORDERS = [equation_of_state_order, elasticity_order, phonon_order]


def test_what_is_not_said_is_as_the_proto_says() -> None:
    """Defaults of the API are those of the procedures."""
    assert equation_of_state_order().options == EquationOfStateOptions(
        relax_first=True, max_volume_strain=0.1, points=11, keep_fractional_coordinates=False
    )
    assert elasticity_order().options == ElasticityOptions(
        relax_first=True, max_normal_strain=0.01, max_shear_strain=0.06, keep_fractional_coordinates=False
    )
    assert phonon_order().options == PhononOptions(
        relax_first=True, displacement_angstrom=0.01, repeats=(1, 1, 1), instability_tolerance_thz=0.3
    )


def test_what_is_said_is_meant() -> None:
    """Every field reaches the procedure, the limits of its range included."""
    assert equation_of_state_order(
        relax_first=False, max_volume_strain=0.3, points=101, keep_fractional_coordinates=True
    ).options == EquationOfStateOptions(
        relax_first=False, max_volume_strain=0.3, points=101, keep_fractional_coordinates=True
    )
    assert equation_of_state_order(points=5).options.points == 5
    assert elasticity_order(
        relax_first=False, max_normal_strain=0.05, max_shear_strain=0.1, keep_fractional_coordinates=True
    ).options == ElasticityOptions(
        relax_first=False, max_normal_strain=0.05, max_shear_strain=0.1, keep_fractional_coordinates=True
    )
    assert phonon_order(
        relax_first=False, displacement_angstrom=0.1, supercell=[1, 8, 2], instability_tolerance_thz=0.01
    ).options == PhononOptions(
        relax_first=False, displacement_angstrom=0.1, repeats=(1, 8, 2), instability_tolerance_thz=0.01
    )
    assert phonon_order(displacement_angstrom=0.001).options.displacement_angstrom == 0.001


@pytest.mark.parametrize(
    ("order", "fields"),
    [
        (equation_of_state_order, {"max_volume_strain": 0.0}),
        (equation_of_state_order, {"max_volume_strain": 0.31}),
        (equation_of_state_order, {"max_volume_strain": math.nan}),
        (equation_of_state_order, {"points": 4}),
        (equation_of_state_order, {"points": 102}),
        (elasticity_order, {"max_normal_strain": 0.0}),
        (elasticity_order, {"max_normal_strain": 0.051}),
        (elasticity_order, {"max_shear_strain": -0.01}),
        (elasticity_order, {"max_shear_strain": 0.11}),
        (phonon_order, {"displacement_angstrom": 0.0009}),
        (phonon_order, {"displacement_angstrom": 0.11}),
        (phonon_order, {"displacement_angstrom": math.nan}),
        (phonon_order, {"instability_tolerance_thz": 0.0}),
        (phonon_order, {"instability_tolerance_thz": math.inf}),
        (phonon_order, {"supercell": [2]}),
        (phonon_order, {"supercell": [1, 1, 1, 1]}),
        (phonon_order, {"supercell": [0, 1, 1]}),
        (phonon_order, {"supercell": [1, 1, 9]}),
    ],
    ids=str,
)
def test_a_field_out_of_its_range_is_named(order: Any, fields: dict[str, Any]) -> None:
    """The request fails whole, and says which field it was."""
    with pytest.raises(errors.InvalidFieldError) as raised:
        order(**fields)
    assert raised.value.details["field"] == next(iter(fields))


@pytest.mark.parametrize("order", ORDERS)
def test_a_wrong_request_is_no_order(order: Any) -> None:
    """No crystals, two of one id and an unknown model have their errors in each method."""
    with pytest.raises(errors.EmptyBatchError):
        order(crystals=[])
    with pytest.raises(errors.DuplicateIdError):
        order(crystals=inputs(silicon(), silicon()))
    with pytest.raises(errors.ModelNotFoundError):
        order(model="other")


def test_a_potential_is_asked_for_no_more_than_is_needed() -> None:
    """One without stress still shakes and squeezes what need not be relaxed, and never strains."""
    stressless = replace(CHGNET, quantities=frozenset({Quantity.ENERGY, Quantity.FORCES}))
    squeeze = FitEquationOfStateRequest(crystals=inputs(), relax_first=False)
    shake = ComputePhononsRequest(crystals=inputs(), relax_first=False)
    for keep, quantities in ((False, {Quantity.ENERGY, Quantity.FORCES}), (True, {Quantity.ENERGY})):
        squeeze.keep_fractional_coordinates = keep
        order = convert_mechanics.equation_of_state_order(squeeze, models(stressless), LIMITS)
        assert order.options.quantities == quantities
    assert (
        Quantity.STRESS
        not in convert_mechanics.phonon_order(shake, models(stressless), LIMITS).options.quantities
    )
    for convert, request in (
        (convert_mechanics.equation_of_state_order, FitEquationOfStateRequest(crystals=inputs())),
        (convert_mechanics.phonon_order, ComputePhononsRequest(crystals=inputs())),
        (
            convert_mechanics.elasticity_order,
            ComputeElasticTensorRequest(
                crystals=inputs(), relax_first=False, keep_fractional_coordinates=True
            ),
        ),
    ):
        with pytest.raises(errors.UnsupportedQuantityError, match="stress"):
            convert(request, models(stressless), LIMITS)  # type: ignore[operator]


async def test_too_large_a_supercell_is_that_crystals_error() -> None:
    """The supercell counts against the server's limit and against what can be shaken; others have tasks."""

    async def crystals() -> AsyncIterator[Crystal | errors.CrystalMeshError]:
        yield silicon()
        yield replace(
            silicon("large"),
            numbers=np.full(20, 14),
            frac_coords=np.linspace(0.0, 0.9, 60).reshape(20, 3),
        )
        yield errors.IsolatedAtomError("alone")

    tasks = convert_mechanics.phonon_tasks(
        crystals(), PhononOptions(repeats=(2, 2, 2)), Limits(atoms_per_crystal=100)
    )
    small, large, broken = [task async for task in tasks]
    assert isinstance(small, ProcedureTask)
    assert isinstance(large, errors.TooManyAtomsError)
    assert large.details == {"atoms": "160", "max_atoms": "100"}
    assert isinstance(broken, errors.IsolatedAtomError)
    wide = convert_mechanics.phonon_tasks(crystals(), PhononOptions(repeats=(8, 8, 7)), LIMITS)
    (first, *_rest) = [task async for task in wide]
    assert isinstance(first, errors.TooManyAtomsError)
    assert first.details["max_atoms"] == str(convert_mechanics.MAX_SHAKEN_ATOMS)


def test_an_equation_of_state_is_written_whole() -> None:
    """Parameters, points, doubts and the crystal."""
    curve = BirchMurnaghan(40.0, -10.0, 90.0, 4.5, residual_ev=0.002, has_minimum=True)
    result = EquationOfState(silicon(), [VolumePoint(39.0, -9.5), VolumePoint(41.0, -9.4)], curve, "odd")
    message = convert_mechanics.equation_of_state_response("id", 3, result, "m")
    found = message.equation_of_state
    assert (message.crystal_id, message.index) == ("id", 3)
    assert found.equilibrium_volume_cubic_angstrom == 40.0
    assert found.equilibrium_energy_ev == -10.0
    assert (found.bulk_modulus_gpa, found.bulk_modulus_derivative) == (90.0, 4.5)
    assert found.residual_ev_per_atom == 0.001
    assert (found.reliable, found.unreliable_reason, found.model) == (False, "odd", "m")
    assert [(p.volume_cubic_angstrom, p.energy_ev) for p in found.points] == [(39.0, -9.5), (41.0, -9.4)]
    assert found.crystal.id == "Si"


def test_an_elastic_tensor_is_written_row_by_row() -> None:
    """36 constants, the averages and the verdict, and whether the crystal and its atoms came to rest."""
    stiffness = np.diag([120.0, 120, 120, 50, 50, 50]) + 40.0 * (np.arange(36).reshape(6, 6) == 1)
    stiffness = (stiffness + stiffness.T) / 2
    result = Elasticity(silicon(), stiffness, 0.1, relaxation_converged=True, unsettled_strains=0)
    found = convert_mechanics.elasticity_response("id", 0, result, "m").elasticity
    assert list(found.stiffness_gpa) == stiffness.ravel().tolist()
    assert found.bulk_modulus_voigt_gpa == pytest.approx((360 + 40) / 9)
    assert found.bulk_modulus_reuss_gpa < found.bulk_modulus_hill_gpa < found.bulk_modulus_voigt_gpa
    assert found.shear_modulus_reuss_gpa < found.shear_modulus_hill_gpa < found.shear_modulus_voigt_gpa
    assert found.mechanically_stable
    assert (found.residual_gpa, found.model, found.crystal.id) == (0.1, "m", "Si")
    assert 0 < found.poisson_ratio < 0.5
    assert found.young_modulus_gpa > 0
    assert found.universal_anisotropy > 0
    unsettled = replace(result, relaxation_converged=False, unsettled_strains=3)
    (found,) = [convert_mechanics.elasticity_response("Si", 0, unsettled, "m").elasticity]
    assert (found.relaxation_converged, found.unsettled_strain_count) == (False, 3)


def test_phonons_are_written_with_their_unstable_modes() -> None:
    """Frequencies, patterns site by site, and whether the crystal was at rest."""
    pattern = np.arange(6.0).reshape(2, 3)
    frequencies = np.array([-2.0, 0, 0, 0, 5, 6])
    result = Phonons(sodium_chloride(), frequencies, [PhononMode(-2.0, pattern)], relaxation_converged=False)
    found = convert_mechanics.phonon_response("id", 0, result, "m").phonons
    assert not found.dynamically_stable
    assert list(found.frequencies_thz) == frequencies.tolist()
    (mode,) = found.unstable_modes
    assert (mode.frequency_thz, list(mode.displacements)) == (-2.0, [0, 1, 2, 3, 4, 5])
    assert (found.relaxation_converged, found.model, found.crystal.id) == (False, "m", "NaCl")


@pytest.mark.parametrize(
    "response",
    [
        convert_mechanics.equation_of_state_response,
        convert_mechanics.elasticity_response,
        convert_mechanics.phonon_response,
    ],
)
def test_a_failure_is_written_as_its_status(response: Any) -> None:
    """A crystal's error travels inside its outcome; what is no outcome is a fault of ours."""
    message = response("id", 1, errors.IsolatedAtomError("alone"), "m")
    assert message.WhichOneof("outcome") == "error"
    assert from_status(message.error).reason == "ISOLATED_ATOM"
    with pytest.raises(TypeError):
        response("id", 1, object(), "m")
