"""Relaxations through the real server."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1 import relaxation_pb2, relaxation_service_pb2_grpc
from crystalmesh_client import Credentials, Failed, Mesh, Relaxation, RelaxOptions
from crystalmesh_common.crystal.protobuf import crystal_from_proto, crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import space_group_number
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.statuses import from_rpc_failure, from_status
from tests.conftest import AUTHORIZATION, TOKEN, ServiceProcess, iron, lone_atom, silicon, sodium_chloride


@pytest.fixture(scope="module")
def mesh(relaxation: ServiceProcess) -> Iterator[Mesh]:
    with Mesh(relaxation.address, credentials=Credentials(token=TOKEN)) as mesh:
        yield mesh


def request_of(*crystals: Crystal, **options: Any) -> relaxation_pb2.RelaxRequest:
    return relaxation_pb2.RelaxRequest(
        crystals=[CrystalInput(crystal=crystal_to_proto(crystal)) for crystal in crystals],
        options=relaxation_pb2.RelaxOptions(**options),
    )


def ask(server: ServiceProcess, request: relaxation_pb2.RelaxRequest) -> list[relaxation_pb2.RelaxResponse]:
    with grpc.insecure_channel(server.address) as channel:
        stub = relaxation_service_pb2_grpc.RelaxationServiceStub(channel)
        return list(stub.Relax(request, metadata=AUTHORIZATION, timeout=120))


def failure_of(server: ServiceProcess, request: relaxation_pb2.RelaxRequest) -> errors.CrystalMeshError:
    with pytest.raises(grpc.RpcError) as raised:
        ask(server, request)
    return from_rpc_failure(raised.value)


def sites_of(crystal: Crystal) -> np.ndarray:
    return crystal.frac_coords - crystal.frac_coords[0]


@pytest.mark.parametrize("optimizer", ["fire", "lbfgs", "bfgs"])
def test_each_optimizer_ends_where_no_force_is_left(mesh: Mesh, optimizer: Any) -> None:
    """A disturbed crystal converges: small forces and stress, lower energy, the same minimum for all."""
    start = replace(silicon(shift=0.04), cell=1.03 * silicon().cell)
    result = mesh.relaxation.relax(start, RelaxOptions(optimizer=optimizer, max_force_ev_per_angstrom=0.01))
    assert result.converged
    assert result.stop_reason == "converged"
    assert 0 < result.steps < 500
    assert result.max_force_ev_per_angstrom <= 0.01
    assert result.max_stress_gpa <= 0.5
    assert result.energy_ev_per_atom < result.initial.energy_ev_per_atom - 0.01
    assert result.energy_ev_per_atom == pytest.approx(-5.3138, abs=0.001)
    np.testing.assert_allclose(sites_of(result.crystal)[1], [0.25, 0.25, 0.25], atol=0.01)
    assert space_group_number(result.crystal, symprec=0.1) == 227


def test_the_end_is_where_chgnets_own_optimizer_ends(mesh: Mesh) -> None:
    """Energy and volume agree with StructOptimizer, same algorithm and threshold: 2 meV/atom, 1 %."""
    from chgnet.model import StructOptimizer

    from crystalmesh_common.crystal.pymatgen_codec import to_structure

    start = replace(silicon(shift=0.04), cell=1.03 * silicon().cell)
    theirs = StructOptimizer(optimizer_class="FIRE", use_device="cpu").relax(
        to_structure(start), fmax=0.05, verbose=False
    )
    ours = mesh.relaxation.relax(start)
    assert ours.energy_ev_per_atom == pytest.approx(theirs["trajectory"].energies[-1] / 2, abs=0.002)
    assert ours.crystal.volume == pytest.approx(theirs["final_structure"].volume, rel=0.01)


def test_a_fixed_cell_stays_and_a_volume_keeps_its_shape(mesh: Mesh) -> None:
    """`fixed` moves atoms only; `volume` changes all lengths alike and no angle."""
    start = silicon(shift=0.04)
    stretched = replace(start, cell=start.cell @ np.diag([1.04, 1.0, 1.0]))
    fixed = mesh.relaxation.relax(stretched, RelaxOptions(cell="fixed"))
    assert fixed.converged
    np.testing.assert_array_equal(fixed.crystal.cell, stretched.cell)
    assert fixed.max_stress_gpa == 0
    volume = mesh.relaxation.relax(stretched, RelaxOptions(cell="volume"))
    ratio = volume.crystal.cell @ np.linalg.inv(stretched.cell)
    np.testing.assert_allclose(ratio, np.eye(3) * ratio[0, 0], atol=1e-6)


def test_pressure_squeezes(mesh: Mesh) -> None:
    """Relaxed under 20 GPa, rock salt is smaller than under none, by about what its bulk modulus says."""
    free = mesh.relaxation.relax(sodium_chloride())
    squeezed = mesh.relaxation.relax(sodium_chloride(), RelaxOptions(pressure_gpa=20))
    assert squeezed.converged
    assert 0.6 < squeezed.crystal.volume / free.crystal.volume < 0.85


def test_symmetry_is_kept_when_asked(mesh: Mesh) -> None:
    """A high-symmetry start stays in its space group to within rounding."""
    start = sodium_chloride(a=6.0)
    result = mesh.relaxation.relax(start, RelaxOptions(preserve_symmetry=True))
    assert result.converged
    assert space_group_number(result.crystal, symprec=1e-4) == 225


def test_fixed_sites_stay(relaxation: ServiceProcess) -> None:
    """A site that is held keeps its coordinates, whatever force it feels; the others move."""
    start = silicon(shift=0.04)
    request = request_of(start, cell_mode=relaxation_pb2.CELL_MODE_FIXED)
    request.options.fixed_sites["Si"].indices.append(1)
    (response,) = ask(relaxation, request)
    end = crystal_from_proto(response.relaxation.crystal)
    assert response.relaxation.converged
    np.testing.assert_allclose(end.frac_coords[1], start.frac_coords[1], atol=1e-12)
    assert np.abs(end.frac_coords[0] - start.frac_coords[0]).max() > 0.01


def test_frames_come_on_the_way(relaxation: ServiceProcess) -> None:
    """Every second step brings a frame with rising step and its own numbers, before the result."""
    request = request_of(silicon(shift=0.04))
    request.frame_interval_steps = 2
    *frames, last = ask(relaxation, request)
    assert last.WhichOneof("outcome") == "relaxation"
    assert [response.frame.step for response in frames] == list(range(0, last.relaxation.steps + 1, 2))
    energies = [response.frame.evaluation.energy_ev for response in frames]
    assert energies[-1] < energies[0]


def test_who_does_not_converge_says_why(mesh: Mesh) -> None:
    """The step and time limits end a relaxation with a result that is honest about it."""
    start = silicon(shift=0.04)
    steps = mesh.relaxation.relax(start, RelaxOptions(max_steps=2))
    assert (steps.converged, steps.stop_reason, steps.steps) == (False, "step limit", 2)
    seconds = mesh.relaxation.relax(start, RelaxOptions(max_seconds=1e-6))
    assert (seconds.converged, seconds.stop_reason) == (False, "time limit")


def test_who_is_too_high_after_some_steps_is_given_up(mesh: Mesh) -> None:
    """Its energy is looked at once; who is below the limit then goes on to its end as without one."""
    start = silicon(shift=0.04)
    end = mesh.relaxation.relax(start)
    high = RelaxOptions(energy_limit_ev_per_atom=end.energy_ev_per_atom - 1, energy_limit_after_steps=3)
    given_up = mesh.relaxation.relax(start, high)
    assert (given_up.converged, given_up.stop_reason, given_up.steps) == (False, "energy limit", 3)
    assert given_up.energy_ev_per_atom < given_up.initial.energy_ev / 2
    low = RelaxOptions(energy_limit_ev_per_atom=end.energy_ev_per_atom + 1)
    gone_on = mesh.relaxation.relax(start, low)
    assert (gone_on.stop_reason, gone_on.steps) == ("converged", end.steps)


def test_a_bad_crystal_fails_alone(mesh: Mesh) -> None:
    """An isolated atom and an unknown element have their errors; the rest of the batch is relaxed."""
    polonium = replace(sodium_chloride("Po"), numbers=np.array([84, 17]))
    batch = [iron(), lone_atom(), silicon(shift=0.02), polonium]
    outcomes = {outcome.id: outcome for outcome in mesh.relaxation.relax_many(batch)}
    assert isinstance(outcomes["Fe"], Relaxation)
    assert isinstance(outcomes["Si"], Relaxation)
    failed = {name: o.error.reason for name, o in outcomes.items() if isinstance(o, Failed)}
    assert failed == {"lone": "ISOLATED_ATOM", "Po": "UNSUPPORTED_ELEMENT"}
    assert outcomes["Fe"].final.magnetic_moments_mu_b == pytest.approx([2.2, 2.2], abs=0.5)


def test_more_crystals_than_fit_on_the_devices(mesh: Mesh) -> None:
    """Forty crystals fly in turns; each has one result, and the same as alone."""
    crystals = [silicon(f"Si-{number}", shift=0.002 * number) for number in range(40)]
    results = {r.id: r for r in mesh.relaxation.relax_many(crystals) if isinstance(r, Relaxation)}
    assert set(results) == {crystal.id for crystal in crystals}
    assert all(result.converged for result in results.values())
    alone = mesh.relaxation.relax(crystals[-1])
    assert results["Si-39"].energy_ev_per_atom == pytest.approx(alone.energy_ev_per_atom, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_force_ev_per_angstrom": 0.0}, "options.max_force_ev_per_angstrom"),
        ({"max_force_ev_per_angstrom": math.nan}, "options.max_force_ev_per_angstrom"),
        ({"max_stress_gpa": -1.0}, "options.max_stress_gpa"),
        ({"max_steps": 0}, "options.max_steps"),
        ({"max_steps": 100_001}, "options.max_steps"),
        ({"pressure_gpa": math.inf}, "options.pressure_gpa"),
        ({"energy_limit": {"energy_ev_per_atom": math.nan}}, "options.energy_limit.energy_ev_per_atom"),
        ({"energy_limit": {"after_steps": 0}}, "options.energy_limit.after_steps"),
        ({"energy_limit": {"after_steps": 100_001}}, "options.energy_limit.after_steps"),
        ({"cell_mode": 9}, "options.cell_mode"),
        ({"optimizer": 9}, "options.optimizer"),
        (
            {"symmetry_tolerance_angstrom": -0.1, "preserve_symmetry": True},
            "options.symmetry_tolerance_angstrom",
        ),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_named(
    relaxation: ServiceProcess, options: dict[str, Any], field: str
) -> None:
    """A wrong option fails the call whole, with the field that is wrong."""
    error = failure_of(relaxation, request_of(silicon(), **options))
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details["field"] == field


def test_fixed_sites_that_are_not_there(relaxation: ServiceProcess) -> None:
    """Sites of an unknown crystal fail the call; a site beyond the crystal's last is that crystal's error."""
    request = request_of(silicon())
    request.options.fixed_sites["ghost"].indices.append(0)
    assert failure_of(relaxation, request).details["field"] == "options.fixed_sites"
    request = request_of(silicon(), sodium_chloride())
    request.options.fixed_sites["Si"].indices.append(2)
    answers = {response.crystal_id: response for response in ask(relaxation, request)}
    assert from_status(answers["Si"].error).reason == "INVALID_FIELD"
    assert answers["NaCl"].relaxation.converged
