"""A trained model as a folder: `model.json` says what it is, `model.safetensors` holds its numbers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import DataCorruptError, ModelNotFoundError
from crystalmesh_property.graphs.graph import GraphOptions
from crystalmesh_property.model.network import CrystalGraphNetwork, NetworkConfig
from crystalmesh_property.properties import Property

FORMAT = 1
_SAID, _NUMBERS = "model.json", "model.safetensors"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A network with what is needed to use it, and where it comes from."""

    network: CrystalGraphNetwork
    graphs: GraphOptions
    interval_factors: dict[Property, float]  # half widths of 95% intervals, in scales
    domain: dict[str, Any]  # what it was trained on, see `model.domain`
    provenance: dict[str, Any] = field(default_factory=dict)  # data, budget, scores


def save_model(model: TrainedModel, folder: Path) -> None:
    """Write a model's folder; `model.json` comes last and names the hash of the numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = save({name: values.cpu().contiguous() for name, values in model.network.state_dict().items()})
    said = {
        "format": FORMAT,
        "sha256": hashlib.sha256(numbers).hexdigest(),
        "properties": list(model.network.properties),
        "network": model.network.config.model_dump(),
        "graphs": asdict(model.graphs),
        "interval_factors": model.interval_factors,
        "domain": model.domain,
        "provenance": model.provenance,
    }
    write_file(folder / _NUMBERS, numbers)
    write_file(folder / _SAID, json.dumps(said, indent=1).encode())


def load_model(folder: Path, device: str = "cpu") -> TrainedModel:
    """A model out of its folder, ready to predict.

    Raises ModelNotFoundError where there is none, and DataCorruptError where it is not what was written.
    """
    try:
        said = json.loads((folder / _SAID).read_bytes())
        numbers = (folder / _NUMBERS).read_bytes()
    except FileNotFoundError as error:
        raise ModelNotFoundError(f"there is no model in {folder}") from error
    except (OSError, ValueError) as error:
        raise DataCorruptError(f"the model in {folder} cannot be read: {error}") from error
    try:
        if said["format"] != FORMAT or hashlib.sha256(numbers).hexdigest() != said["sha256"]:
            raise DataCorruptError(f"the model in {folder} is not what was written")
        properties = tuple(Property(name) for name in said["properties"])
        network = CrystalGraphNetwork(NetworkConfig(**said["network"]), properties)
        network.load_state_dict(load(numbers))
        return TrainedModel(
            network=network.to(torch.device(device)).eval(),
            graphs=GraphOptions(**said["graphs"]),
            interval_factors={Property(name): value for name, value in said["interval_factors"].items()},
            domain=said["domain"],
            provenance=said["provenance"],
        )
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise DataCorruptError(f"the model in {folder} does not fit this version: {error}") from error
