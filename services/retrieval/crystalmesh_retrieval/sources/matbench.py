"""Data sets of MatBench in their published form: one JSON object with `index`, `columns` and `data`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

from crystalmesh_retrieval.catalog.material import (
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.sources.files import file_sha256
from crystalmesh_retrieval.sources.json_stream import JsonFields
from crystalmesh_retrieval.sources.paging import paged, rows_before
from crystalmesh_retrieval.sources.source import BadRow, Page, SourceFileError, parsed
from crystalmesh_retrieval.sources.structures import crystal_of_pymatgen

_DFT = ValueSource(SourceKind.DFT, "Materials Project", "2019")


def _as_it_is(value: float) -> float:
    return value


def _from_logarithm(value: float) -> float:
    return float(10.0**value)


_TARGETS: Mapping[str, tuple[Property, Callable[[float], float]]] = {
    "gap pbe": (Property.BAND_GAP, _as_it_is),
    "log10(K_VRH)": (Property.BULK_MODULUS, _from_logarithm),
    "log10(G_VRH)": (Property.SHEAR_MODULUS, _from_logarithm),
}
_FORMATION_ENERGY = "e_form"
"""Of `matbench_mp_e_form` per atom, and of `matbench_perovskites` per cell: the ids tell which."""


class MatbenchFile:
    """`matbench_mp_gap.json.gz` and its like, whose structures are crystals."""

    attribution = (
        "MatBench v0.1 (A. Dunn et al., npj Comput. Mater. 6, 138, 2020), from the Materials Project "
        "(A. Jain et al., APL Materials 1, 011002, 2013), CC BY 4.0"
    )

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def key(self) -> str:
        return f"matbench:{file_sha256(self._path)}"

    def pages(self, cursor: str) -> Iterator[Page]:
        opener = gzip.open if self._path.suffix == ".gz" else open
        try:
            with opener(self._path, "rt", encoding="utf-8") as text:
                yield from self._pages(JsonFields(text), cursor)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            what = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise SourceFileError(f"{self._path} is no readable MatBench file: {what}") from None

    def _pages(self, fields: JsonFields, cursor: str) -> Iterator[Page]:
        ids: Sequence[Any] | None = None
        columns: Sequence[str] | None = None
        for name in fields.names():
            if name == "index":
                ids = [str(value) for value in _list(fields.value(), name)]
            elif name == "columns":
                columns = _list(fields.value(), name)
            elif name != "data":
                fields.value()
            elif ids is None or columns is None or "structure" not in columns:
                raise ValueError("there is no index and no column `structure` ahead of the data")
            else:
                yield from paged(_rows(fields, ids, columns, rows_before(cursor)), cursor, len(ids))


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"its {name} is no list")  # noqa: TRY004 -- the file is wrong, not a type
    return value


def _rows(
    fields: JsonFields, ids: Sequence[str], columns: Sequence[str], start: int
) -> Iterator[MaterialInput | BadRow]:
    for material_id, values in islice(zip(ids, fields.items(), strict=True), start, None):
        yield parsed(material_id, partial(_material, material_id, columns, values))


def _material(material_id: str, columns: Sequence[str], values: Sequence[Any]) -> MaterialInput:
    row = dict(zip(columns, values, strict=True))
    targets = dict(_TARGETS)
    if material_id.startswith("mb-mp-e-form-"):
        targets[_FORMATION_ENERGY] = (Property.FORMATION_ENERGY, _as_it_is)
    return MaterialInput(
        id=material_id,
        crystal=crystal_of_pymatgen(row["structure"]),
        properties={
            name: PropertyValue(convert(float(row[column])), _DFT)
            for column, (name, convert) in targets.items()
            if row.get(column) is not None
        },
        source=MaterialSource(name="MatBench v0.1", source_id=material_id, license="CC-BY-4.0"),
    )
