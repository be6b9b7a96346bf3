from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_retrieval.catalog.material import (
    MaterialInput,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.sources import paging
from crystalmesh_retrieval.sources.rows import material_of_row
from crystalmesh_retrieval.sources.source import BadRow, Provenance, Source, SourceFileError, parsed
from crystalmesh_retrieval.sources.tables import CsvTable, ParquetTable
from tests.conftest import silicon, sodium_chloride

DFT = ValueSource(SourceKind.DFT, "Materials Project")
PROVENANCE = Provenance(DFT, "Materials Project", "CC-BY-4.0", "Materials Project, CC BY 4.0")


def rows(source: Source, cursor: str = "") -> list[MaterialInput | BadRow]:
    return [row for page in source.pages(cursor) for row in page.rows]


def data_row(name: str, a: float = 5.69, **values: Any) -> dict[str, Any]:
    """A row in the layout of docs/data.md."""
    crystal = sodium_chloride(name, a=a)
    return {
        "id": name,
        "formula": "NaCl",
        "cell": crystal.cell.ravel().tolist(),
        "numbers": crystal.numbers.tolist(),
        "frac_coords": crystal.frac_coords.ravel().tolist(),
        "space_group": None,
        "band_gap_ev": None,
        "magnetization_mu_b_per_a3": None,
        **values,
    }


SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("formula", pa.string()),
        ("cell", pa.list_(pa.float32(), 9)),
        ("numbers", pa.list_(pa.uint8())),
        ("frac_coords", pa.list_(pa.float32())),
        ("space_group", pa.uint8()),
        ("band_gap_ev", pa.float32()),
        ("magnetization_mu_b_per_a3", pa.float32()),
    ]
)


def parquet(path: Path, *data: dict[str, Any]) -> ParquetTable:
    pq.write_table(pa.Table.from_pylist(list(data), SCHEMA), path, row_group_size=3)
    return ParquetTable(path, PROVENANCE)


def test_a_data_set_becomes_materials(tmp_path: Path) -> None:
    """Structure, values with their source, null for what is not known."""
    table = parquet(
        tmp_path / "t.parquet",
        data_row("mp-1", band_gap_ev=5.0, magnetization_mu_b_per_a3=0.5),
        data_row("mp-2"),
    )
    one, two = rows(table)
    assert isinstance(one, MaterialInput)
    assert isinstance(two, MaterialInput)
    assert np.allclose(one.crystal.cell, sodium_chloride().cell)
    assert one.properties == {
        Property.BAND_GAP: PropertyValue(5.0, DFT),
        Property.MAGNETIZATION: PropertyValue(0.5, DFT),
    }
    assert two.properties == {}
    assert (one.source.name, one.source.source_id, one.source.license) == (
        "Materials Project",
        "mp-1",
        "CC-BY-4.0",
    )
    assert table.attribution == "Materials Project, CC BY 4.0"


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_pages_begin_where_the_cursor_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """From every cursor on come the rows that were left, whatever the row groups."""
    monkeypatch.setattr(paging, "PAGE_ROWS", 4)
    data = [data_row(f"mp-{n}") for n in range(10)]
    table: Source
    if kind == "parquet":
        table = parquet(tmp_path / "t.parquet", *data)
    else:
        table = CsvTable(
            write_csv(tmp_path / "t.csv", [{"id": r["id"], "cif": cif()} for r in data]), PROVENANCE
        )
    pages = list(table.pages(""))
    assert [len(page.rows) for page in pages] == [4, 4, 2]
    assert [page.cursor for page in pages] == ["4", "8", "10"]
    assert pages[0].total_rows == (10 if kind == "parquet" else None)
    for page, start in zip(pages, (4, 8, 10), strict=True):
        left = [row.id for row in rows(table, page.cursor) if isinstance(row, MaterialInput)]
        assert left == [f"mp-{n}" for n in range(start, 10)]


def cif() -> str:
    return crystal_to_cif(sodium_chloride())


def write_csv(path: Path, data: list[dict[str, Any]]) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(data[0]))
        writer.writeheader()
        writer.writerows(data)
    return path


