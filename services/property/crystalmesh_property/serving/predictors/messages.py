"""What the service and its predictors say to each other.

JSON for what there is to load and what came of it, and the messages of the public API for crystals and their
outcomes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.property.v1.prediction_pb2 import PredictRequest, PredictResponse
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_common.runtime.statuses import from_status
from crystalmesh_property.convert import Outcome, predict_response
from crystalmesh_property.properties import Property
from crystalmesh_property.serving.prediction import LoadedModel, Plan, Question

_LENGTH = struct.Struct(">I")


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
