"""The mesh as a user has it, on both runtimes: the same calls, the same answers, the same errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.property.v1 import property_service_pb2_grpc
from crystalmesh.property.v1.prediction_pb2 import PredictOptions, PredictRequest, PredictStreamRequest
from crystalmesh.relaxation.v1 import evaluation_pb2, relaxation_service_pb2_grpc
from crystalmesh.retrieval.v1 import retrieval_service_pb2_grpc
from crystalmesh.retrieval.v1.ingestion_pb2 import AddMaterialsRequest, MaterialInput
from crystalmesh.retrieval.v1.match_pb2 import FindMatchesRequest
from crystalmesh.retrieval.v1.material_pb2 import GetMaterialRequest
from crystalmesh.stability.v1 import stability_service_pb2_grpc
from crystalmesh.stability.v1.hull_pb2 import PhaseInput, ScoreStabilityRequest
from crystalmesh_client import Evaluation, Failed, Mesh
from crystalmesh_client.endpoints import read_endpoint_map
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    DisorderedCrystalError,
    EmptyBatchError,
    ModelNotFoundError,
    OverlappingAtomsError,
    ResourceNotFoundError,
)
from crystalmesh_common.runtime.statuses import from_rpc_failure
from tests.property.server.tiny_models import tiny_models

ROOT = Path(__file__).resolve().parents[2]
CLI = [sys.executable, "-m", "crystalmesh_client.cli"]
NACL = Crystal(
    cell=5.64 * (np.ones((3, 3)) - np.eye(3)) / 2,
    numbers=np.array([11, 17]),
    frac_coords=np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]),
    id="NaCl",
)
DISORDERED = """data_alloy
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Cu 0 0 0 0.5
Au 0 0 0 0.5
"""


@dataclass(frozen=True)
class RunningMesh:
    """A mesh that `crystalmesh up` started, and how to reach it."""

    home: Path
    environment: dict[str, str]

    def address(self, service: str) -> str:
        return read_endpoint_map(self.home / "endpoints.json").services[service].address

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CLI, *arguments], env=self.environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(
    scope="module",
    params=["standalone", pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.timeout(300)])],
)
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """Relaxation, retrieval and property, up and ready; down again at the end."""
    home = tmp_path_factory.mktemp(f"mesh-{request.param}")
    models = tiny_models(tmp_path_factory.mktemp("models"))
    variables = {
        "CRYSTALMESH_HOME": str(home),
        "CRYSTALMESH_PROPERTY_MODELS": json.dumps([str(models)]),
        "CRYSTALMESH_PROPERTY_SHIPPED_MODELS": "false",
        "CRYSTALMESH_PROPERTY_WORKERS": "1",
    }
    running = RunningMesh(home, {**os.environ, **variables})
    up = running.run("up", "relaxation", "retrieval", "property", "--runtime", request.param, "--detach")
    assert up.returncode == 0, up.stdout + up.stderr
    yield running
    down = running.run("down")
    assert down.returncode == 0, down.stdout + down.stderr


def relaxation_stub(
    mesh: RunningMesh,
) -> tuple[grpc.Channel, relaxation_service_pb2_grpc.RelaxationServiceStub]:
    channel = grpc.insecure_channel(mesh.address("relaxation"))
    return channel, relaxation_service_pb2_grpc.RelaxationServiceStub(channel)


ROUTE = (("application", "relaxation"),)


def test_a_batch_streams_one_outcome_per_crystal(mesh: RunningMesh) -> None:
    """Good crystals have numbers and bad ones their own typed error, in one streamed call."""
    clash = Crystal(NACL.cell, NACL.numbers, np.zeros((2, 3)), id="clash")
    with Mesh(mesh.address("relaxation")) as client:
        outcomes = {outcome.id: outcome for outcome in client.relaxation.evaluate_many([NACL, clash])}
    good, bad = outcomes["NaCl"], outcomes["clash"]
    assert isinstance(good, Evaluation)
    assert -4.0 < good.energy_ev_per_atom < -3.0
    assert good.max_force_ev_per_angstrom == pytest.approx(0, abs=1e-4)
    assert isinstance(bad, Failed)
    assert isinstance(bad.error, OverlappingAtomsError)


def test_a_unary_call_answers(mesh: RunningMesh) -> None:
    """Models are listed, with the default first and ready."""
    with Mesh(mesh.address("relaxation")) as client:
        models = client.relaxation.models()
    assert models[0].name == "chgnet-0.3.0"
    assert models[0].is_default
    assert models[0].ready


def test_text_is_read_on_the_server(mesh: RunningMesh) -> None:
    """CIF text travels as it is; a disordered one is refused with its reason."""
    channel, stub = relaxation_stub(mesh)
    good = (ROOT / "examples" / "LiFePO4.cif").read_text()
    request = evaluation_pb2.EvaluateRequest(
        crystals=[CrystalInput(id="olivine", cif_text=good), CrystalInput(id="alloy", cif_text=DISORDERED)]
    )
    with channel:
        answers = {answer.crystal_id: answer for answer in stub.Evaluate(request, metadata=ROUTE, timeout=60)}
    assert answers["olivine"].WhichOneof("outcome") == "evaluation"
    assert answers["alloy"].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert DisorderedCrystalError.reason.encode() in answers["alloy"].error.SerializeToString()


def test_a_call_that_fails_whole_is_typed_and_bare(mesh: RunningMesh) -> None:
    """Code, reason and request id reach the caller; nothing of the inside does."""
    channel, stub = relaxation_stub(mesh)
    metadata = (*ROUTE, ("x-request-id", "of-this-test"))
    unknown_model = evaluation_pb2.EvaluateRequest(
        crystals=[CrystalInput(poscar_text="x")], model="no-such-model"
    )
    for request, kind in (
        (unknown_model, ModelNotFoundError),
        (evaluation_pb2.EvaluateRequest(), EmptyBatchError),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            list(stub.Evaluate(request, metadata=metadata, timeout=60))
        failure = raised.value
        error = from_rpc_failure(failure)
        assert isinstance(error, kind)
        assert failure.code() is kind.code
        assert error.details["request_id"] == "of-this-test"
        assert not any(mark in str(failure) for mark in ("Traceback", "ray::", 'File "'))
    channel.close()


def test_a_hull_distance_comes_with_its_reference(mesh: RunningMesh) -> None:
    """StabilityService scores what RelaxationService's potential computes, against the shipped reference."""
    request = ScoreStabilityRequest(phases=[PhaseInput(crystal=CrystalInput(crystal=crystal_to_proto(NACL)))])
    with grpc.insecure_channel(mesh.address("relaxation")) as channel:
        stub = stability_service_pb2_grpc.StabilityServiceStub(channel)
        (response,) = stub.ScoreStability(request, metadata=ROUTE, timeout=60)
    distance = response.hull_distance
    assert 0 <= distance.energy_above_hull_ev_per_atom < 0.05
    assert distance.self_consistent
    assert (distance.reference.name, distance.formula) == ("mp20-chgnet-0.3.0", "NaCl")


