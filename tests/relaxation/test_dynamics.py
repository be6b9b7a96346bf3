"""Molecular dynamics through the real server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1 import dynamics_pb2, relaxation_service_pb2_grpc
from crystalmesh.relaxation.v1.dynamics_pb2 import RunMolecularDynamicsRequest, RunMolecularDynamicsResponse
from crystalmesh_common.crystal.protobuf import crystal_from_proto, crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.statuses import from_rpc_failure, from_status
from tests.conftest import AUTHORIZATION, ServiceProcess, lone_atom, silicon, sodium_chloride


def request_of(*crystals: Crystal, **fields: Any) -> RunMolecularDynamicsRequest:
    inputs = [CrystalInput(crystal=crystal_to_proto(crystal)) for crystal in crystals]
    return RunMolecularDynamicsRequest(crystals=inputs, **fields)


def ask(server: ServiceProcess, request: RunMolecularDynamicsRequest) -> list[RunMolecularDynamicsResponse]:
    with grpc.insecure_channel(server.address) as channel:
        stub = relaxation_service_pb2_grpc.RelaxationServiceStub(channel)
        return list(stub.RunMolecularDynamics(request, metadata=AUTHORIZATION, timeout=120))


def test_frames_and_then_a_report(relaxation: ServiceProcess) -> None:
    """A short run of salt brings frames with rising steps, its report last, and is stable."""
    request = request_of(
        sodium_chloride(), steps=20, frame_interval_steps=10, ensemble=dynamics_pb2.ENSEMBLE_NVE
    )
    *frames, last = ask(relaxation, request)
    assert [response.frame.step for response in frames] == [0, 10, 20]
    assert all(len(response.frame.velocities_angstrom_per_fs) == 6 for response in frames)
    totals = [r.frame.potential_energy_ev + r.frame.kinetic_energy_ev for r in frames]
    assert max(totals) - min(totals) < 0.002
    assert (last.report.steps, last.report.stable, last.report.instability) == (20, True, "")
    assert last.report.bonds_kept_fraction == 1
    assert 2 < last.report.shortest_distance_angstrom < 3
    assert last.report.final.id == "NaCl"


def test_the_same_seed_gives_the_same_trajectory(relaxation: ServiceProcess) -> None:
    """Asked for twice, a run of one crystal ends at the same numbers; another seed ends elsewhere."""
    ends = []
    for seed in (5, 5, 6):
        request = request_of(silicon(), steps=15, seed=seed, frame_interval_steps=0)
        (response,) = ask(relaxation, request)
        ends.append(crystal_from_proto(response.report.final).frac_coords)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)
    assert np.abs(ends[0] - ends[2]).max() > 1e-3


def test_pressure_changes_the_cell_in_npt_alone(relaxation: ServiceProcess) -> None:
    """The cell of an NPT run is another at its end; those of the other ensembles are as they came."""
    for name, value in dynamics_pb2.Ensemble.items():
        request = request_of(silicon(), steps=5, ensemble=value, frame_interval_steps=0, pressure_gpa=20)
        (response,) = ask(relaxation, request)
        moved = not np.allclose(crystal_from_proto(response.report.final).cell, silicon().cell, atol=1e-9)
        assert moved == (name == "ENSEMBLE_NPT"), name


def test_each_crystal_has_its_own_end(relaxation: ServiceProcess) -> None:
    """Side by side: a run, an atom alone, an unknown element, and one whose atoms collide."""
    polonium = replace(sodium_chloride("Po"), numbers=np.array([84, 17]))
    close = replace(silicon("close"), frac_coords=np.array([[0.0, 0, 0], [0.08, 0.08, 0.08]]))
    request = request_of(silicon(), lone_atom(), polonium, close, steps=5, frame_interval_steps=0)
    answers = {response.crystal_id: response for response in ask(relaxation, request)}
    assert answers["Si"].report.stable
    assert isinstance(from_status(answers["lone"].error), errors.IsolatedAtomError)
    assert isinstance(from_status(answers["Po"].error), errors.UnsupportedElementError)
    assert not answers["close"].report.stable
    assert "collided" in answers["close"].report.instability


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"steps": 0}, errors.InvalidFieldError),
        ({"steps": 1, "ensemble": 9}, errors.UnknownEnumValueError),
        ({"steps": 1, "model": "no-such-model"}, errors.ModelNotFoundError),
    ],
    ids=str,
)
def test_a_wrong_request_fails_whole(
    relaxation: ServiceProcess, fields: dict[str, Any], error: type[errors.CrystalMeshError]
) -> None:
    """With the typed error of what is wrong."""
    with pytest.raises(grpc.RpcError) as raised:
        ask(relaxation, request_of(silicon(), **fields))
    assert isinstance(from_rpc_failure(raised.value), error)
