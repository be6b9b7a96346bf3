"""Scorecards through the real server."""

from __future__ import annotations

import math

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1 import evaluation_pb2, relaxation_service_pb2_grpc, scorecard_pb2
from crystalmesh.relaxation.v1.scorecard_pb2 import ScorePotentialRequest, ScorePotentialResponse
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.statuses import from_rpc_failure, from_status
from crystalmesh_relaxation.scorecard.definition import PHYSICAL_1
from tests.conftest import AUTHORIZATION, ServiceProcess, lone_atom, silicon
from tests.relaxation.dynamics.springs import rattled
from tests.relaxation.wire import ask as ask_wire
from tests.relaxation.wire import request_of


def ask(server: ServiceProcess, request: ScorePotentialRequest) -> list[ScorePotentialResponse]:
    with grpc.insecure_channel(server.address) as channel:
        stub = relaxation_service_pb2_grpc.RelaxationServiceStub(channel)
        return list(stub.ScorePotential(request, metadata=AUTHORIZATION, timeout=150))


def failure_of(server: ServiceProcess, request: ScorePotentialRequest) -> errors.CrystalMeshError:
    with pytest.raises(grpc.RpcError) as raised:
        ask(server, request)
    return from_rpc_failure(raised.value)


def frame_of(crystal: Crystal, *, energy_ev: float = -10.0) -> scorecard_pb2.LabelledFrame:
    return scorecard_pb2.LabelledFrame(
        crystal=CrystalInput(crystal=crystal_to_proto(crystal)),
        energy_ev=energy_ev,
        forces_ev_per_angstrom=np.zeros(3 * len(crystal)).tolist(),
    )


def pair() -> list[scorecard_pb2.LabelledFrame]:
    return [frame_of(rattled(silicon(), name, seed=seed)) for seed, name in enumerate("ab")]


def test_a_potential_agrees_with_its_own_labels(relaxation: ServiceProcess) -> None:
    """CHGNet judged by what CHGNet said, another zero of energy aside: no errors, stable, nearly 1."""
    crystals = [rattled(silicon(), name, seed=seed) for seed, name in enumerate("ab")]
    frames = [frame_of(crystal) for crystal in crystals]
    quantities = [evaluation_pb2.QUANTITY_FORCES]
    for outcome in ask_wire(relaxation, request_of(*crystals, quantities=quantities)).outcomes:
        frames[outcome.index].energy_ev = outcome.evaluation.energy_ev + 25
        frames[outcome.index].forces_ev_per_angstrom[:] = outcome.evaluation.forces_ev_per_angstrom
    *metrics, last = ask(relaxation, ScorePotentialRequest(frames=frames))
    scorecard = last.scorecard
    assert (scorecard.name, scorecard.model) == ("physical-1", "chgnet-0.3.0")
    assert scorecard.definition_sha256 == PHYSICAL_1.sha256
    assert list(scorecard.metrics) == [response.metric for response in metrics]
    values = {metric.name: metric.value for metric in scorecard.metrics}
    assert list(values) == [metric.name for metric in PHYSICAL_1.metrics]
    assert values["energy_mae_ev_per_atom"] < 1e-4
    assert values["force_mae_ev_per_angstrom"] < 1e-3
    assert values["survival_fraction"] == 1
    assert values["throughput_atoms_per_second"] > 0
    # How fast this machine is at the moment is no claim of this test.
    slow = {"throughput_atoms_per_second"}
    assert all(metric.passed for metric in scorecard.metrics if metric.name not in slow)
    assert scorecard.passed == all(metric.passed for metric in scorecard.metrics)
    assert 0 < scorecard.composite_score <= 1


def test_frames_that_are_wrong_fail_the_call(relaxation: ServiceProcess) -> None:
    """The field says which frame and what of it, as a score of the others would be another score."""
    few, nan, shapeless, overlapping = pair(), pair(), pair(), pair()
    few[1].forces_ev_per_angstrom.pop()
    nan[1].energy_ev = math.nan
    shapeless[1].crystal.crystal.cell_angstrom.pop()
    overlapping[0].crystal.crystal.fractional_coordinates[:] = [0.0] * 6
    wrong = [
        (few, "frames[1].forces_ev_per_angstrom"),
        (nan, "frames[1].energy_ev"),
        (shapeless, "frames[1].crystal.cell_angstrom"),
        (overlapping, "frames[0].crystal"),
        (pair()[:1], "frames"),
    ]
    for frames, field in wrong:
        error = failure_of(relaxation, ScorePotentialRequest(frames=frames))
        assert error.code is grpc.StatusCode.INVALID_ARGUMENT
        assert error.details["field"] == field
    assert isinstance(failure_of(relaxation, ScorePotentialRequest()), errors.EmptyBatchError)


def test_what_is_not_served_is_not_found(relaxation: ServiceProcess) -> None:
    """An unknown scorecard and an unknown model fail the call."""
    scorecard = failure_of(relaxation, ScorePotentialRequest(frames=pair(), scorecard="physical-0"))
    assert isinstance(scorecard, errors.ResourceNotFoundError)
    model = failure_of(relaxation, ScorePotentialRequest(frames=pair(), model="no-such-model"))
    assert isinstance(model, errors.ModelNotFoundError)


def test_a_potential_that_cannot_evaluate_a_frame_is_not_judged(relaxation: ServiceProcess) -> None:
    """The one answer is the error, with the frame that it is about."""
    frames = [*pair(), frame_of(lone_atom())]
    (response,) = ask(relaxation, ScorePotentialRequest(frames=frames))
    error = from_status(response.error)
    assert isinstance(error, errors.IsolatedAtomError)
    assert error.details["crystal_id"] == "lone"
