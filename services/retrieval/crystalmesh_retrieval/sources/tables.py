"""Tables of materials: Parquet and CSV."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crystalmesh_common.crystal.text import MAX_TEXT_CHARACTERS
from crystalmesh_retrieval.catalog.material import MaterialInput
from crystalmesh_retrieval.sources.files import file_sha256
from crystalmesh_retrieval.sources.paging import paged, rows_before
from crystalmesh_retrieval.sources.rows import id_of_row, material_of_row
from crystalmesh_retrieval.sources.source import BadRow, Page, Provenance, SourceFileError, parsed

_BATCH_ROWS = 1024


class ParquetTable:
    """A Parquet file in the layout of our exports and of docs/data.md."""

    def __init__(self, path: Path, provenance: Provenance) -> None:
        self._path = path
        self._provenance = provenance

    @cached_property
    def key(self) -> str:
        return f"parquet:{file_sha256(self._path)}"

    @property
    def attribution(self) -> str:
        return self._provenance.attribution

    def pages(self, cursor: str) -> Iterator[Page]:
        try:
            with pq.ParquetFile(self._path) as file:
                rows = self._rows(file, rows_before(cursor))
                yield from paged(rows, cursor, file.metadata.num_rows)
        except (pa.ArrowException, OSError) as error:
            raise SourceFileError(f"{self._path} is no readable Parquet file: {_first_line(error)}") from None

    def _rows(self, file: pq.ParquetFile, start: int) -> Iterator[MaterialInput | BadRow]:
        position = 0
        for batch in file.iter_batches(_BATCH_ROWS):
            skipped = min(max(start - position, 0), batch.num_rows)
            for offset, row in enumerate(batch.slice(skipped).to_pylist(), position + skipped):
                yield _material(row, offset, self._provenance)
            position += batch.num_rows


class CsvTable:
    """A CSV file with a header, plain or gzipped: MP-20 as published, with structures as CIF, or like it."""

    def __init__(self, path: Path, provenance: Provenance) -> None:
        self._path = path
        self._provenance = provenance

    @cached_property
    def key(self) -> str:
        return f"csv:{file_sha256(self._path)}"

    @property
    def attribution(self) -> str:
        return self._provenance.attribution

    def pages(self, cursor: str) -> Iterator[Page]:
        # The csv module has one limit for all; a CIF text is longer than its default.
        csv.field_size_limit(MAX_TEXT_CHARACTERS)
        opener = gzip.open if self._path.suffix == ".gz" else open
        try:
            with opener(self._path, "rt", encoding="utf-8", errors="replace", newline="") as lines:
                yield from paged(self._rows(csv.DictReader(lines), rows_before(cursor)), cursor)
        except (OSError, EOFError, zlib.error, csv.Error) as error:
            raise SourceFileError(f"{self._path} is no readable CSV file: {_first_line(error)}") from None

    def _rows(self, table: csv.DictReader[str], start: int) -> Iterator[MaterialInput | BadRow]:
        for position, row in enumerate(islice(table, start, None), start):
            yield _material(row, position, self._provenance)


def _material(row: Mapping[str, Any], position: int, provenance: Provenance) -> MaterialInput | BadRow:
    name = id_of_row(row) or f"row {position + 1}"
    return parsed(name, partial(material_of_row, row, provenance))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
