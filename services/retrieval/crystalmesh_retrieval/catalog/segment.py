"""One file of materials. It is written once, checked once, and mapped into memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crystalmesh_common.runtime.durable import write_file
from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_retrieval.catalog.manifest import SegmentEntry
from crystalmesh_retrieval.catalog.rows import SCHEMA

SEGMENTS = "segments"
CHUNK_ROWS = 1024
"""Materials that are written, and so read, together: a row group. Getting one takes 3 ms; 6 with 4,096."""

# Coordinates compress byte by byte, everything else repeats itself.
_NUMBERS = ("cell.list.element", "frac_coords.list.element")
_REPEATED = [
    name for name in SCHEMA.names if name.endswith(("_kind", "_name", "_version", "_license", "formula"))
]

Rows = NDArray[np.int64]


def write_segment(folder: Path, table: pa.Table) -> SegmentEntry:
    """Write the rows of a table of SCHEMA durably, as a segment that no manifest names yet."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        row_group_size=CHUNK_ROWS,
        use_dictionary=_REPEATED,
        use_byte_stream_split=list(_NUMBERS),
    )
    content = sink.getvalue().to_pybytes()
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"{sha256[:24]}.parquet"
    write_file(folder / SEGMENTS / name, content)
    return SegmentEntry(file=name, rows=table.num_rows, bytes=len(content), sha256=sha256)


class Segment:
    """The materials of a segment, by row. Threads may share it, and its file may be deleted meanwhile.

    Raises FileNotFoundError where there is no such file, and DataCorruptError for one that is not what was
    written.
    """

    def __init__(self, folder: Path, entry: SegmentEntry) -> None:
        path = folder / SEGMENTS / entry.file
        if path.stat().st_size != entry.bytes:
            raise _damaged(path, f"it has {path.stat().st_size:,} bytes instead of {entry.bytes:,}")
        mapped = pa.memory_map(str(path))
        if hashlib.sha256(memoryview(mapped.read_buffer())).hexdigest() != entry.sha256:
            raise _damaged(path, "it does not match its checksum")
        mapped.seek(0)
        self.entry = entry
        # Arrow does not promise that threads may share a reader.
        self._lock = threading.Lock()
        self._file = pq.ParquetFile(mapped)
        if not self._file.schema_arrow.equals(SCHEMA):
            raise _damaged(path, "its columns are of another version")
        sizes = [self._file.metadata.row_group(chunk).num_rows for chunk in range(self._file.num_row_groups)]
        self._starts = np.cumsum([0, *sizes])  # (chunks + 1,)
        self._columns: dict[str, np.ndarray] = {}
        self._texts: dict[str, pa.StringArray] = {}

    @property
    def row_count(self) -> int:
        return self.entry.rows

    def column(self, name: str) -> np.ndarray:
        """All values of a column of numbers, (rows,); NaN where one is not known. Kept."""
        if name not in self._columns:
            self._columns[name] = self._read(name).to_numpy(zero_copy_only=False)
        return self._columns[name]

    def texts(self, name: str) -> pa.StringArray:
        """All values of a column of text. Kept as Arrow has it: Python's strings take five times as much."""
        if name not in self._texts:
            self._texts[name] = self._read(name)
        return self._texts[name]

    @cached_property
    def content_hashes(self) -> NDArray[np.void]:
        """The content hash of each row, (rows,), 32 bytes each."""
        column = self._read("content_sha256")
        return np.frombuffer(column.buffers()[1], dtype="V32")[column.offset : column.offset + len(column)]

    def rows_of(self, keys: NDArray[np.uint64]) -> Rows:
        """The last row that has each key, -1 where none has. Two ids may share a key."""
        ordered, order = self._keys
        right = np.searchsorted(ordered, keys, side="right") - 1
        found = (right >= 0) & (ordered[right] == keys)
        return np.where(found, order[right], -1)

    def chunk_of(self, row: int) -> tuple[int, int]:
        """The chunk that a row is in, and its place there."""
        chunk = int(np.searchsorted(self._starts, row, side="right")) - 1
        return chunk, row - int(self._starts[chunk])

    def table(self, chunk: int, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of a chunk, all columns unless told."""
        with self._lock:
            return self._file.read_row_group(chunk, columns=columns)

    def tables(self, live: NDArray[np.bool_], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The rows where `live` holds, chunk by chunk; a chunk without any is not read."""
        for chunk, (start, end) in enumerate(pairwise(self._starts.tolist())):
            wanted = np.flatnonzero(live[start:end])
            if wanted.size:
                yield self.table(chunk, columns).take(pa.array(wanted))

    def _read(self, name: str) -> pa.Array:
        with self._lock:
            return self._file.read([name])[name].combine_chunks()

    @cached_property
    def _keys(self) -> tuple[NDArray[np.uint64], Rows]:
        keys = self.column("id_key")
        order = np.argsort(keys, kind="stable")
        return keys[order], order


def _damaged(path: Path, problem: str) -> DataCorruptError:
    return DataCorruptError(
        f"the segment {path} is damaged: {problem}. Restore it from a copy, or run "
        f"`crystalmesh catalog repair {path.parent.parent.name}`, which sets it aside, and import its "
        "sources again",
        file=path,
    )
