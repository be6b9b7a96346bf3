"""A data set small enough to train on in a test, made of real structure types with elements put in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_retrieval.training.checkpoints import Progress
from crystalmesh_retrieval.training.pairs import Pair, read_pairs
from crystalmesh_retrieval.training.recipe import Recipe, recipe

_CATIONS = ("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr")
_ANIONS = ("O", "S", "Se", "F", "Cl", "Br")
_FACE_CENTRED = (0.0, 0.5, 0.5, 0.5, 0.0, 0.5, 0.5, 0.5, 0.0)


def write_split(folder: Path) -> Path:
    """32 materials to learn from, 8 to validate and 8 to test with."""
    rows = [_rock_salt(n) for n in range(48)]
    for name, part in (("train", rows[:32]), ("val", rows[32:40]), ("test", rows[40:])):
        write_table(folder / f"{name}.parquet", part)
    return folder


def write_table(path: Path, rows: Sequence[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)


def _rock_salt(n: int) -> dict[str, object]:
    """The n-th of 48 pairs of a cation and an anion, in rock salt."""
    cation, anion = _CATIONS[n % 8], _ANIONS[n // 8]
    return {
        "id": f"salt-{n}",
        "cell": [(4.2 + 0.05 * n) * share for share in _FACE_CENTRED],
        "numbers": [ATOMIC_NUMBERS[cation], ATOMIC_NUMBERS[anion]],
        "frac_coords": [0.0, 0.0, 0.0, 0.5, 0.5, 0.5],
        "formation_energy_ev_per_atom": -2.0 + 0.031 * n,
        "band_gap_ev": 0.1 * n,
        "energy_above_hull_ev_per_atom": None if n % 2 else 0.004 * n,
    }


def pairs_of(folder: Path, name: str = "train") -> list[Pair]:
    return read_pairs(folder / f"{name}.parquet", folder / "texts", processes=1)


def tiny(**changes: object) -> Recipe:
    """A recipe that is done in a second."""
    small = {"width": 32, "layers": 1, "heads": 2, "feed_forward": 64, "vocabulary": 600, "batch": 8}
    return recipe("compact", **{**small, "alike": 2, "epochs": 2, "skimmed_epochs": 1, **changes})


@dataclass
class Silent:
    """A watcher that keeps what it is told."""

    losses: list[float]
    scores: list[float]

    def stepped(self, progress: Progress, steps: int, loss: float) -> None:
        self.losses.append(loss)

    def validated(self, epoch: int, score: float, *, best: bool) -> None:
        self.scores.append(score)


def silent() -> Silent:
    return Silent([], [])
