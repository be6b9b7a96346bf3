"""Writes materials of a catalog into files: a table that can be imported again, or crystals one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_common.runtime.durable import PARTIAL_SUFFIX
from crystalmesh_retrieval.catalog.filters import MaterialFilter
from crystalmesh_retrieval.catalog.rows import INTERNAL_COLUMNS, SCHEMA
from crystalmesh_retrieval.catalog.snapshot import Snapshot

_COLUMNS = [name for name in SCHEMA.names if name not in INTERNAL_COLUMNS]


def export_parquet(
    snapshot: Snapshot, material_filter: MaterialFilter, path: Path, on_rows: Callable[[int], None]
) -> None:
    """Write the materials that pass to a Parquet file, in one step; imported again they are the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(path.name + PARTIAL_SUFFIX)
    schema = pa.schema([SCHEMA.field(name) for name in _COLUMNS])
    try:
        with pq.ParquetWriter(scratch, schema, compression="zstd") as writer:
            for table in snapshot.tables(material_filter, _COLUMNS):
                writer.write_table(table.select(_COLUMNS))
                on_rows(table.num_rows)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def export_cifs(
    snapshot: Snapshot, material_filter: MaterialFilter, folder: Path, on_rows: Callable[[int], None]
) -> None:
    """Write each material that passes as a CIF file named after its id, with "/" as "%2F"."""
    folder.mkdir(parents=True, exist_ok=True)
    for material in snapshot.materials(material_filter):
        # Its file is not to land elsewhere, whatever the id; and no two ids may share one.
        name = quote(material.id, safe=" +,=()")
        (folder / f"{name}.cif").write_text(crystal_to_cif(material.crystal))
        on_rows(1)
