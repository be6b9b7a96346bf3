from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.coverage import coverage_of, nearest
from benchmarks.quality.distributions import distribution_distances
from benchmarks.quality.fingerprints import Fingerprints
from benchmarks.quality.novelty import (
    KnownCrystals,
    distinct,
    diversity_of,
    fingerprint_novelty,
    is_novel,
    novelty_of,
)
from crystalmesh_common.crystal.composition import reduced_composition
from crystalmesh_common.crystal.structure import Crystal
from tests.conftest import iron, silicon, sodium_chloride
from tests.property.crystals import rock_salt


def fingerprints(*rows: tuple[float, float]) -> Fingerprints:
    """Crystals on a line of structures and a line of compositions."""
    return Fingerprints(np.array([[s] for s, _ in rows]), np.array([[c] for _, c in rows]))


def needle() -> Crystal:
    return replace(sodium_chloride("needle"), cell=np.diag([2.0, 2.0, 5000.0]))


def test_a_set_covers_itself() -> None:
    """Recall and precision of a set against itself are 1, and precision of all counts what was asked for."""
    own = fingerprints((0, 0), (1, 50))
    coverage = coverage_of(own, own, asked=4)
    assert (coverage.recall, coverage.precision, coverage.precision_of_all) == (1, 1, 0.5)


def test_coverage_has_the_cutoffs_of_cdvae() -> None:
    """0.4 by structure and 10 by composition are near, anything more is far; both must be near."""
    test = fingerprints((0, 0))
    near = fingerprints((0.4, 0), (0.41, 0), (0, 10), (0, 10.1))
    assert coverage_of(near, test, asked=4).precision == 0.5
    # The nearest by structure and the nearest by composition may be two.
    assert coverage_of(fingerprints((0, 99), (99, 0)), test, asked=2).recall == 1


def test_nothing_covers_nothing() -> None:
    """Without samples that have fingerprints nothing is covered, and nothing is precise."""
    none = Fingerprints(np.zeros((0, 1)), np.zeros((0, 1)))
    coverage = coverage_of(none, fingerprints((0, 0)), asked=3)
    assert (coverage.recall, coverage.precision_of_all) == (0, 0)
    assert np.isnan(coverage.precision)


def test_nearest_distances_do_not_depend_on_blocks() -> None:
    """More rows than a block holds have the distances that a plain search finds."""
    random = np.random.default_rng(0)
    first, second = random.random((1100, 3)), random.random((40, 3))
    all_distances = np.linalg.norm(first[:, None] - second[None], axis=2)
    of_first, of_second = nearest(first, second)
    assert of_first == pytest.approx(all_distances.min(axis=1))
    assert of_second == pytest.approx(all_distances.min(axis=0))


def test_equal_sets_have_no_distance_and_one_more_element_is_a_distance_of_one() -> None:
    """Wasserstein distances are in the units of what is compared."""
    salts = [rock_salt(number) for number in range(5)]
    same = distribution_distances(salts, salts)
    assert (same.density_g_per_cubic_centimeter, same.elements) == (0, 0)
    assert distribution_distances([silicon(), iron()], salts).elements == 1
    dense = distribution_distances([iron()], [replace(iron(), cell=2.84 * 2 ** (1 / 3) * np.eye(3))])
    assert dense.density_g_per_cubic_centimeter == pytest.approx(8.10 / 2, abs=0.01)
    assert np.isnan(distribution_distances([], salts).elements)


def test_uniqueness_and_novelty_are_by_matching() -> None:
    """Strained copies are one structure and are known; another polymorph of a known formula is novel."""
    strained = replace(silicon(), cell=silicon().cell * 1.02)
    fcc = Crystal(np.array([[0, 2.7, 2.7], [2.7, 0, 2.7], [2.7, 2.7, 0.0]]), np.array([14]), np.zeros((1, 3)))
    train = [silicon(), sodium_chloride()]
    compositions = {reduced_composition(crystal) for crystal in train}
    found = novelty_of([silicon(), strained, fcc, iron()], KnownCrystals(train), compositions)
    assert found.unique == 0.75
    assert found.novel == 0.5
    assert found.novel_formula == 0.25
    assert found.unique_and_novel == 0.5


def test_what_cannot_be_compared_is_neither_unique_nor_novel() -> None:
    """A needle counts against both, among samples as among known crystals."""
    assert distinct([needle(), silicon(), silicon()]) == 1
    assert not is_novel(needle(), KnownCrystals([]))
    assert not is_novel(sodium_chloride(), KnownCrystals([needle(), sodium_chloride()]))
    assert is_novel(sodium_chloride(), KnownCrystals([needle()]))


def test_fingerprint_novelty_has_the_cutoffs_of_gruver() -> None:
    """Farther than 0.1 by structure or 2 by composition is novel."""
    found = fingerprint_novelty(fingerprints((0.1, 2), (0.11, 0), (0, 2.1), (1, 3)), fingerprints((0, 0)))
    assert (found.structure, found.composition, found.either) == (0.5, 0.5, 0.75)


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    """Of three on a line at 0, 1 and 3 it is 2; of one there is none."""
    found = diversity_of(fingerprints((0, 0), (1, 10), (3, 30)))
    assert (found.structure, found.composition) == (2, 20)
    assert np.isnan(diversity_of(fingerprints((0, 0))).structure)
