"""One file of vectors, each with the key of its material."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crystalmesh_retrieval.catalog_index.files import Write, check_file, write_named
from crystalmesh_retrieval.catalog_index.manifest import BlockEntry, damaged
from crystalmesh_retrieval.vectors.stored import Halves, StoredVectors

KEY_BYTES = 16
"""Of the content hash of a material, which says which vector is whose, wherever either is moved to."""

Keys = NDArray[np.void]  # (n,), of KEY_BYTES each
Rows = NDArray[np.int64]


def keys_of(content_hashes: NDArray[np.void]) -> Keys:
    """The keys of materials with these content hashes, (n,), 32 bytes each."""
    halves = content_hashes.view(f"V{KEY_BYTES}").reshape(-1, 2)
    return np.ascontiguousarray(halves[:, 0])


class VectorBlock:
    """Vectors of one encoder with the keys of their materials, by row. Threads may share it.

    Its file may be deleted meanwhile. Raises FileNotFoundError where there is no such file, and
    DataCorruptError for one that is not what was written.
    """

    def __init__(self, folder: Path, entry: BlockEntry, dimensions: int) -> None:
        path = folder / entry.file
        with path.open("rb") as file:
            check_file(file, path, entry.bytes, entry.sha256)
            if entry.bytes != entry.rows * (2 * dimensions + KEY_BYTES):
                raise damaged(path, f"{entry.rows:,} vectors of {dimensions} are not {entry.bytes:,} bytes")
            content = np.memmap(file, dtype=np.uint8, mode="r")
        self.entry = entry
        split = entry.rows * 2 * dimensions
        self.vectors = StoredVectors(content[:split].view(np.float16).reshape(entry.rows, dimensions))
        self.keys: Keys = np.array(content[split:]).view(f"V{KEY_BYTES}")

    def __len__(self) -> int:
        return self.entry.rows

    def rows_of(self, keys: Keys) -> Rows:
        """The row of each key, (n,), -1 where it is not here."""
        wanted = pc.index_in(_as_arrow(self.keys), value_set=_as_arrow(keys))
        places = wanted.fill_null(-1).to_numpy(zero_copy_only=False)
        here = np.flatnonzero(places >= 0)
        rows = np.full(len(keys), -1, dtype=np.int64)
        rows[places[here]] = here
        return rows


def write_block(
    folder: Path, keys: Keys, parts: Iterable[Halves], *, without_text: Sequence[int] = ()
) -> BlockEntry:
    """Write vectors durably, as a block that no manifest names yet; `parts` in the order of the keys.

    Raises StorageFullError.
    """

    def fill(write: Write) -> None:
        for part in (*parts, keys):
            write(np.ascontiguousarray(part).view(np.uint8).reshape(-1).data)

    written = write_named(folder, ".vectors", fill)
    return BlockEntry(
        file=written.file,
        rows=len(keys),
        bytes=written.bytes,
        sha256=written.sha256,
        without_text=tuple(without_text),
    )


def _as_arrow(keys: Keys) -> pa.FixedSizeBinaryArray:
    return pa.Array.from_buffers(pa.binary(KEY_BYTES), len(keys), [None, pa.py_buffer(keys)])
