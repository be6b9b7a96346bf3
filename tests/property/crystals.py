"""Crystals and tables that tests of this service build themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crystalmesh_common.crystal.structure import Crystal
from tests.conftest import sodium_chloride

_CATIONS, _ANIONS = [3, 11, 19, 37, 12, 20, 38], [9, 17, 35, 53, 8, 16, 34]


def random_crystal(seed: int, *, atoms: int = 4, id: str = "random") -> Crystal:  # noqa: A002
    """Some atoms nowhere in particular, at least 1 Å apart, in a cell without right angles."""
    random = np.random.default_rng(seed)
    while True:
        cell = np.diag(random.uniform(3.5, 6.5, 3)) + random.uniform(-1, 1, (3, 3))
        sites = random.random((atoms, 3))
        offsets = sites[:, None] - sites[None]
        lengths = np.linalg.norm((offsets - np.rint(offsets)) @ cell, axis=2) + 9 * np.eye(atoms)
        if np.linalg.det(cell) > 12 * atoms and lengths.min() > 1.0:
            return Crystal(cell, random.choice([3, 8, 14, 26, 56], atoms), sites, id)


def rock_salt(number: int) -> Crystal:
    """One of many rock salts: elements and lattice constant follow from the number."""
    first, second = _CATIONS[number % 7], _ANIONS[number // 7 % 7]
    unit = sodium_chloride(f"salt-{number:04d}", a=4.5 + 0.03 * (number % 50))
    return Crystal(unit.cell, np.array([first, second]), unit.frac_coords, unit.id)


def gap_of(crystal: Crystal) -> float:
    """A label that follows from what a graph shows: elements and distance."""
    return float(
        0.05 * abs(int(crystal.numbers[0]) - int(crystal.numbers[1])) + 8 / crystal.volume ** (1 / 3)
    )


def write_table(path: Path, crystals: Sequence[Crystal], columns: Mapping[str, Sequence[object]]) -> Path:
    """A Parquet table in the layout of docs/data.md."""
    leading = {
        "id": [crystal.id for crystal in crystals],
        "formula": ["" for _ in crystals],
        "cell": pa.array([crystal.cell.ravel() for crystal in crystals], pa.list_(pa.float32(), 9)),
        "numbers": pa.array([crystal.numbers for crystal in crystals], pa.list_(pa.uint8())),
        "frac_coords": pa.array(
            [crystal.frac_coords.ravel() for crystal in crystals], pa.list_(pa.float32())
        ),
        "space_group": pa.array([None for _ in crystals], pa.uint8()),
    }
    pq.write_table(pa.table({**leading, **columns}), path)
    return path


def salts_table(path: Path, numbers: Sequence[int], **columns: Sequence[object]) -> Path:
    """Rock salts with their gaps."""
    crystals = [rock_salt(number) for number in numbers]
    return write_table(path, crystals, {"band_gap_ev": [gap_of(each) for each in crystals], **columns})
