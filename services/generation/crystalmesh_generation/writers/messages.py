"""What the service and its writers say to each other.

JSON for what there is to load, what came of it and which samples are wanted, and the messages of the public
API for orders and outcomes.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from google.rpc.status_pb2 import Status

from crystalmesh.generation.v1.generation_pb2 import GenerateResponse
from crystalmesh.generation.v1.transition_pb2 import Transition
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_common.runtime.statuses import from_status, to_status
from crystalmesh_generation.serving.models import ModelFacts

_LENGTH = struct.Struct(">I")
_TEXT, _RESPONSE, _TRANSITION, _ERROR = b"t", b"r", b"w", b"e"


@dataclass(frozen=True)
class Start:
    """What a writer is to load, and how it works."""

    service: str
    folders: tuple[ModelFolder, ...]
    engine: str
    device: str
    threads: int
    capacity: int
    texts: int
    substitutions: int
    screen: bool
    materials: Path | None
    atoms_per_crystal: int
    log_level: str
    log_format: Literal["json", "text"]


@dataclass(frozen=True, eq=False)
class NewSample:
    """A sample to begin with."""

    key: int
    request: bytes  # a GenerateRequest with one prompt, as orders have it; those of one prompt share it
    number: int  # among the samples of its prompt
    only_transition: bool = False


@dataclass(frozen=True, eq=False)
class Batch:
    """The samples that are wanted; the others that a writer has are not wanted any more."""

    keys: Sequence[int]
    new: Sequence[NewSample] = ()  # of these, those that the writer has not, or is to begin again


Outcome = GenerateResponse | Transition | CrystalMeshError | str
"""What has come of a sample; text is how far its transition is, and more follows."""


def start_to_bytes(start: Start) -> bytes:
    folders = [[folder.name, str(folder.path)] for folder in start.folders]
    materials = None if start.materials is None else str(start.materials)
    return json.dumps({**asdict(start), "folders": folders, "materials": materials}).encode()


def start_from_bytes(body: bytes) -> Start:
    fields = json.loads(body)
    folders = tuple(ModelFolder(name, Path(path)) for name, path in fields["folders"])
    materials = None if fields["materials"] is None else Path(fields["materials"])
    return Start(**{**fields, "folders": folders, "materials": materials})


def models_to_bytes(models: Sequence[ModelFacts]) -> bytes:
    return json.dumps([asdict(model) for model in models]).encode()


def models_from_bytes(body: bytes) -> list[ModelFacts]:
    return [
        ModelFacts(**{**fields, "properties": tuple(fields["properties"])}) for fields in json.loads(body)
    ]


def batch_to_bytes(batch: Batch) -> bytes:
    """Each request goes once, however many of its samples are new."""
    requests = list(dict.fromkeys(sample.request for sample in batch.new))
    places = {request: place for place, request in enumerate(requests)}
    head = {
        "keys": list(batch.keys),
        "new": [
            [sample.key, places[sample.request], sample.number, sample.only_transition]
            for sample in batch.new
        ],
    }
    parts = [json.dumps(head).encode(), *requests]
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def batch_from_bytes(body: bytes) -> Batch:
    parts: list[bytes] = []
    start = 0
    while start < len(body):
        (length,) = _LENGTH.unpack_from(body, start)
        start += _LENGTH.size
        parts.append(body[start : start + length])
        start += length
    head = json.loads(parts[0])
    new = [NewSample(key, parts[1 + place], number, only) for key, place, number, only in head["new"]]
    return Batch(head["keys"], new)


def outcome_to_bytes(outcome: Outcome) -> bytes:
    if isinstance(outcome, str):
        return _TEXT + outcome.encode()
    if isinstance(outcome, CrystalMeshError):
        return _ERROR + bytes(to_status(outcome).SerializeToString())
    kind = _RESPONSE if isinstance(outcome, GenerateResponse) else _TRANSITION
    return kind + bytes(outcome.SerializeToString())


def outcome_from_bytes(body: bytes) -> Outcome:
    kind, rest = body[:1], body[1:]
    if kind == _TEXT:
        return rest.decode()
    if kind == _ERROR:
        return from_status(Status.FromString(rest))
    return GenerateResponse.FromString(rest) if kind == _RESPONSE else Transition.FromString(rest)
