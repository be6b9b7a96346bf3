"""What a pair of towers learns from: the properties of known materials, and their structures in words."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from math import isfinite, nan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crystalmesh_common.crystal.description import describe_properties, describe_structure
from crystalmesh_common.runtime.durable import make_folder, write_file
from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidFieldError
from crystalmesh_retrieval.catalog.analysis import analyze
from crystalmesh_retrieval.catalog.material import Property
from crystalmesh_retrieval.sources.files import file_sha256
from crystalmesh_retrieval.sources.rows import OTHER_NAMES, material_of_row
from crystalmesh_retrieval.sources.source import Provenance, SourceFileError

LEARNT = (Property.FORMATION_ENERGY, Property.BAND_GAP, Property.ENERGY_ABOVE_HULL)
"""The properties that queries speak of."""

_TEXTS_VERSION = 1
_BATCH_ROWS = 1024
_CHUNK = 64


@dataclass(frozen=True)
class Pair:
    """One material: what its property text is made of, and its structure text with and without elements."""

    id: str
    formula: str
    space_group_number: int
    formation_energy_ev_per_atom: float | None
    band_gap_ev: float | None
    energy_above_hull_ev_per_atom: float | None
    structure: str
    structure_without_formula: str

    @property
    def properties(self) -> Mapping[str, float]:
        """The properties that are known, by their names in the API."""
        values = {str(name): getattr(self, name) for name in LEARNT}
        return {name: value for name, value in values.items() if value is not None}

    def property_text(self, *, formula: bool = True, space_group: bool = True) -> str:
        """The property description as a catalog writes it, or with less in it."""
        return describe_properties(
            self.properties,
            formula=self.formula if formula else "",
            space_group_number=self.space_group_number if space_group else None,
        )

    def structure_text(self, *, formula: bool = True) -> str:
        return self.structure if formula else self.structure_without_formula


def read_pairs(
    table: Path, cache: Path, *, processes: int = 2, progress: Callable[[int], None] = lambda rows: None
) -> list[Pair]:
    """The pairs of a Parquet file in the layout of docs/data.md, in its order.

    Describing takes 10 ms a crystal on one core, so the texts are kept in `cache` under the file's SHA-256.
    Rows that are no crystal are left out. Raises SourceFileError for a file that cannot be read, and
    InvalidFieldError for one without pairs.
    """
    if not table.is_file():
        raise SourceFileError(f"{table} is not there")
    key = hashlib.sha256(f"{_TEXTS_VERSION} {file_sha256(table)}".encode()).hexdigest()[:16]
    kept = cache / f"{table.stem}-{key}.parquet"
    if not kept.exists():
        make_folder(cache)
        _keep(list(_described(table, processes, progress)), kept)
    pairs = [Pair(**row) for row in pq.read_table(kept).to_pylist()]
    if not pairs:
        raise InvalidFieldError(f"{table} has no rows that are materials", field="data")
    return pairs


def _described(table: Path, processes: int, progress: Callable[[int], None]) -> Iterator[Pair]:
    done = 0
    with _workers(processes) as mapped:
        for rows in _batches(table):
            chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
            for chunk in mapped(_pairs_of, chunks):
                yield from chunk
            done += len(rows)
            progress(done)


@contextmanager
def _workers(processes: int) -> Iterator[Callable[..., Iterator[list[Pair]]]]:
    """Something like `map`; with one process it is this one."""
    if processes <= 1:
        yield map
        return
    # Forked children would inherit the threads of whoever trains here.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool.map


def _batches(table: Path) -> Iterator[list[dict[str, Any]]]:
    try:
        with pq.ParquetFile(table) as file:
            _check_columns(table, set(file.schema_arrow.names))
            for batch in file.iter_batches(_BATCH_ROWS):
                yield batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise SourceFileError(f"{table} is no readable Parquet file: {error}".splitlines()[0]) from None


def _check_columns(table: Path, columns: set[str]) -> None:
    """Raise InvalidFieldError where no row could be a pair."""
    crystal = {"cell", "numbers", "frac_coords"}
    if "cif" not in columns and not crystal <= columns:
        missing = ", ".join(sorted(crystal - columns))
        raise InvalidFieldError(f"{table} has no {missing}, and no cif", field="data")
    if not columns & {column for name in LEARNT for column in (name, *OTHER_NAMES.get(name, ()))}:
        raise InvalidFieldError(f"{table} has none of {', '.join(LEARNT)}", field="data")


def _pairs_of(rows: Sequence[Mapping[str, Any]]) -> list[Pair]:
    return [pair for row in rows if (pair := _pair_of(row)) is not None]


def _pair_of(row: Mapping[str, Any]) -> Pair | None:
    """None for what no catalog would take either."""
    try:
        material = analyze(material_of_row(row, Provenance()))
        texts = [describe_structure(material.crystal, formula=formula) for formula in (True, False)]
    except (CrystalMeshError, ValueError, TypeError, ArithmeticError):
        return None
    known = {name: material.properties[name].value for name in LEARNT if name in material.properties}
    return Pair(
        id=material.id,
        formula=material.formula,
        space_group_number=material.space_group_number,
        **{str(name): value if isfinite(value := known.get(name, nan)) else None for name in LEARNT},
        structure=texts[0],
        structure_without_formula=texts[1],
    )


def _keep(pairs: Sequence[Pair], path: Path) -> None:
    columns: dict[str, list[Any]] = {field.name: [] for field in fields(Pair)}
    for pair in pairs:
        for name, value in asdict(pair).items():
            columns[name].append(value)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=_schema()), sink, compression="zstd")
    write_file(path, sink.getvalue().to_pybytes())


def _schema() -> pa.Schema:
    kinds = {"str": pa.string(), "int": pa.int32(), "float | None": pa.float64()}
    return pa.schema([(field.name, kinds[str(field.type)]) for field in fields(Pair)])


def digest(pairs: Sequence[Pair]) -> str:
    """SHA-256 of all that is said in some pairs, for telling whether a run goes on with its own data."""
    hasher = hashlib.sha256()
    for pair in pairs:
        hasher.update(json.dumps(asdict(pair), sort_keys=True).encode())
    return hasher.hexdigest()