def test_materials_are_added_and_found_again(mesh: RunningMesh) -> None:
    """A stream of materials is acknowledged, and crystals are looked up among them; errors are typed."""
    route = (("application", "retrieval"),)
    salt = CrystalInput(crystal=crystal_to_proto(NACL))
    materials = [MaterialInput(id=f"salt-{n}", crystal=salt) for n in range(3)]
    stream = [
        AddMaterialsRequest(catalog="ours", create_catalog=True, materials=materials[:1]),
        AddMaterialsRequest(materials=[*materials[1:], MaterialInput(id="bad")]),
    ]
    with grpc.insecure_channel(mesh.address("retrieval")) as channel:
        stub = retrieval_service_pb2_grpc.RetrievalServiceStub(channel)
        added = stub.AddMaterials(iter(stream), metadata=route, timeout=60)
        request = FindMatchesRequest(crystals=[salt], catalog="ours")
        (found,) = stub.FindMatches(request, metadata=route, timeout=60)
        with pytest.raises(grpc.RpcError) as raised:
            stub.GetMaterial(GetMaterialRequest(catalog="ours", material_id="x"), metadata=route, timeout=60)
    assert (added.received_count, added.added_count) == (4, 3)
    assert [rejection.index for rejection in added.rejections] == [3]
    assert sorted(match.material_id for match in found.matches.matches) == ["salt-0", "salt-1", "salt-2"]
    assert isinstance(from_rpc_failure(raised.value), ResourceNotFoundError)


def test_a_stream_of_crystals_is_predicted(mesh: RunningMesh) -> None:
    """Outcomes of a stream come one per crystal, a bad one among them, and errors are typed."""
    route = (("application", "property"),)
    salt = CrystalInput(crystal=crystal_to_proto(NACL))
    stream = [
        PredictStreamRequest(crystals=[salt, CrystalInput(id="alloy", cif_text=DISORDERED)]),
        PredictStreamRequest(crystals=[salt]),
    ]
    with grpc.insecure_channel(mesh.address("property")) as channel:
        stub = property_service_pb2_grpc.PropertyServiceStub(channel)
        outcomes = list(stub.PredictStream(iter(stream), metadata=route, timeout=60))
        request = PredictRequest(crystals=[salt], options=PredictOptions(model="none-such"))
        with pytest.raises(grpc.RpcError) as raised:
            list(stub.Predict(request, metadata=route, timeout=60))
    by_index = {outcome.index: outcome for outcome in outcomes}
    assert len(outcomes) == 3
    assert len(by_index[0].prediction.values) == 3
    assert by_index[2].prediction.values[0].value == pytest.approx(by_index[0].prediction.values[0].value)
    assert DisorderedCrystalError.reason.encode() in by_index[1].error.SerializeToString()
    assert isinstance(from_rpc_failure(raised.value), ModelNotFoundError)


def test_the_command_line_finds_the_mesh(mesh: RunningMesh) -> None:
    """`crystalmesh evaluate` needs no address, and `status` says that all is well."""
    done = mesh.run("evaluate", "--json", str(ROOT / "examples" / "TiO2.poscar"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["formula"] == "TiO2"
    assert mesh.run("status").returncode == 0
