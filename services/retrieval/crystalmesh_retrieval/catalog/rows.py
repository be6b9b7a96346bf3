"""Materials as rows of an Arrow table and back: the columns of a segment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from crystalmesh_common.crystal.composition import chemical_system
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_retrieval.catalog.material import (
    GEOMETRY,
    LABELS,
    Material,
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)

_LABEL_PARTS = {
    "": pa.float64(),
    "_uncertainty": pa.float64(),
    "_source_kind": pa.string(),
    "_source_name": pa.string(),
    "_source_version": pa.string(),
}
_SOURCE_PARTS = ("name", "id", "url", "license", "method")

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        # The first 8 bytes of SHA-256 of the id: what materials are looked up by.
        pa.field("id_key", pa.uint64(), nullable=False),
        # SHA-256 of everything that was brought: equal hash, equal material.
        pa.field("content_sha256", pa.binary(32), nullable=False),
        pa.field("formula", pa.string(), nullable=False),
        # One bit an element, hydrogen the lowest.
        pa.field("elements_1_to_64", pa.uint64(), nullable=False),
        pa.field("elements_65_to_118", pa.uint64(), nullable=False),
        pa.field("space_group_number", pa.uint8(), nullable=False),
        pa.field("atom_count", pa.uint32(), nullable=False),
        pa.field(Property.DENSITY, pa.float64(), nullable=False),
        pa.field(Property.ATOMS_IN_CELL, pa.float64(), nullable=False),
        pa.field("cell", pa.list_(pa.float64(), 9), nullable=False),
        pa.field("numbers", pa.list_(pa.uint8()), nullable=False),
        pa.field("frac_coords", pa.list_(pa.float64()), nullable=False),
        pa.field("magnetic_moments_mu_b", pa.list_(pa.float64())),
        *(pa.field(label + part, kind) for label in LABELS for part, kind in _LABEL_PARTS.items()),
        *(pa.field(f"source_{part}", pa.string()) for part in _SOURCE_PARTS),
        pa.field("source_retrieve_time", pa.timestamp("us", tz="UTC")),
        pa.field("property_description", pa.string()),
        pa.field("structure_description", pa.string()),
    ]
)

INTERNAL_COLUMNS = ("id_key", "content_sha256", "elements_1_to_64", "elements_65_to_118")
"""What a catalog needs and a reader of an export does not."""


@dataclass(frozen=True, eq=False)
class Row:
    """A material with its hash: ready to be written."""

    material: Material
    content_sha256: bytes


def id_key(material_id: str) -> int:
    """What an id is looked up by. Two ids may share it, so whoever finds one compares the ids."""
    return int.from_bytes(hashlib.sha256(material_id.encode()).digest()[:8], "little")


def element_bits(atomic_numbers: Iterable[int]) -> tuple[int, int]:
    """The elements as bits: 1 to 64, and 65 to 118."""
    bits = 0
    for number in atomic_numbers:
        bits |= 1 << (number - 1)
    return bits & 0xFFFF_FFFF_FFFF_FFFF, bits >> 64


def content_sha256(material: MaterialInput) -> bytes:
    """The hash of all that was brought, but for when it was retrieved: the same tomorrow."""
    crystal, source = material.crystal, material.source
    words = [
        material.id,
        {
            name: [value.value, value.uncertainty, *_source_words(value.source)]
            for name in LABELS
            if (value := material.properties.get(name)) is not None
        },
        [source.name, source.source_id, source.url, source.license, source.method],
        [material.property_description, material.structure_description],
    ]
    moments = crystal.magnetic_moments
    digest = hashlib.sha256(json.dumps(words).encode())
    for array in (crystal.cell, crystal.numbers, crystal.frac_coords, moments):
        digest.update(b"-" if array is None else np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.digest()


def table_of(rows: Sequence[Row]) -> pa.Table:
    """The rows as a table of SCHEMA."""
    fields = [_fields(row) for row in rows]
    columns = [pa.array([row[field.name] for row in fields], field.type) for field in SCHEMA]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def materials_of(table: pa.Table) -> Iterator[Material]:
    """The materials of a table with the columns of SCHEMA, or all but the internal ones."""
    for record in table.to_pylist():
        yield _material(record)


def _fields(row: Row) -> dict[str, Any]:
    material, crystal, source = row.material, row.material.crystal, row.material.source
    low, high = element_bits(np.unique(crystal.numbers).tolist())
    moments = crystal.magnetic_moments
    retrieved = source.retrieve_time
    fields: dict[str, Any] = {
        "id": material.id,
        "id_key": id_key(material.id),
        "content_sha256": row.content_sha256,
        "formula": material.formula,
        "elements_1_to_64": low,
        "elements_65_to_118": high,
        "space_group_number": material.space_group_number,
        "atom_count": len(crystal),
        "cell": crystal.cell.ravel(),
        "numbers": crystal.numbers,
        "frac_coords": crystal.frac_coords.ravel(),
        "magnetic_moments_mu_b": moments,
        "source_name": source.name or None,
        "source_id": source.source_id or None,
        "source_url": source.url or None,
        "source_license": source.license or None,
        "source_method": source.method or None,
        "source_retrieve_time": retrieved and retrieved.astimezone(UTC),
        "property_description": material.property_description or None,
        "structure_description": material.structure_description or None,
    }
    for name in Property:
        value = material.properties.get(name)
        if name.is_geometric:
            fields[name] = material.properties[name].value
            continue
        parts = (
            (None,) * 5 if value is None else (value.value, value.uncertainty, *_source_words(value.source))
        )
        fields.update(zip((name + part for part in _LABEL_PARTS), parts, strict=True))
    return fields


def _source_words(source: ValueSource) -> tuple[str, str, str]:
    return source.kind.value, source.name, source.version


def _material(record: dict[str, Any]) -> Material:
    crystal = Crystal(
        cell=np.array(record["cell"], dtype=np.float64).reshape(3, 3),
        numbers=np.array(record["numbers"], dtype=np.int64),
        frac_coords=np.array(record["frac_coords"], dtype=np.float64).reshape(-1, 3),
        id=record["id"],
        magnetic_moments=_array(record["magnetic_moments_mu_b"]),
    )
    return Material(
        id=record["id"],
        crystal=crystal,
        properties={name: value for name in Property if (value := _value(record, name)) is not None},
        source=MaterialSource(
            name=record["source_name"] or "",
            source_id=record["source_id"] or "",
            url=record["source_url"] or "",
            retrieve_time=record["source_retrieve_time"],
            license=record["source_license"] or "",
            method=record["source_method"] or "",
        ),
        property_description=record["property_description"] or "",
        structure_description=record["structure_description"] or "",
        formula=record["formula"],
        chemical_system=chemical_system(crystal),
        space_group_number=record["space_group_number"],
    )


def _array(values: list[float] | None) -> np.ndarray | None:
    return None if values is None else np.array(values, dtype=np.float64)


def _value(record: dict[str, Any], name: Property) -> PropertyValue | None:
    value = record[name]
    if value is None:
        return None
    if name.is_geometric:
        return PropertyValue(value, GEOMETRY)
    words = (record[f"{name}_source_{part}"] or "" for part in ("kind", "name", "version"))
    return PropertyValue(value, _value_source(*words), record[f"{name}_uncertainty"])


# A catalog has few sources and many values.
@lru_cache(maxsize=4096)
def _value_source(kind: str, name: str, version: str) -> ValueSource:
    return ValueSource(SourceKind(kind or SourceKind.UNSPECIFIED), name, version)
