"""Crystals per second through the codecs, the checks and the symmetry search, and dedupe of 10,000.

The crystals are MP-20's test split. Half of those that are deduplicated are others' copies: shifted,
strained by 1 %, shaken by 0.05 Å and in another order, so that only matching finds them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from benchmarks.crystals import mp20_test
from crystalmesh_common.crystal.generative_validity import validity_of
from crystalmesh_common.crystal.matching import dedupe
from crystalmesh_common.crystal.protobuf import crystal_from_proto, crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import symmetry_of
from crystalmesh_common.crystal.text import crystal_from_cif, crystal_to_cif
from crystalmesh_common.crystal.validity import check_crystal

Item = TypeVar("Item")


def run(quick: bool) -> dict[str, float]:
    """Rates per second on one core, the share that is valid, and the seconds that dedupe takes."""
    count = 1_000 if quick else 5_000
    crystals = _crystals(count)
    messages = [crystal_to_proto(crystal) for crystal in crystals]
    texts = [crystal_to_cif(crystal) for crystal in crystals]
    validity_of(crystals[0])  # SMACT loads its tables
    started = time.perf_counter()
    # Once only: answers about compositions are kept.
    valid = sum(validity_of(crystal).valid for crystal in crystals)
    validity_seconds = time.perf_counter() - started
    figures = {
        "to_proto_per_s": _rate(crystal_to_proto, crystals),
        "from_proto_per_s": _rate(crystal_from_proto, messages),
        "from_cif_per_s": _rate(crystal_from_cif, texts),
        "check_per_s": _rate(lambda crystal: check_crystal(crystal, max_atoms=100), crystals),
        "validity_per_s": len(crystals) / validity_seconds,
        "symmetry_per_s": _rate(symmetry_of, crystals),
        "valid_share": valid / len(crystals),
    }
    mixed = _with_copies(crystals)
    started = time.perf_counter()
    groups = dedupe(mixed)
    figures["dedupe_crystals"] = len(mixed)
    figures["dedupe_s"] = time.perf_counter() - started
    figures["distinct"] = len(groups)
    return figures


def _rate(work: Callable[[Item], object], items: Sequence[Item]) -> float:
    started = time.perf_counter()
    for item in items:
        work(item)
    return len(items) / (time.perf_counter() - started)


def _with_copies(crystals: list[Crystal]) -> list[Crystal]:
    """The crystals and as many copies of random ones, shuffled."""
    rng = np.random.default_rng(0)
    copies = [_copy(crystals[k], rng) for k in rng.integers(len(crystals), size=len(crystals))]
    mixed = crystals + copies
    return [mixed[k] for k in rng.permutation(len(mixed))]


def _copy(crystal: Crystal, rng: np.random.Generator) -> Crystal:
    order = rng.permutation(len(crystal))
    shaken = crystal.cart_coords + rng.normal(scale=0.05, size=(len(crystal), 3))
    strain = np.eye(3) + rng.normal(scale=0.01, size=(3, 3))
    frac_coords = (shaken @ np.linalg.inv(crystal.cell))[order] + rng.random(3)
    return Crystal(crystal.cell @ strain, crystal.numbers[order], frac_coords, f"{crystal.id}-copy")


def _crystals(count: int) -> list[Crystal]:
    try:
        return mp20_test(count, max_atoms=20)
    except FileNotFoundError as missing:
        print(f"{missing}; using made-up crystals instead")
    return list(itertools.islice(_made_up(), count))


def _made_up() -> Iterator[Crystal]:
    """Salts in three prototypes and ever larger cells, for whoever has no data set."""
    rock_salt, zincblende, caesium_chloride = (0.5, "fcc"), (0.25, "fcc"), (0.5, "cubic")
    face_centred = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    for size in itertools.count():
        for metal, other, (second, lattice) in itertools.product(
            (3, 11, 12, 19, 20, 26, 28, 30, 37, 38, 55, 56),
            (7, 8, 9, 16, 17, 34, 35, 52, 53),
            (rock_salt, zincblende, caesium_chloride),
        ):
            edge = 3.4 + 0.02 * (metal + other) / 2 + 0.1 * size
            cell = 1.6 * edge * face_centred if lattice == "fcc" else edge * np.eye(3)
            sites = np.array([[0.0, 0, 0], [second, second, second]])
            yield Crystal(cell, np.array([metal, other]), sites, f"{metal}-{other}-{second}-{size}")
