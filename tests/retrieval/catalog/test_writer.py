from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crystalmesh_common.runtime.errors import InvalidFieldError, OverlappingAtomsError, WriterBusyError
from crystalmesh_retrieval.catalog.filters import MaterialFilter
from crystalmesh_retrieval.catalog.material import (
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.catalog.merging import SEGMENT_ROWS
from crystalmesh_retrieval.catalog.writer import CatalogWriter
from tests.retrieval.materials import DFT, MODEL, diamond, filled, new_catalog, overlapping, salt, salts


def ids(writer: CatalogWriter) -> list[str]:
    return sorted(material.id for material in writer.snapshot.materials())


def test_what_is_added_is_there_with_what_follows_from_it(tmp_path: Path) -> None:
    """Formula, symmetry, density and atoms of the primitive cell come with the material and its values."""
    with filled(tmp_path, salt("halite", gap=5.0), salt("model", gap=5.2, source=MODEL)) as writer:
        found = writer.snapshot.get("halite")
        other = writer.snapshot.get("model")
    assert found is not None
    assert other is not None
    assert (found.formula, found.chemical_system, found.space_group_number) == ("NaCl", "Cl-Na", 225)
    assert found.properties[Property.BAND_GAP] == PropertyValue(5.0, DFT)
    assert other.properties[Property.BAND_GAP].source.kind is SourceKind.POTENTIAL
    assert found.properties[Property.ATOMS_IN_CELL].value == 2
    assert found.properties[Property.DENSITY].value == pytest.approx(2.1, abs=0.1)
    assert found.properties[Property.DENSITY].source.kind is SourceKind.GEOMETRY
    assert found.source == MaterialSource("tests", "halite-there")
    assert writer.snapshot.get("absent") is None


def test_adding_again_changes_nothing(tmp_path: Path) -> None:
    """Equal materials are counted as unchanged: same version, same files, no new manifest."""
    with filled(tmp_path, *salts(5)) as writer:
        before = writer.snapshot.manifest
        changes = writer.add(salts(5))
        assert (changes.added, changes.replaced, changes.unchanged) == (0, 0, 5)
        assert writer.snapshot.manifest == before


def test_the_last_write_wins(tmp_path: Path) -> None:
    """Another material under a known id takes its place, also within one batch."""
    with filled(tmp_path, salt("x", a=5.6), diamond()) as writer:
        changes = writer.add([salt("x", a=5.7), salt("x", a=5.8), diamond(), salt("new")])
        assert (changes.added, changes.replaced, changes.unchanged) == (1, 2, 1)
        found = writer.snapshot.get("x")
        assert found is not None
        assert found.crystal.volume == pytest.approx(salt("x", a=5.8).crystal.volume)
        assert ids(writer) == ["new", "si", "x"]


def test_a_batch_that_comes_back_to_what_is_there_changes_nothing(tmp_path: Path) -> None:
    """Of several materials with one id only the last counts, and here it is the one that the catalog has."""
    with filled(tmp_path, salt("x")) as writer:
        before = writer.snapshot.manifest
        writer.add([salt("x", a=5.8), salt("x")])
        assert writer.snapshot.manifest == before


def test_bad_materials_are_rejected_and_the_others_added(tmp_path: Path) -> None:
    """Each rejection has its place, its id and the reason."""
    infinite = MaterialInput("inf", salt("x").crystal, {Property.BAND_GAP: PropertyValue(np.inf, DFT)})
    half = replace(salt("half"), structure_description="\ud800")
    with new_catalog(tmp_path).writer("known") as writer:
        changes = writer.add([overlapping("bad"), salt("good"), infinite, salt(""), salt("x" * 257), half])
        assert [(r.index, r.material_id) for r in changes.rejections] == [
            (0, "bad"),
            (2, "inf"),
            (3, ""),
            (4, "x" * 257),
            (5, "half"),
        ]
        assert isinstance(changes.rejections[0].error, OverlappingAtomsError)
        assert all(isinstance(r.error, InvalidFieldError) for r in changes.rejections[1:])
        assert ids(writer) == ["good"]


def test_ids_that_do_not_print_are_rejected(tmp_path: Path) -> None:
    """Half characters and line breaks in an id are reasons, not crashes."""
    with new_catalog(tmp_path).writer("known") as writer:
        changes = writer.add([salt("a\nb"), salt("\ud800"), salt("TiO₂ (α)")])
        assert [r.index for r in changes.rejections] == [0, 1]
        assert ids(writer) == ["TiO₂ (α)"]


def test_removed_materials_are_gone(tmp_path: Path) -> None:
    """By lookup, by iteration and by count; removing what is not there is no error."""
    with filled(tmp_path, *salts(4)) as writer:
        assert writer.remove(["salt-1", "salt-1", "absent"]) == 1
        assert writer.snapshot.get("salt-1") is None
        assert ids(writer) == ["salt-0", "salt-2", "salt-3"]
        assert len(writer.snapshot) == writer.snapshot.count(MaterialFilter()) == 3
        assert writer.remove(["salt-0", "salt-2", "salt-3"]) == 3
        assert writer.snapshot.manifest.segments == ()


def test_equal_versions_hold_equal_materials(tmp_path: Path) -> None:
    """The version does not depend on the order or on detours, and changes with every material."""
    one, two, three = salts(3)
    with filled(tmp_path / "a", one, two) as writer:
        version = writer.snapshot.manifest.content_version
    with filled(tmp_path / "b", two, three) as writer:
        assert writer.snapshot.manifest.content_version != version
        writer.add([salt("salt-0", a=6.0)])
        writer.add([one])
        writer.remove(["salt-2"])
        assert writer.snapshot.manifest.content_version == version
        writer.remove(["salt-0", "salt-1"])
        assert int(writer.snapshot.manifest.content_version, 16) == 0


def test_small_batches_become_large_segments(tmp_path: Path) -> None:
    """A catalog that is filled one by one has few files, and every material is found in them."""
    with new_catalog(tmp_path).writer("known") as writer:
        for material in salts(40):
            writer.add([material])
        writer.remove(["salt-7"])
        writer.add(salts(9, start=40))
        segments = writer.snapshot.manifest.segments
        assert len(segments) <= 6
        assert max(segment.rows for segment in segments) < SEGMENT_ROWS
        assert ids(writer) == sorted(f"salt-{n}" for n in range(49) if n != 7)
        files = {path.name for path in (tmp_path / "catalogs" / "known" / "segments").iterdir()}
        assert files == {segment.file for segment in segments}


def test_two_ids_with_one_key_are_two_materials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that share their hash do not take each other's place."""
    from crystalmesh_retrieval.catalog import rows, snapshot

    monkeypatch.setattr(rows, "id_key", len)
    monkeypatch.setattr(snapshot, "id_key", len)
    with filled(tmp_path, salt("a"), salt("b", a=5.8)) as writer:
        writer.add([salt("c"), salt("a", a=6.0)])
        for name, a in (("a", 6.0), ("b", 5.8), ("c", 5.69)):
            found = writer.snapshot.get(name)
            assert found is not None
            assert found.id == name
            assert found.crystal.volume == pytest.approx(salt("", a=a).crystal.volume)
        assert writer.snapshot.get("d") is None
        assert ids(writer) == ["a", "b", "c"]


def test_only_one_writes_at_a_time(tmp_path: Path) -> None:
    """The second is told who writes, and comes in once the first is done; readers never wait."""
    catalogs = new_catalog(tmp_path)
    with catalogs.writer("known") as writer:
        with pytest.raises(
            WriterBusyError, match=r"pid \d+\) is writing to the catalog known: run this again"
        ):
            catalogs.writer("known")
        writer.add(salts(2))
        assert len(catalogs.open("known")) == 2
    with catalogs.writer("known") as writer:
        assert len(writer.snapshot) == 2


def test_attributions_and_sources_are_kept(tmp_path: Path) -> None:
    """What the licences ask for is in the manifest once, whatever is imported how often."""
    with new_catalog(tmp_path).writer("known") as writer:
        writer.add(salts(1), attributions=["Materials Project", ""])
        writer.add(salts(2), attributions=["Materials Project", "OQMD"])
        writer.describe("salts")
        manifest = writer.snapshot.manifest
    assert manifest.attributions == ("Materials Project", "OQMD")
    assert manifest.description == "salts"
    assert manifest.update_time >= manifest.create_time


def test_elements_and_coverage(tmp_path: Path) -> None:
    """Which elements occur and for how many materials a property is known, without those removed."""
    with filled(tmp_path, salt("x", gap=1.0), salt("y"), diamond()) as writer:
        assert writer.snapshot.atomic_numbers() == (11, 14, 17)
        assert writer.snapshot.coverage()[Property.BAND_GAP] == 2
        writer.remove(["si"])
        assert writer.snapshot.atomic_numbers() == (11, 17)
        assert writer.snapshot.coverage()[Property.BAND_GAP] == 1
        assert writer.snapshot.coverage()[Property.DENSITY] == 2
        assert writer.snapshot.coverage()[Property.SHEAR_MODULUS] == 0


def test_a_source_that_is_not_stated_says_so(tmp_path: Path) -> None:
    """A value without a source is not taken for DFT."""
    known = {Property.BAND_GAP: PropertyValue(1.0, ValueSource(SourceKind.UNSPECIFIED))}
    with filled(tmp_path, replace(salt("x"), properties=known)) as writer:
        found = writer.snapshot.get("x")
    assert found is not None
    assert found.properties[Property.BAND_GAP].source.kind is SourceKind.UNSPECIFIED
