"""Small untrained networks as models in folders, so that the server's own tests need no training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from crystalmesh_property.evaluation.scoring import Score
from crystalmesh_property.graphs.graph import GraphOptions
from crystalmesh_property.model.files import TrainedModel, save_model
from crystalmesh_property.model.network import CrystalGraphNetwork, NetworkConfig
from crystalmesh_property.properties import SCALES, Property
from crystalmesh_property.training.experiment import Experiment

MODULI_AND_GAP = (Property.BULK_MODULUS, Property.BAND_GAP)
ENERGY_AND_GAP = (Property.FORMATION_ENERGY, Property.BAND_GAP)
FACTOR = 2.5
DOMAIN = {
    "crystals": 100,
    # Sodium and chlorine often, silicon hardly, iron never.
    "crystals_with_element": {"8": 40, "11": 50, "14": 3, "17": 50},
    "volume_per_atom_cubic_angstrom": [8.0, 30.0],
    "atoms": [1, 8],
    "shortest_distance_angstrom": 1.5,
}


def provenance(properties: tuple[Property, ...], maes: dict[Property, float]) -> dict[str, Any]:
    """What a training writes about itself."""
    experiment = Experiment.model_validate(
        {
            "name": "tiny",
            "seed": 7,
            "properties": properties,
            "data": {"protocol": "matbench", "train": "matbench_mp_gap.parquet", "fold": 2},
            "budget": {"steps": 30},
        }
    )
    scores = [Score(name, 30, mae, 1.5 * mae, 1.0, 1.1, 0.94, 2 * mae) for name, mae in maes.items()]
    return {
        "experiment": experiment.model_dump(mode="json"),
        "tables": {"matbench_mp_gap.parquet": "00"},
        "split": "matbench fold 2",
        "crystals": {"train": 96, "validation": 24, "test": 30},
        "steps": 1234,
        "epochs": 5.0,
        "training_seconds": 120.0,
        "machine": "x86_64, cpu, torch 2.13",
        "scores": [asdict(score) for score in scores],
    }


def tiny_model(
    properties: tuple[Property, ...] = MODULI_AND_GAP,
    *,
    seed: int = 0,
    graphs: GraphOptions | None = None,
    **maes: float,
) -> TrainedModel:
    """An untrained network that says something else of every crystal; `maes` are its test errors by name."""
    torch.manual_seed(seed)
    network = CrystalGraphNetwork(NetworkConfig(width=16, layers=2, radial_functions=8), properties)
    # Wide, so that crystals differ by much more than by rounding; of a logarithm a little is much.
    spreads = [0.3 if SCALES[name].logarithmic else 20.0 for name in properties]
    network.spreads.copy_(torch.tensor(spreads))
    network.centres.fill_(1.0)
    return TrainedModel(
        network=network.eval(),
        graphs=graphs or GraphOptions(),
        interval_factors=dict.fromkeys(properties, FACTOR),
        domain=dict(DOMAIN),
        provenance=provenance(properties, {Property(name): mae for name, mae in maes.items()}),
    )


def tiny_models(folder: Path) -> Path:
    """A folder of `energies` and `moduli`, which both give band gaps, and of two that are broken.

    `moduli` is the better one at band gaps.
    """
    save_model(tiny_model(ENERGY_AND_GAP, seed=1, band_gap_ev=0.4), folder / "energies")
    save_model(
        tiny_model(MODULI_AND_GAP, seed=2, graphs=GraphOptions(neighbours=8), band_gap_ev=0.2),
        folder / "moduli",
    )
    save_model(tiny_model(), folder / "damaged")
    (folder / "damaged" / "model.safetensors").write_bytes(b"not what was written")
    (folder / "empty").mkdir()
    return folder
