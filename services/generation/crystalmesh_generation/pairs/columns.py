"""Crystals in columns of Parquet files that say what they were made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.durable import writing
from crystalmesh_common.runtime.errors import DataCorruptError

_KEY = b"crystalmesh_pairs"


def crystal_columns(crystals: Sequence[Crystal]) -> dict[str, pa.Array]:
    """Columns `cell`, `numbers` and `frac_coords`, in single precision."""
    return {
        "cell": pa.array([crystal.cell.ravel() for crystal in crystals], pa.list_(pa.float32(), 9)),
        "numbers": pa.array([crystal.numbers for crystal in crystals], pa.list_(pa.uint8())),
        "frac_coords": pa.array(
            [crystal.frac_coords.ravel() for crystal in crystals], pa.list_(pa.float32())
        ),
    }


def crystals_of(table: pa.Table) -> Iterator[Crystal]:
    """What `crystal_columns` were made of."""
    cells = _flat(table, "cell").astype(np.float64).reshape(-1, 3, 3)
    numbers = _flat(table, "numbers").astype(np.int64)
    sites = _flat(table, "frac_coords").astype(np.float64).reshape(-1, 3)
    sizes = pa.compute.list_value_length(table.column("numbers")).to_numpy()
    ends = np.cumsum(sizes)
    for cell, start, end in zip(cells, ends - sizes, ends, strict=True):
        yield Crystal(cell, numbers[start:end], sites[start:end])


def write_table(path: Path, table: pa.Table, origin: Mapping[str, Any]) -> None:
    """Put a Parquet file in place in one step, with what it was made from."""
    said = {_KEY: json.dumps(origin, sort_keys=True).encode()}
    with writing(path) as file:
        pq.write_table(table.replace_schema_metadata(said), file, compression="zstd")


def read_table(path: Path, format: int) -> tuple[pa.Table, Mapping[str, Any]]:  # noqa: A002 -- what it is
    """A file of ours and what it was made from. Raises `DataCorruptError` for any other."""
    origin = origin_of(path)
    if origin is None or origin.get("format") != format:
        raise DataCorruptError(f"{path} is no file of pairs of format {format}; make it again", path=path)
    try:
        return pq.read_table(path), origin
    except (pa.ArrowException, OSError) as error:
        raise DataCorruptError(f"{path} is damaged; make it again", path=path) from error


def origin_of(path: Path) -> Mapping[str, Any] | None:
    """What a file of ours was made from; None for any other file."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        origin = json.loads(metadata[_KEY])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    return origin if isinstance(origin, dict) else None


def _flat(table: pa.Table, column: str) -> Any:
    """The values of a column of lists, end to end."""
    return table.column(column).combine_chunks().flatten().to_numpy(zero_copy_only=False)
