"""The catalog that comes with this package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import crystalmesh_retrieval
from crystalmesh_retrieval.catalog.material import LABELS, Material, Property, SourceKind
from crystalmesh_retrieval.catalog.snapshot import Snapshot, open_snapshot
from crystalmesh_retrieval.starter.building import LICENSE, SOURCE
from crystalmesh_retrieval.starter.own_hull import amounts_of, compare, formation_energies
from crystalmesh_retrieval.starter.sieve import MAX_ABOVE_HULL_EV_PER_ATOM
from tests.retrieval.starter.famous import famous_formulas

_FOLDER = Path(crystalmesh_retrieval.__file__).parent / "shipped" / "catalogs" / "starter"
_CHEMISTRY = frozenset("Li Na K Mg Ca Ti Mn Fe Co Ni O F S Cl".split())  # noqa: SIM905 -- reads better


@pytest.fixture(scope="module")
def shipped() -> Snapshot:
    return open_snapshot(_FOLDER)  # checks every file against its SHA-256


@pytest.fixture(scope="module")
def materials(shipped: Snapshot) -> Sequence[Material]:
    return list(shipped.materials())


def test_it_is_some_thousand_crystals_in_a_few_megabytes(shipped: Snapshot) -> None:
    """Small enough to be committed, wide enough to be searched, and it says how it was made."""
    assert len(shipped) > 2000
    assert sum(path.stat().st_size for path in _FOLDER.rglob("*") if path.is_file()) < 5_000_000
    assert len(shipped.atomic_numbers()) > 80
    assert shipped.manifest.attributions
    assert f"{len(shipped):,} crystals" in (_FOLDER / "README.md").read_text()


def test_every_label_is_marked_as_a_models(materials: Sequence[Material]) -> None:
    """Nobody takes one for DFT or an experiment; the licence and the way of making are told."""
    wanted = {Property.FORMATION_ENERGY, Property.ENERGY_ABOVE_HULL, Property.MAGNETIZATION}
    for material in materials:
        known = {name: material.properties[name] for name in LABELS if name in material.properties}
        assert set(known) - {Property.BAND_GAP} == wanted, material.id
        assert {known[name].source.kind for name in wanted} == {SourceKind.POTENTIAL}
        assert all(value.source.name and value.source.version for value in known.values())
        assert (material.source.name, material.source.license) == (SOURCE, LICENSE)
        assert material.source.method.startswith("prototype ")
        assert material.property_description
        assert material.structure_description


def test_nothing_lies_absurdly_far_above_the_hull(materials: Sequence[Material]) -> None:
    """Every hull distance is between zero and the limit."""
    distances = [material.properties[Property.ENERGY_ABOVE_HULL].value for material in materials]
    assert min(distances) == 0.0
    assert max(distances) <= MAX_ABOVE_HULL_EV_PER_ATOM


def test_famous_compounds_are_in_it(materials: Sequence[Material]) -> None:
    """Whoever looks for table salt or lithium cobalt oxide finds it."""
    assert sorted(famous_formulas() - {material.formula for material in materials}) == []


def test_a_hull_of_its_own_agrees_with_the_labels(materials: Sequence[Material]) -> None:
    """Every element that occurs has an entry, and in a common chemistry the hulls are nearly the same."""
    assert len(formation_energies(materials)) == len(materials)
    common = [material for material in materials if set(amounts_of(material)) <= _CHEMISTRY]
    comparison = compare(common)
    assert comparison.elements >= len(_CHEMISTRY)
    assert comparison.mean_absolute_difference < 0.1
    assert comparison.on_own_hull > comparison.materials / 3
