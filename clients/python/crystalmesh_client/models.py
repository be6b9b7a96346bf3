"""What a service says of the models that it serves."""

from __future__ import annotations

from dataclasses import dataclass

from crystalmesh.common.v1.model_pb2 import ModelInfo


@dataclass(frozen=True)
class Model:
    """A model that a service serves."""

    name: str
    version: str
    is_default: bool
    ready: bool
    license: str
    description: str
    atomic_numbers: tuple[int, ...]  # known elements; empty: not stated
    device: str


def model_from(message: ModelInfo) -> Model:
    """The typed form of a message."""
    return Model(
        name=message.name,
        version=message.version,
        is_default=message.is_default,
        ready=message.ready,
        license=message.license,
        description=message.description,
        atomic_numbers=tuple(message.atomic_numbers),
        device=message.device,
    )
