from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crystalmesh_common.runtime.errors import DisorderedCrystalError
from crystalmesh_retrieval.catalog.material import MaterialInput, Property, SourceKind
from crystalmesh_retrieval.sources import paging
from crystalmesh_retrieval.sources.matbench import MatbenchFile
from crystalmesh_retrieval.sources.source import BadRow, SourceFileError
from tests.common.crystal.strategies import mutations
from tests.conftest import silicon, sodium_chloride
from tests.retrieval.sources.databases import pymatgen_structure


def published(*targets: float | None, column: str = "gap pbe", ids: str = "mb-mp-gap") -> dict[str, Any]:
    """A data set as MatBench publishes it."""
    return {
        "index": [f"{ids}-{n:06}" for n in range(1, len(targets) + 1)],
        "columns": ["structure", column],
        "data": [
            [pymatgen_structure(sodium_chloride(a=5.5 + 0.01 * n)), target]
            for n, target in enumerate(targets)
        ],
    }


def file(path: Path, content: Any) -> MatbenchFile:
    with gzip.open(path, "wt") as out:
        out.write(content if isinstance(content, str) else json.dumps(content))
    return MatbenchFile(path)


def rows(source: MatbenchFile, cursor: str = "") -> list[MaterialInput | BadRow]:
    return [row for page in source.pages(cursor) for row in page.rows]


def test_mp_gap_becomes_materials(tmp_path: Path) -> None:
    """Ids of the index, band gaps from DFT."""
    one, two = rows(file(tmp_path / "matbench_mp_gap.json.gz", published(5.0, None)))
    assert isinstance(one, MaterialInput)
    assert isinstance(two, MaterialInput)
    assert (one.id, two.id) == ("mb-mp-gap-000001", "mb-mp-gap-000002")
    assert one.properties[Property.BAND_GAP].value == 5.0
    assert one.properties[Property.BAND_GAP].source.kind is SourceKind.DFT
    assert two.properties == {}
    assert len(one.crystal) == 2


@pytest.mark.parametrize(
    ("column", "ids", "expected"),
    [
        ("log10(K_VRH)", "mb-log-kvrh", {Property.BULK_MODULUS: 100.0}),
        ("log10(G_VRH)", "mb-log-gvrh", {Property.SHEAR_MODULUS: 100.0}),
        ("e_form", "mb-mp-e-form", {Property.FORMATION_ENERGY: 2.0}),
        ("e_form", "mb-perovskites", {}),
        ("n", "mb-dielectric", {}),
    ],
)
def test_targets_are_in_our_units(
    tmp_path: Path, column: str, ids: str, expected: dict[Property, float]
) -> None:
    """Logarithms become GPa; what is no property of ours, or per cell, is left out."""
    (row,) = rows(file(tmp_path / "x.json.gz", published(2.0, column=column, ids=ids)))
    assert isinstance(row, MaterialInput)
    assert {name: known.value for name, known in row.properties.items()} == pytest.approx(expected)


def test_pages_begin_where_the_cursor_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows before are skipped, and the number of all is known."""
    monkeypatch.setattr(paging, "PAGE_ROWS", 2)
    source = file(tmp_path / "x.json.gz", published(1.0, 2.0, 3.0, 4.0, 5.0))
    pages = list(source.pages(""))
    assert [(len(page.rows), page.cursor, page.total_rows) for page in pages] == [
        (2, "2", 5),
        (2, "4", 5),
        (1, "5", 5),
    ]
    assert [row.id for row in rows(source, "2") if isinstance(row, MaterialInput)] == [
        f"mb-mp-gap-00000{n}" for n in (3, 4, 5)
    ]


def test_bad_rows_are_named_with_a_reason(tmp_path: Path) -> None:
    """A shared site, a target that is no number, a row that is no list."""
    content = published(1.0, 2.0, 3.0, 4.0)
    content["data"][0][0]["sites"][0]["species"] = [{"element": "Na", "occu": 0.5}]
    content["data"][1][1] = "wide"
    content["data"][2] = 7
    bad = [row for row in rows(file(tmp_path / "x.json.gz", content)) if isinstance(row, BadRow)]
    assert [row.name for row in bad] == [f"mb-mp-gap-00000{n}" for n in (1, 2, 3)]
    assert isinstance(bad[0].error, DisorderedCrystalError)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}]",
        '{"data": []}',
        '{"index": ["a"], "columns": ["x"], "data": []}',
        '{"index": ["a"], "columns": ["structure"], "data": []}',
        '{"index": [], "columns": ["structure"], "data": [[]]}',
        '{"index": 1, "columns": ["structure"], "data": [[]]}',
        '{"index": ["a"], "columns": 1, "data": [[]]}',
    ],
)
def test_a_file_that_is_something_else_is_told(tmp_path: Path, content: str) -> None:
    """No JSON, another JSON, an index that does not fit the data."""
    source = file(tmp_path / "x.json.gz", content)
    if content == "{}]":  # an object without data is a set without rows
        assert rows(source) == []
        return
    with pytest.raises(SourceFileError, match="is no readable MatBench file"):
        rows(source)


def test_a_file_that_is_cut_off_gives_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole pages come, then one line says that the file is damaged."""
    monkeypatch.setattr(paging, "PAGE_ROWS", 1)
    path = tmp_path / "x.json.gz"
    source = file(path, json.dumps(published(1.0, 2.0, 3.0))[:-400])
    pages = source.pages("")
    assert len(next(pages).rows) == 1
    with pytest.raises(SourceFileError, match="is no readable MatBench file"):
        list(pages)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(SourceFileError, match="is no readable MatBench file"):
        rows(MatbenchFile(path))


TEXT = json.dumps({**published(1.0), "data": [[{"lattice": {"matrix": []}, "sites": []}, 1.0]]})


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_file_is_rows_or_one_error(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever is in it, nothing but SourceFileError comes out."""
    path = tmp_path / "x.json"
    path.write_text(data.draw(mutations(TEXT)), encoding="utf-8", errors="replace")
    try:
        read = rows(MatbenchFile(path))
    except SourceFileError:
        return
    assert all(isinstance(row, BadRow | MaterialInput) for row in read)


def test_other_structures_are_read_as_well(tmp_path: Path) -> None:
    """Not only salt."""
    content = {"index": ["a"], "columns": ["structure"], "data": [[pymatgen_structure(silicon())]]}
    (row,) = rows(file(tmp_path / "x.json.gz", content))
    assert isinstance(row, MaterialInput)
    assert row.crystal.numbers.tolist() == [14, 14]
