"""The catalog out of labelled crystals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crystalmesh_common.runtime.errors import ReferenceIncompleteError
from crystalmesh_retrieval.catalog.manifest import MANIFEST
from crystalmesh_retrieval.catalog.material import Property, PropertyValue, SourceKind, ValueSource
from crystalmesh_retrieval.catalog.snapshot import open_snapshot
from crystalmesh_retrieval.starter.building import build_catalog
from crystalmesh_retrieval.starter.labelling import Labels
from crystalmesh_retrieval.starter.own_hull import compare, distances
from tests.retrieval.starter.records import SALT, SILICON, candidate, relaxed

_CANDIDATES = {crystal.id: candidate(crystal) for crystal in (SALT, SILICON)}
_LABELS = {SALT.id: Labels(-2.0, -1e-9), SILICON.id: Labels(0.01, 0.2)}


def test_a_material_has_marked_labels_and_texts(tmp_path: Path) -> None:
    """Every label says that it is a potential's, and which; what rounding left below the hull is on it."""
    build_catalog(_CANDIDATES, [relaxed(SALT)], _LABELS, tmp_path / "starter")
    (material,) = open_snapshot(tmp_path / "starter").materials()
    labels = [value for name, value in material.properties.items() if not name.is_geometric]
    assert {(v.source.kind, v.source.name, v.source.version) for v in labels} == {
        (SourceKind.POTENTIAL, "chgnet-0.3.0", "0.4.2")
    }
    assert material.properties[Property.ENERGY_ABOVE_HULL].value == 0.0
    assert material.properties[Property.MAGNETIZATION].value == pytest.approx(1.0 / SALT.volume, abs=1e-4)
    assert material.source.method == "prototype AB_cF8_225_a_b (Halite)"
    assert material.property_description.startswith("NaCl; space group 225; formation energy -2.000 eV/atom")
    assert "rock salt" in material.structure_description


def test_a_predicted_gap_says_what_it_is(tmp_path: Path) -> None:
    """It is marked as a prediction with its deviation, and told in the text; without one nothing is said."""
    gap = PropertyValue(5.012, ValueSource(SourceKind.PREDICTION, "mp-gap", "abc"), 0.4)
    labels = {SALT.id: replace(_LABELS[SALT.id], band_gap=gap), SILICON.id: _LABELS[SILICON.id]}
    build_catalog(_CANDIDATES, [relaxed(SALT), relaxed(SILICON)], labels, tmp_path / "starter")
    salt, other = sorted(open_snapshot(tmp_path / "starter").materials(), key=lambda each: each.id)
    assert salt.properties[Property.BAND_GAP] == gap
    assert "band gap 5.012 eV" in salt.property_description
    assert Property.BAND_GAP not in other.properties


def test_the_same_materials_leave_every_byte_as_it_is(tmp_path: Path) -> None:
    """A rebuild does not change what is committed; other materials take the place of those before."""
    folder = tmp_path / "starter"
    build_catalog(_CANDIDATES, [relaxed(SALT), relaxed(SILICON)], _LABELS, folder)
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    build_catalog(_CANDIDATES, [relaxed(SILICON), relaxed(SALT)], _LABELS, folder)
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == before
    assert [path.name for path in before if path.parent == folder] == [MANIFEST]
    build_catalog(_CANDIDATES, [relaxed(replace(SALT, cell=SALT.cell * 1.01))], _LABELS, folder)
    assert len(open_snapshot(folder)) == 1
    assert len(list((folder / "segments").iterdir())) == 1


def test_a_catalog_without_an_element_has_no_hull_of_its_own(tmp_path: Path) -> None:
    """Silicon alone is its own hull; rock salt needs sodium and chlorine."""
    build_catalog(_CANDIDATES, [relaxed(SALT), relaxed(SILICON)], _LABELS, tmp_path / "starter")
    materials = list(open_snapshot(tmp_path / "starter").materials())
    with pytest.raises(ReferenceIncompleteError, match="no entry of the element Cl, Na"):
        distances(materials)
    silicon = [material for material in materials if material.formula == "Si"]
    assert distances(silicon) == {SILICON.id: 0.0}
    assert compare(silicon).on_own_hull == 1
