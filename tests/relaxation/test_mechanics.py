"""Equations of state, elastic tensors and phonons through the real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.stability.v1.elasticity_pb2 import ComputeElasticTensorRequest
from crystalmesh.stability.v1.equation_of_state_pb2 import FitEquationOfStateRequest
from crystalmesh.stability.v1.phonons_pb2 import ComputePhononsRequest
from crystalmesh.stability.v1.stability_service_pb2_grpc import StabilityServiceStub
from crystalmesh_common.crystal.protobuf import crystal_from_proto, crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.statuses import from_rpc_failure, from_status
from tests.conftest import AUTHORIZATION, ServiceProcess, lone_atom, silicon, sodium_chloride

Ask = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def stub(relaxation: ServiceProcess) -> Iterator[StabilityServiceStub]:
    with grpc.insecure_channel(relaxation.address) as channel:
        yield StabilityServiceStub(channel)


def inputs(*crystals: Crystal) -> list[CrystalInput]:
    return [CrystalInput(crystal=crystal_to_proto(crystal)) for crystal in crystals]


def fit(stub: StabilityServiceStub, *crystals: Crystal, **fields: Any) -> list[Any]:
    request = FitEquationOfStateRequest(crystals=inputs(*crystals), **fields)
    return list(stub.FitEquationOfState(request, metadata=AUTHORIZATION, timeout=150))


def strain(stub: StabilityServiceStub, *crystals: Crystal, **fields: Any) -> list[Any]:
    request = ComputeElasticTensorRequest(crystals=inputs(*crystals), **fields)
    return list(stub.ComputeElasticTensor(request, metadata=AUTHORIZATION, timeout=150))


def shake(stub: StabilityServiceStub, *crystals: Crystal, **fields: Any) -> list[Any]:
    request = ComputePhononsRequest(crystals=inputs(*crystals), **fields)
    return list(stub.ComputePhonons(request, metadata=AUTHORIZATION, timeout=150))


def test_silicon_is_squeezed(stub: StabilityServiceStub) -> None:
    """A fit that can be trusted, near CHGNet's known lattice and modulus, with the points behind it."""
    (response,) = fit(stub, silicon(shift=0.01))
    found = response.equation_of_state
    assert (response.crystal_id, found.reliable, found.unreliable_reason) == ("Si", True, "")
    assert found.equilibrium_volume_cubic_angstrom == pytest.approx(40.9, rel=0.02)
    assert found.equilibrium_energy_ev == pytest.approx(-10.63, abs=0.01)
    assert found.bulk_modulus_gpa == pytest.approx(71, rel=0.15)
    assert 0 < found.residual_ev_per_atom < 0.005
    volumes = [point.volume_cubic_angstrom for point in found.points]
    assert len(volumes) == 11
    assert volumes == sorted(volumes)
    assert crystal_from_proto(found.crystal).volume == pytest.approx(volumes[5])
    assert found.model.startswith("chgnet")


def test_silicon_is_strained(stub: StabilityServiceStub) -> None:
    """A stable cubic tensor whose averages are in order."""
    (response,) = strain(stub, silicon())
    found = response.elasticity
    stiffness = np.array(found.stiffness_gpa).reshape(6, 6)
    np.testing.assert_array_equal(stiffness, stiffness.T)
    assert stiffness[0, 0] == pytest.approx(118, rel=0.15)
    assert found.mechanically_stable
    assert found.bulk_modulus_reuss_gpa == pytest.approx(found.bulk_modulus_voigt_gpa, rel=0.02)
    assert 0 < found.shear_modulus_reuss_gpa <= found.shear_modulus_hill_gpa <= found.shear_modulus_voigt_gpa
    assert 0 < found.poisson_ratio < 0.5


def test_silicon_is_shaken(stub: StabilityServiceStub) -> None:
    """In a supercell it has three modes at zero, none unstable, and comes back as it was shaken."""
    (response,) = shake(stub, silicon(), supercell=[2, 1, 1])
    found = response.phonons
    assert found.dynamically_stable
    assert not found.unstable_modes
    assert len(found.frequencies_thz) == 12
    assert found.frequencies_thz[:3] == pytest.approx([0, 0, 0], abs=1e-3)
    assert 10 < found.frequencies_thz[-1] < 17
    assert found.relaxation_converged
    assert len(crystal_from_proto(found.crystal)) == 4


@pytest.mark.parametrize("ask", [fit, strain, shake])
def test_a_bad_crystal_fails_alone(stub: StabilityServiceStub, ask: Ask) -> None:
    """An isolated atom and an unknown element have their errors; the crystal between them has its answer."""
    polonium = replace(sodium_chloride("Po"), numbers=np.array([84, 17]))
    responses = ask(stub, lone_atom(), sodium_chloride(), polonium)
    outcomes = {response.crystal_id: response for response in responses}
    assert {response.index for response in responses} == {0, 1, 2}
    assert from_status(outcomes["lone"].error).reason == "ISOLATED_ATOM"
    assert from_status(outcomes["Po"].error).reason == "UNSUPPORTED_ELEMENT"
    assert outcomes["NaCl"].WhichOneof("outcome") in ("equation_of_state", "elasticity", "phonons")


@pytest.mark.parametrize(
    ("ask", "field", "value"),
    [
        (fit, "points", 4),
        (fit, "max_volume_strain", 0.4),
        (strain, "max_normal_strain", 0.1),
        (strain, "max_shear_strain", 0.0),
        (shake, "supercell", [2, 2]),
        (shake, "displacement_angstrom", 1.0),
    ],
)
def test_a_field_out_of_its_range_fails_the_call(
    stub: StabilityServiceStub, ask: Ask, field: str, value: object
) -> None:
    """INVALID_ARGUMENT with the field, before any crystal is read."""
    with pytest.raises(grpc.RpcError) as raised:
        ask(stub, silicon(), **{field: value})
    error = from_rpc_failure(raised.value)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details["field"] == field


@pytest.mark.parametrize("ask", [fit, strain, shake])
def test_a_model_that_is_not_served_fails_the_call(stub: StabilityServiceStub, ask: Ask) -> None:
    """NOT_FOUND with MODEL_NOT_FOUND."""
    with pytest.raises(grpc.RpcError) as raised:
        ask(stub, silicon(), model="other")
    assert from_rpc_failure(raised.value).reason == "MODEL_NOT_FOUND"


def test_too_large_a_supercell_is_that_crystals_error(stub: StabilityServiceStub) -> None:
    """TOO_MANY_ATOMS with the number of atoms that there would be."""
    (response,) = shake(stub, silicon(), supercell=[8, 8, 8])
    error = from_status(response.error)
    assert error.reason == "TOO_MANY_ATOMS"
    assert error.details["atoms"] == "1024"
