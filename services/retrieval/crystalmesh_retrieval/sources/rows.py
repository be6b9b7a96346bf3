"""Materials out of rows of tables: our own exports, MP-20 as it is published, and tables laid out alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from math import isnan, nan
from typing import Any

import numpy as np

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.text import crystal_from_cif
from crystalmesh_common.runtime.errors import InvalidCrystalError, UnreadableCrystalError
from crystalmesh_retrieval.catalog.material import (
    LABELS,
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.sources.source import Provenance

# As CDVAE and MatterGen name them in MP-20, and the data sets of docs/data.md.
OTHER_NAMES: Mapping[Property, tuple[str, ...]] = {
    Property.FORMATION_ENERGY: ("formation_energy_per_atom",),
    Property.BAND_GAP: ("band_gap", "dft_band_gap"),
    Property.ENERGY_ABOVE_HULL: ("energy_above_hull", "e_above_hull"),
    Property.BULK_MODULUS: ("dft_bulk_modulus",),
    Property.MAGNETIZATION: ("magnetization_mu_b_per_a3", "dft_mag_density"),
}
_ID_NAMES = ("id", "material_id")


def material_of_row(row: Mapping[str, Any], provenance: Provenance) -> MaterialInput:
    """The material of a row with an id and a structure, by `cell`, `numbers` and `frac_coords` or by `cif`.

    Values are numbers or texts; lists in texts are JSON. Raises a CrystalError, or whatever Python raises
    where a value is none.
    """
    material_id = id_of_row(row)
    if not material_id:
        raise UnreadableCrystalError("it has no id")
    return MaterialInput(
        id=material_id,
        crystal=_crystal(row),
        properties={name: known for name in LABELS if (known := _value(row, name, provenance)) is not None},
        source=_source(row, material_id, provenance),
        property_description=row.get("property_description") or "",
        structure_description=row.get("structure_description") or "",
    )


def id_of_row(row: Mapping[str, Any]) -> str:
    """Its id; empty where it has none."""
    return next((str(row[name]) for name in _ID_NAMES if row.get(name) not in (None, "")), "")


def _crystal(row: Mapping[str, Any]) -> Crystal:
    if row.get("cif"):
        return crystal_from_cif(row["cif"])
    cell, numbers, coordinates = (_list(row, name) for name in ("cell", "numbers", "frac_coords"))
    moments = _list(row, "magnetic_moments_mu_b") if row.get("magnetic_moments_mu_b") else None
    if len(coordinates) != 3 * len(numbers):
        raise InvalidCrystalError(f"{len(numbers)} atoms have {len(coordinates)} fractional coordinates")
    return Crystal(
        cell=np.array(cell, dtype=np.float64).reshape(3, 3),
        numbers=np.array([int(number) for number in numbers], dtype=np.int64),
        frac_coords=np.array(coordinates, dtype=np.float64).reshape(-1, 3),
        magnetic_moments=None if moments is None else np.array(moments, dtype=np.float64),
    )


def _list(row: Mapping[str, Any], name: str) -> list[Any]:
    values = row.get(name)
    if values is None or values == "":
        raise UnreadableCrystalError(f"it has no {name}, and no cif")
    read = json.loads(values) if isinstance(values, str) else values
    return list(np.ravel(read)) if name in {"frac_coords", "cell"} else list(read)


def _value(row: Mapping[str, Any], name: Property, provenance: Provenance) -> PropertyValue | None:
    numbers = (_number(row.get(key)) for key in (name, *OTHER_NAMES.get(name, ())))
    value = next((number for number in numbers if number is not None), None)
    if value is None:
        return None
    source = provenance.values
    if kind := row.get(f"{name}_source_kind"):
        names = (row.get(f"{name}_source_{part}") or "" for part in ("name", "version"))
        source = ValueSource(SourceKind(kind), *names)
    return PropertyValue(value, source, _number(row.get(f"{name}_uncertainty")))


def _number(value: Any) -> float | None:
    """A cell without a number is empty in one kind of file and NaN in another."""
    number = nan if value is None or value == "" else float(value)
    return None if isnan(number) else number


def _source(row: Mapping[str, Any], material_id: str, provenance: Provenance) -> MaterialSource:
    retrieved = row.get("source_retrieve_time")
    return MaterialSource(
        name=row.get("source_name") or provenance.database,
        source_id=row.get("source_id") or (material_id if provenance.database else ""),
        url=row.get("source_url") or "",
        retrieve_time=retrieved if isinstance(retrieved, datetime) else None,
        license=row.get("source_license") or provenance.license,
        method=row.get("source_method") or "",
    )
