"""What the service and its predictors say to each other over pipes.

A message is a kind of one byte, a length of four, and a body: JSON for what there is to load and what came of
it, and the messages of the public API for crystals and their outcomes. Nothing that could be executed is ever
read.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Literal

from google.rpc.status_pb2 import Status

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.property.v1.prediction_pb2 import PredictRequest, PredictResponse
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.statuses import from_status, to_status
from crystalmesh_property.convert import Outcome, predict_response
from crystalmesh_property.properties import Property
from crystalmesh_property.serving.folders import ModelFolder
from crystalmesh_property.serving.prediction import LoadedModel, Plan, Question

_HEADER = struct.Struct(">cI")
_LENGTH = struct.Struct(">I")


class Kind(Enum):
    """What a message is."""

    START = b"S"  # to the predictor: what to load
    LOADED = b"L"  # from it: what became of each model
    FAILED = b"F"  # from it: the loading or the batch failed as a whole
    BATCH = b"B"  # to it: crystals as they came, and what is asked of them
    OUTCOME = b"O"  # from it: one crystal's outcome; as many as there were crystals, in order


@dataclass(frozen=True)
class Start:
    """What a predictor is to load, and how it works."""

    service: str
    folders: tuple[ModelFolder, ...]
    device: str
    threads: int
    atoms_per_crystal: int
    log_level: str
    log_format: Literal["json", "text"]


@dataclass(frozen=True, eq=False)
class Batch:
    """Crystals as they came off the wire, all with one plan."""

    plan: Plan
    crystals: Sequence[CrystalInput]


def write(pipe: IO[bytes], *messages: tuple[Kind, bytes]) -> None:
    """Send messages; they are under way when this returns."""
    pipe.write(b"".join(_HEADER.pack(kind.value, len(body)) + body for kind, body in messages))
    pipe.flush()


def read(pipe: IO[bytes]) -> tuple[Kind, bytes]:
    """Wait for a message; raises EOFError when the other end has gone."""
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise EOFError
    kind, length = _HEADER.unpack(header)
    body = pipe.read(length)
    if len(body) < length:
        raise EOFError
    return Kind(kind), body


def start_to_bytes(start: Start) -> bytes:
    folders = [[folder.name, str(folder.path)] for folder in start.folders]
    return json.dumps({**asdict(start), "folders": folders}).encode()


def start_from_bytes(body: bytes) -> Start:
    fields = json.loads(body)
    folders = tuple(ModelFolder(name, Path(path)) for name, path in fields["folders"])
    return Start(**{**fields, "folders": folders})


def models_to_bytes(models: Sequence[LoadedModel]) -> bytes:
    return json.dumps([asdict(model) for model in models]).encode()


def models_from_bytes(body: bytes) -> list[LoadedModel]:
    return [
        LoadedModel(
            **{
                **fields,
                "properties": tuple(map(Property, fields["properties"])),
                "atomic_numbers": tuple(fields["atomic_numbers"]),
            }
        )
        for fields in json.loads(body)
    ]


def error_to_bytes(error: CrystalMeshError) -> bytes:
    status: bytes = to_status(error).SerializeToString()
    return status


def error_from_bytes(body: bytes) -> CrystalMeshError:
    return from_status(Status.FromString(body))


def batch_to_bytes(batch: Batch) -> bytes:
    plan = json.dumps(batch.plan).encode()
    return _LENGTH.pack(len(plan)) + plan + PredictRequest(crystals=batch.crystals).SerializeToString()


def batch_from_bytes(body: bytes) -> Batch:
    (length,) = _LENGTH.unpack_from(body)
    plan, crystals = body[_LENGTH.size : _LENGTH.size + length], body[_LENGTH.size + length :]
    questions = tuple(Question(Property(name), model) for name, model in json.loads(plan))
    return Batch(questions, PredictRequest.FromString(crystals).crystals)


def outcome_to_bytes(outcome: Outcome) -> bytes:
    return predict_response("", 0, outcome).SerializeToString()


def outcome_from_bytes(body: bytes) -> Outcome:
    response = PredictResponse.FromString(body)
    if response.WhichOneof("outcome") == "error":
        return from_status(response.error)
    return response.prediction
