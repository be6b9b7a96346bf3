"""What is learnt from: crystals with their labels, what can be said of each, and which is told from which."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crystalmesh_common.crystal.composition import density_g_per_cubic_centimeter
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.durable import write_file
from crystalmesh_generation.language.portrait import Environment, Portrait, portrait_of
from crystalmesh_generation.pairs.pair_table import Pair
from crystalmesh_generation.pairs.pairing import CRYSTALS_FILE, TARGETS_FILE, PairRequest, make_pairs
from crystalmesh_generation.pairs.standard_table import Progress, StandardTable, read_standard
from crystalmesh_generation.training.experiment import DataConfig

LABELS = {
    "formation_energy_ev_per_atom": "formation_energy_ev_per_atom",
    "band_gap_ev": "band_gap_ev",
    "energy_above_hull_ev_per_atom": "energy_above_hull_ev_per_atom",
    "bulk_modulus_gpa": "bulk_modulus_gpa",
    "magnetization_mu_b_per_cubic_angstrom": "magnetization_mu_b_per_a3",
}
"""Columns of the tables by the names of properties in the API."""


TransitionSource = Callable[[Pair], str | None]
"""The transition of a pair that somebody wrote; None where the analyser is to write it."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One crystal of the corpus, in its standard setting."""

    crystal: Crystal
    portrait: Portrait


@dataclass(frozen=True, eq=False)
class Corpus:
    """Crystals to learn to write, each with the pairs that say what it is written from."""

    entries: Mapping[int, Entry]  # targets by their rows
    references: Mapping[int, Entry]  # by the rows of their table, which may be the same
    pairs: Mapping[int, tuple[Pair, ...]]  # by the row of the target
    sha256: str  # of the targets' table
    transitions: TransitionSource | None = None  # that others than our analyser wrote


def training_corpus(data: DataConfig, folder: Path, cache: Path, progress: Progress) -> Corpus:
    """The crystals to learn from, paired among themselves. `cache` keeps what was made of the tables."""
    table = folder / data.train
    request = PairRequest(table, table, per_target=data.references)
    return _corpus(request, cache / "train", _hull(data, folder), progress)


def validation_corpus(data: DataConfig, folder: Path, cache: Path, progress: Progress) -> Corpus | None:
    """Crystals that are not learnt from, paired with those that are; None without such a table."""
    if data.validation is None:
        return None
    request = PairRequest(
        folder / data.validation, folder / data.train, per_target=1, sample=data.validation_crystals
    )
    return _corpus(request, cache / "validation", _hull(data, folder), progress)


def _hull(data: DataConfig, folder: Path) -> Path | None:
    return None if data.hull is None else folder / data.hull


def _corpus(request: PairRequest, cache: Path, hull: Path | None, progress: Progress) -> Corpus:
    table = make_pairs(request, cache, progress)
    by_target: dict[int, list[Pair]] = defaultdict(list)
    for pair in table.pairs:
        by_target[pair.target].append(pair)
    wanted = {pair.reference for pair in table.pairs}
    if request.references == request.targets:
        references = _entries(
            request.references, cache / CRYSTALS_FILE, wanted | by_target.keys(), hull, progress
        )
        targets = references
    else:
        references = _entries(request.references, cache / CRYSTALS_FILE, wanted, hull, progress)
        targets = _entries(request.targets, cache / TARGETS_FILE, set(by_target), hull, progress)
    pairs = {row: tuple(each) for row, each in by_target.items()}
    return Corpus(targets, references, pairs, table.origin.targets_sha256)


def _entries(
    table: Path, standard: Path, rows: set[int], hull: Path | None, progress: Progress
) -> dict[int, Entry]:
    """The crystals of some rows of a table, out of the file with all in standard settings."""
    settings: StandardTable = read_standard(standard)
    crystals = {each.row: each.crystal for each in settings.crystals if each.row in rows}
    cache = standard.with_name(f"{standard.stem}-portraits-{settings.sha256[:12]}.jsonl")
    told = portraits(crystals, labels_of(table, hull), cache, progress)
    return {row: Entry(crystal, told[row]) for row, crystal in crystals.items()}


def labels_of(table: Path, hull: Path | None) -> dict[str, NDArray[np.float64]]:
    """The labels of every row by the names in the API, NaN where the table has none.

    With a table of `hull` entries, hull distances that are lacking are computed from formation energies;
    that needs crystalmesh-relaxation, whose hulls these are.
    """
    present = set(pq.read_schema(table).names)
    columns = pq.read_table(table, columns=["formula", "numbers", *(present & set(LABELS.values()))])
    labels = {
        name: columns.column(column).to_numpy().astype(np.float64)
        for name, column in LABELS.items()
        if column in present
    }
    if hull is not None:
        _add_hull_distances(labels, columns.column("numbers").to_pylist(), hull)
    return labels


def portraits(
    crystals: Mapping[int, Crystal],
    labels: Mapping[str, NDArray[np.float64]],
    cache: Path,
    progress: Progress,
) -> dict[int, Portrait]:
    """The portraits of crystals by their rows, kept in the file `cache`; about 5 ms each the first time.

    The caller names the file after what the crystals came from; labels are always those given.
    """
    known = _read_portraits(cache) if cache.exists() else {}
    told: dict[int, Portrait] = {}
    for done, (row, crystal) in enumerate(crystals.items()):
        told[row] = known[row] if row in known else portrait_of(crystal)
        progress("portraits", done, len(crystals))
    if told.keys() - known.keys():
        lines = (json.dumps({"row": row, **asdict(each)}) for row, each in told.items())
        write_file(cache, "\n".join(lines).encode())
    return {
        row: _with_values(each, crystals[row], {name: float(labels[name][row]) for name in labels})
        for row, each in told.items()
    }


def _with_values(portrait: Portrait, crystal: Crystal, values: Mapping[str, float]) -> Portrait:
    known = {name: value for name, value in values.items() if np.isfinite(value)}
    known["density_g_per_cubic_centimeter"] = density_g_per_cubic_centimeter(crystal)
    known["atoms_in_cell"] = float(len(crystal))
    return Portrait(**{**vars(portrait), "properties": known})


def _read_portraits(path: Path) -> dict[int, Portrait]:
    """What `portraits` kept; nothing for a file that is damaged or of an earlier form."""
    try:
        said = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {each.pop("row"): _portrait(each) for each in said}
    except (ValueError, TypeError, KeyError):
        return {}


def _portrait(said: dict[str, Any]) -> Portrait:
    return Portrait(
        **{
            **said,
            "composition": tuple((number, count) for number, count in said["composition"]),
            "environments": tuple(
                Environment(**{**each, "ligands": tuple(each["ligands"])}) for each in said["environments"]
            ),
            "oxidation_states": {int(number): state for number, state in said["oxidation_states"].items()},
            "lengths_angstrom": tuple(said["lengths_angstrom"]),
        }
    )


def _add_hull_distances(labels: dict[str, NDArray[np.float64]], numbers: list[list[int]], hull: Path) -> None:
    from crystalmesh_relaxation.stability.distances import (  # noqa: PLC0415 -- another service's package
        hull_distances,
    )

    energies, distances = labels["formation_energy_ev_per_atom"], labels["energy_above_hull_ev_per_atom"]
    missing = np.flatnonzero(np.isfinite(energies) & ~np.isfinite(distances))
    formulas = ["".join(symbol_of(number) for number in numbers[row]) for row in missing]
    distances[missing] = hull_distances(hull, formulas, energies[missing])