@pytest.mark.parametrize("name", ["train.csv", "train.csv.gz"])
def test_mp20_as_published_becomes_materials(tmp_path: Path, name: str) -> None:
    """The columns of CDVAE, the structure as CIF over many lines, also longer than csv takes by default."""
    long = cif() + "# " + "x" * 200_000
    published = [
        {
            "": 0,
            "material_id": "mp-22862",
            "formation_energy_per_atom": -2.1,
            "band_gap": 5.0,
            "pretty_formula": "NaCl",
            "e_above_hull": 0.0,
            "elements": "['Na', 'Cl']",
            "cif": text,
            "spacegroup.number": 225,
        }
        for text in (cif(), long)
    ]
    one, two = rows(CsvTable(write_csv(tmp_path / name, published), PROVENANCE))
    assert isinstance(one, MaterialInput)
    assert isinstance(two, MaterialInput)
    assert one.id == "mp-22862"
    assert {str(key): known.value for key, known in one.properties.items()} == {
        "formation_energy_ev_per_atom": -2.1,
        "band_gap_ev": 5.0,
        "energy_above_hull_ev_per_atom": 0.0,
    }
    assert len(one.crystal) == len(two.crystal) == 2


def test_lists_in_csv_are_json(tmp_path: Path) -> None:
    """Arrays may stand in cells, as `[1, 2]`."""
    row = {
        key: json.dumps(value) if isinstance(value, list) else value for key, value in data_row("x").items()
    }
    (read,) = rows(CsvTable(write_csv(tmp_path / "t.csv", [row]), PROVENANCE))
    assert isinstance(read, MaterialInput)
    assert np.allclose(read.crystal.frac_coords, sodium_chloride().frac_coords)


def test_bad_rows_are_named_with_a_reason(tmp_path: Path) -> None:
    """By id, or by their place where they have none."""
    data = [
        {"id": "a", "cif": cif(), "band_gap_ev": ""},
        {"id": "", "cif": cif(), "band_gap_ev": "1"},
        {"id": "c", "cif": "no CIF", "band_gap_ev": "1"},
        {"id": "d", "cif": cif(), "band_gap_ev": "wide"},
        {"id": "e", "cif": "", "band_gap_ev": "1"},
    ]
    read = rows(CsvTable(write_csv(tmp_path / "t.csv", data), PROVENANCE))
    assert isinstance(read[0], MaterialInput)
    bad = {row.name: str(row.error) for row in read if isinstance(row, BadRow)}
    assert set(bad) == {"row 2", "c", "d", "e"}
    assert bad["row 2"] == "it has no id"
    assert "wide" in bad["d"]
    assert bad["e"] == "it has no cell, and no cif"


@pytest.mark.parametrize(("suffix", "kind"), [(".parquet", ParquetTable), (".csv.gz", CsvTable)])
def test_a_file_that_is_something_else_is_told(tmp_path: Path, suffix: str, kind: type[Any]) -> None:
    """One line with its name; so is a file that is not there."""
    path = tmp_path / f"t{suffix}"
    path.write_bytes(b"something else")
    with pytest.raises(SourceFileError, match=r"is no readable (Parquet|CSV) file") as raised:
        rows(kind(path, PROVENANCE))
    assert "\n" not in str(raised.value)
    with pytest.raises(SourceFileError, match="cannot be read: No such file"):
        _ = kind(tmp_path / "absent", PROVENANCE).key


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    """A copy is the same source, a changed file another one."""
    one = parquet(tmp_path / "one.parquet", data_row("x"))
    two = parquet(tmp_path / "two.parquet", data_row("x"))
    other = parquet(tmp_path / "other.parquet", data_row("y"))
    assert one.key == two.key != other.key


_CELLS = (
    st.none() | st.text(max_size=8) | st.floats() | st.lists(st.floats() | st.text(max_size=2), max_size=4)
)


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from([*data_row("x"), "cif", "material_id", "band_gap_ev_source_kind", "source_name"]),
        _CELLS,
    )
)
def test_any_row_is_a_material_or_a_bad_one(changes: dict[str, Any]) -> None:
    """Whatever stands in whatever cell."""
    row = {**data_row("x"), **changes}
    assert isinstance(parsed("x", lambda: material_of_row(row, PROVENANCE)), MaterialInput | BadRow)


def test_silicon_is_not_salt() -> None:
    """The structure of the row counts, not its formula."""
    si = silicon()
    row = data_row("x", cell=si.cell.tolist(), numbers=[14, 14], frac_coords=si.frac_coords.tolist())
    assert material_of_row(row, PROVENANCE).crystal.numbers.tolist() == [14, 14]
