"""A small world to learn from: rock salts, and caesium chlorides of the same elements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_generation.training.corpus import Corpus, training_corpus, validation_corpus
from crystalmesh_generation.training.experiment import (
    BudgetConfig,
    DataConfig,
    Experiment,
    MachineConfig,
    OptimizationConfig,
    SizeConfig,
)

CATIONS, ANIONS = (3, 11, 19, 37, 55), (9, 17, 35, 53)
RADII = {3: 0.9, 11: 1.16, 19: 1.52, 37: 1.66, 55: 1.81, 9: 1.19, 17: 1.67, 35: 1.82, 53: 2.06}

EXPERIMENT = Experiment(
    name="salts",
    data=DataConfig(
        train=Path("train.parquet"),
        validation=Path("val.parquet"),
        hull=None,
        validation_crystals=4,
        references=2,
    ),
    budget=BudgetConfig(steps=6, checks=3),
    optimization=OptimizationConfig(words=512, learning_rate=1e-2),
    model=SizeConfig(width=32, layers=2, heads=1, inner=64, positions=256),
    machine=MachineConfig(device="cpu", threads=1),
)


def salts() -> list[Crystal]:
    """Every cation with every anion, as rock salt and as caesium chloride."""
    crystals = []
    for cation in CATIONS:
        for anion in ANIONS:
            bond = RADII[cation] + RADII[anion]
            rock = bond * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
            simple = 1.05 * bond * 2 / np.sqrt(3) * np.eye(3)
            for cell in (rock, simple):
                sites = np.array([[0, 0, 0], [0.5, 0.5, 0.5]])
                crystals.append(Crystal(cell, np.array([cation, anion]), sites, f"{cation}-{anion}"))
    return crystals


def write_table(path: Path, crystals: list[Crystal]) -> None:
    """The crystals as a table like those of docs/data.md, with two labels."""
    columns = {
        "id": [crystal.id for crystal in crystals],
        "formula": [crystal.id for crystal in crystals],
        "cell": [crystal.cell.ravel().tolist() for crystal in crystals],
        "numbers": [crystal.numbers.tolist() for crystal in crystals],
        "frac_coords": [crystal.frac_coords.ravel().tolist() for crystal in crystals],
        "formation_energy_ev_per_atom": [-10 / crystal.volume ** (1 / 3) for crystal in crystals],
        "band_gap_ev": [float(crystal.numbers[0]) / 10 for crystal in crystals],
    }
    pq.write_table(pa.table(columns), path)


def corpora(folder: Path) -> tuple[Corpus, Corpus]:
    """What is learnt from and what is validated on, made in a folder."""
    crystals = salts()
    write_table(folder / "train.parquet", crystals[::2] + crystals[1:30:2])
    write_table(folder / "val.parquet", crystals[31::2])
    quiet = lambda *_: None  # noqa: E731 -- nobody watches
    data = EXPERIMENT.data
    held_out = validation_corpus(data, folder, folder / "corpus", quiet)
    assert held_out is not None
    return training_corpus(data, folder, folder / "corpus", quiet), held_out
