"""The models of this server, as messages."""

from __future__ import annotations

from typing import Any

from crystalmesh.common.v1.model_pb2 import ModelInfo
from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.generation.v1.generation_service_pb2 import GenerationModel
from crystalmesh_generation.serving.models import ModelFacts, ServedModels


def models(served: ServedModels, *, ready: bool, device: str) -> list[GenerationModel]:
    """All models, the default first; of one that cannot write, its name and why."""
    default = served.default
    return [
        _model(model, is_default=model == default, ready=ready, device=device)
        if model.ready
        else GenerationModel(model=ModelInfo(name=model.name, description=model.reason, device=device))
        for model in served.all()
    ]


def _model(model: ModelFacts, *, is_default: bool, ready: bool, device: str) -> GenerationModel:
    return GenerationModel(
        model=ModelInfo(
            name=model.name,
            version=model.version,
            is_default=is_default,
            ready=ready,
            license=_said(model, "license"),
            description=_said(model, "description") or _description(model),
            device=device,
        ),
        engine=model.engine,
        max_atoms=model.max_atoms,
        max_tokens=model.max_tokens,
        predicted_properties=[property_number(name) for name in model.properties],
    )


def property_number(name: str) -> property_pb2.Property.ValueType:
    """The property of a name in the API: "band_gap_ev"."""
    return property_pb2.Property.Value(f"PROPERTY_{name.upper()}")


def _said(model: ModelFacts, name: str) -> str:
    """What its training, or who put it there, wrote of it; a model may be used without."""
    value: Any = model.provenance.get(name, "")
    return value if isinstance(value, str) else ""


def _description(model: ModelFacts) -> str:
    return (
        f"Language model of {model.parameters / 1e6:.1f} million parameters that writes crystals of up to "
        f"{model.max_atoms} atoms."
    )
