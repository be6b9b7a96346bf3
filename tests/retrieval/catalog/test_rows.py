from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal.composition import chemical_system
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_retrieval.catalog.material import (
    GEOMETRY,
    LABELS,
    Material,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.catalog.rows import SCHEMA, Row, content_sha256, materials_of, table_of
from tests.common.crystal.strategies import crystals
from tests.retrieval.materials import DFT, salt

_texts = st.text(st.characters(codec="utf-8"), max_size=12)
_values = st.builds(
    PropertyValue,
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds(ValueSource, st.sampled_from(SourceKind), _texts, _texts),
    st.none() | st.floats(0, 1e3),
)
_GEOMETRY = {name: PropertyValue(1.0, GEOMETRY) for name in Property if name.is_geometric}


@st.composite
def materials(draw: st.DrawFn) -> Material:
    crystal = draw(crystals())
    source = MaterialSource(
        draw(_texts), draw(_texts), draw(_texts), draw(st.none() | st.datetimes(timezones=st.just(UTC)))
    )
    return Material(
        id=crystal.id or "unnamed",
        crystal=replace(crystal, id=crystal.id or "unnamed", scalars={}),
        properties={**draw(st.dictionaries(st.sampled_from(LABELS), _values)), **_GEOMETRY},
        source=source,
        property_description=draw(_texts),
        formula=draw(_texts),
        chemical_system=chemical_system(crystal),
        space_group_number=draw(st.integers(1, 230)),
    )


@settings(deadline=None)
@given(st.lists(materials(), max_size=4))
def test_a_material_comes_back_as_it_was(brought: list[Material]) -> None:
    """Every number to the last bit, every value with its source, every text."""
    table = table_of([Row(material, content_sha256(material)) for material in brought])
    assert table.schema.equals(SCHEMA)
    for material, before in zip(materials_of(table), brought, strict=True):
        assert _same(material, before)


def _same(one: Material, other: Material) -> bool:
    alike = ("id", "properties", "source", "property_description", "formula", "chemical_system")
    assert all(getattr(one, name) == getattr(other, name) for name in alike)
    assert one.space_group_number == other.space_group_number
    return _same_crystal(one.crystal, other.crystal)


def _same_crystal(one: Crystal, other: Crystal) -> bool:
    arrays = ("cell", "numbers", "frac_coords", "magnetic_moments")
    return one.id == other.id and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


def test_the_hash_covers_what_was_brought_and_not_when() -> None:
    """A value, its source or a coordinate changes the hash; the time of retrieval and scalars do not."""
    one = salt("x", gap=1.0)
    changed = [
        replace(one, id="y"),
        replace(one, properties={}),
        replace(one, properties={Property.BAND_GAP: PropertyValue(1.0, DFT, uncertainty=0.1)}),
        replace(one, properties={Property.BULK_MODULUS: PropertyValue(1.0, DFT)}),
        replace(one, source=MaterialSource("elsewhere")),
        replace(one, structure_description="rock salt"),
        replace(one, crystal=replace(one.crystal, cell=one.crystal.cell * (1 + 1e-15))),
        replace(one, crystal=replace(one.crystal, magnetic_moments=np.zeros(2))),
    ]
    assert len({content_sha256(material) for material in [one, *changed]}) == 1 + len(changed)
    later = replace(one, source=replace(one.source, retrieve_time=datetime.now(UTC)))
    assert content_sha256(later) == content_sha256(one)
    assert content_sha256(replace(one, crystal=replace(one.crystal, scalars={"n": 1}))) == content_sha256(one)


def test_label_columns_have_units_and_sources() -> None:
    """A program that reads the file finds each property by name, with what kind of value it is."""
    names = set(SCHEMA.names)
    for label in LABELS:
        assert {label, f"{label}_uncertainty", f"{label}_source_kind", f"{label}_source_name"} <= names
    assert SCHEMA.field("cell").type == pa.list_(pa.float64(), 9)
