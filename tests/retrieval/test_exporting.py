from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from crystalmesh_common.crystal.files import read_crystals
from crystalmesh_retrieval.catalog.filters import EVERYTHING, MaterialFilter
from crystalmesh_retrieval.catalog.material import (
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.catalog.rows import INTERNAL_COLUMNS
from crystalmesh_retrieval.exporting import export_cifs, export_parquet
from crystalmesh_retrieval.importing import run_import
from crystalmesh_retrieval.sources.source import Provenance
from crystalmesh_retrieval.sources.tables import ParquetTable
from tests.conftest import iron
from tests.retrieval.materials import diamond, filled, new_catalog, salt, salts


def full(name: str) -> MaterialInput:
    """A material with all that one can have."""
    prediction = ValueSource(SourceKind.PREDICTION, "cgcnn", "1")
    return MaterialInput(
        name,
        iron(name),
        {name: PropertyValue(n + 0.1, prediction, 0.05) for n, name in enumerate(Property) if n < 6},
        MaterialSource(
            "OQMD", "17", "https://oqmd.org/17", datetime(2026, 1, 2, tzinfo=UTC), "CC-BY-4.0", "prototype"
        ),
        "Iron, cubic.",
        "bcc",
    )


def test_an_export_imported_again_is_the_same_catalog(tmp_path: Path) -> None:
    """Crystals, values, sources and texts: the versions are equal."""
    rows: list[int] = []
    with filled(tmp_path, *salts(3), full("fe"), diamond(gap=None)) as writer:
        export_parquet(writer.snapshot, EVERYTHING, tmp_path / "out.parquet", rows.append)
        version = writer.snapshot.manifest.content_version
        before = writer.snapshot.get("fe")
    assert sum(rows) == 5
    with new_catalog(tmp_path / "again").writer("known") as writer:
        report = run_import(writer, ParquetTable(tmp_path / "out.parquet", Provenance()))
        assert (report.added, report.rejected) == (5, 0)
        assert writer.snapshot.manifest.content_version == version
        after = writer.snapshot.get("fe")
    assert before is not None
    assert after is not None
    assert after.source == before.source
    assert replace(after, crystal=before.crystal).properties == before.properties


def test_a_filter_takes_a_part(tmp_path: Path) -> None:
    """Only what passes is written, without columns that only a catalog needs."""
    with filled(tmp_path, *salts(3), diamond()) as writer:
        export_parquet(
            writer.snapshot, MaterialFilter(required_elements=[14]), tmp_path / "si.parquet", lambda _: None
        )
    table = pq.read_table(tmp_path / "si.parquet")
    assert table["id"].to_pylist() == ["si"]
    assert not set(INTERNAL_COLUMNS) & set(table.column_names)


def test_an_export_that_fails_leaves_no_half_a_file(tmp_path: Path) -> None:
    """Neither under its name nor under another."""

    class Stop(BaseException):
        pass

    def stop(_rows: int) -> None:
        raise Stop

    with filled(tmp_path, *salts(3)) as writer, pytest.raises(Stop):
        export_parquet(writer.snapshot, EVERYTHING, tmp_path / "out.parquet", stop)
    assert not list(tmp_path.glob("out*"))


def test_cif_files_are_named_after_their_materials(tmp_path: Path) -> None:
    """Whatever an id is, its file is in the folder, and no two share one."""
    names = ["a/b", "a_b", "..", "TiO₂ (α)", "a%2Fb"]
    with filled(tmp_path, *(salt(name) for name in names)) as writer:
        export_cifs(writer.snapshot, EVERYTHING, tmp_path / "out", lambda _: None)
    files = list((tmp_path / "out").iterdir())
    assert len(files) == len(names)
    assert (tmp_path / "out" / "a%2Fb.cif") in files
    assert all(len(read_crystals(file)[0]) == 2 for file in files)
