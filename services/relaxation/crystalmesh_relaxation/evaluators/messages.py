"""What the service and its evaluators say to each other.

JSON once at the start, and the messages of the public API for crystals and their evaluations.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1 import evaluation_pb2
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest, EvaluateResponse
from crystalmesh_common.crystal.protobuf import crystal_from_proto, crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.statuses import from_status
from crystalmesh_relaxation.convert import QUANTITIES, evaluate_response
from crystalmesh_relaxation.engine import Evaluation, Network, PotentialInfo, Quantity


@dataclass(frozen=True)
class Start:
    """What an evaluator is to load."""

    service: str
    models: tuple[str, ...]
    device: str
    threads: int
    log_level: str
    log_format: Literal["json", "text"]
    model_folder: str = ""  # of published models; empty: the working folder
    allow_downloads: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """Crystals to evaluate, all with one potential."""

    model: str
    network: Network
    quantities: frozenset[Quantity]
    crystals: Sequence[Crystal]


Outcome = Evaluation | CrystalMeshError


def start_to_bytes(start: Start) -> bytes:
    return json.dumps(asdict(start)).encode()


def start_from_bytes(body: bytes) -> Start:
    fields = json.loads(body)
    return Start(**{**fields, "models": tuple(fields["models"])})


def infos_to_bytes(infos: Sequence[PotentialInfo]) -> bytes:
    fields = [
        {**asdict(info), "quantities": sorted(quantity.value for quantity in info.quantities)}
        for info in infos
    ]
    return json.dumps(fields).encode()


def infos_from_bytes(body: bytes) -> list[PotentialInfo]:
    return [
        PotentialInfo(
            **{
                **fields,
                "atomic_numbers": tuple(fields["atomic_numbers"]),
                "quantities": frozenset(map(Quantity, fields["quantities"])),
            }
        )
        for fields in json.loads(body)
    ]


def batch_to_bytes(batch: Batch) -> bytes:
    request = EvaluateRequest(
        model=f"{batch.network.value} {batch.model}",
        quantities=[value for value, quantity in QUANTITIES.items() if quantity in batch.quantities],
        crystals=[CrystalInput(crystal=crystal_to_proto(crystal)) for crystal in batch.crystals],
    )
    return request.SerializeToString()


def batch_from_bytes(body: bytes) -> Batch:
    request = EvaluateRequest.FromString(body)
    network, _, model = request.model.partition(" ")
    return Batch(
        model=model,
        network=Network(network),
        quantities=frozenset(QUANTITIES[value] for value in request.quantities),
        crystals=[crystal_from_proto(item.crystal) for item in request.crystals],
    )


def outcome_to_bytes(outcome: Outcome) -> bytes:
    return evaluate_response("", 0, outcome, "").SerializeToString()


def outcome_from_bytes(body: bytes, n_atoms: int) -> Outcome:
    """The outcome of a crystal of `n_atoms`; what is empty was not asked for."""
    response = EvaluateResponse.FromString(body)
    if response.WhichOneof("outcome") == "error":
        return from_status(response.error)
    return _evaluation(response.evaluation, n_atoms)


def _evaluation(message: evaluation_pb2.Evaluation, n_atoms: int) -> Evaluation:
    forces = np.array(message.forces_ev_per_angstrom, dtype=np.float64)
    stress = np.array(message.stress_gpa, dtype=np.float64)
    moments = np.array(message.magnetic_moments_mu_b, dtype=np.float64)
    return Evaluation(
        n_atoms,
        message.energy_ev,
        forces_ev_per_angstrom=forces.reshape(-1, 3) if forces.size else None,
        stress_gpa=stress.reshape(3, 3) if stress.size else None,
        magnetic_moments_mu_b=moments if moments.size else None,
    )
