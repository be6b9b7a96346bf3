from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import TokenInvalidError, TokenMissingError
from crystalmesh_retrieval.catalog.material import MaterialInput, Property, SourceKind
from crystalmesh_retrieval.importing import run_import
from crystalmesh_retrieval.sources.materials_project import MaterialsProject, key_from_environment
from crystalmesh_retrieval.sources.source import BadRow, SourceRefusedError
from tests.conftest import iron, silicon, sodium_chloride
from tests.retrieval.materials import new_catalog
from tests.retrieval.sources.databases import pymatgen_structure
from tests.retrieval.sources.replies import Asked, Database, InOrder, Reply, Waits

KEY = "the-key-of-the-tests"


def document(crystal: Crystal, **more: Any) -> dict[str, Any]:
    return {"material_id": crystal.id, "structure": pymatgen_structure(crystal), "band_gap": None, **more}


def answer(asked: Asked) -> Reply:
    """Three materials, as many at a time as asked for."""
    query = parse_qs(urlsplit(asked.path).query)
    start, limit = int(query["_skip"][0]), int(query["_limit"][0])
    documents = [
        document(
            sodium_chloride("mp-22862"),
            formation_energy_per_atom=-2.1,
            band_gap=5.0,
            energy_above_hull=0,
            bulk_modulus={"voigt": 24.0, "reuss": 24.0, "vrh": 24.0},
            shear_modulus=None,
            total_magnetization_normalized_vol=0.0,
        ),
        document(silicon("mp-149")),
        document(iron("mp-13")),
    ]
    return Reply.of({"data": documents[start : start + limit], "meta": {"total_doc": 3, "api_version": "0"}})


def test_materials_come_with_their_properties() -> None:
    """Page by page; values are from DFT, moduli are the averages, what is not known is left out."""
    with Database(answer) as database:
        source = MaterialsProject(
            KEY, base_url=database.url, chemical_system="Na-Cl", page_size=2, web=Waits().web()
        )
        pages = list(source.pages(""))
    salt, si, fe = [row for page in pages for row in page.rows]
    assert isinstance(salt, MaterialInput)
    assert isinstance(si, MaterialInput)
    assert isinstance(fe, MaterialInput)
    assert {name: known.value for name, known in salt.properties.items()} == {
        Property.FORMATION_ENERGY: -2.1,
        Property.BAND_GAP: 5.0,
        Property.ENERGY_ABOVE_HULL: 0.0,
        Property.MAGNETIZATION: 0.0,
        Property.BULK_MODULUS: 24.0,
    }
    assert salt.properties[Property.BAND_GAP].source.kind is SourceKind.DFT
    assert salt.source.url == "https://materialsproject.org/materials/mp-22862"
    assert si.properties == {}
    assert fe.crystal.magnetic_moments is not None
    assert [page.cursor for page in pages] == ["2", "3"]
    query = parse_qs(urlsplit(database.asked[0].path).query)
    assert (query["chemsys"], query["deprecated"]) == (["Na-Cl"], ["false"])


def test_the_key_is_sent_and_kept_nowhere(tmp_path: Path) -> None:
    """It is in the header of each request; not in addresses, not in the catalog, not in what is printed."""
    with Database(answer) as database, new_catalog(tmp_path).writer("known") as writer:
        source = MaterialsProject(KEY, base_url=database.url, web=Waits().web())
        run_import(writer, source)
        assert {asked.headers["x-api-key"] for asked in database.asked} == {KEY}
        assert not any(KEY in asked.path for asked in database.asked)
    assert KEY not in repr(source) + source.key
    assert not any(KEY.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_key_that_is_refused_is_not_told() -> None:
    """Only that it was."""
    with Database(InOrder(Reply(status=403))) as database:
        source = MaterialsProject(KEY, base_url=database.url, web=Waits().web())
        with pytest.raises(TokenInvalidError) as raised:
            list(source.pages(""))
    assert KEY not in str(raised.value)


def test_without_a_key_the_message_says_where_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """And which variable to set."""
    monkeypatch.delenv("MP_API_KEY", raising=False)
    with pytest.raises(TokenMissingError, match="set MP_API_KEY"):
        key_from_environment()
    monkeypatch.setenv("MP_API_KEY", f" {KEY}\n")
    assert key_from_environment() == KEY


def test_bad_documents_are_rejected() -> None:
    """Without a structure, or no document at all."""
    bad = Reply.of({"data": [{"material_id": "mp-1"}, None]})
    with Database(InOrder(bad, Reply.of({"data": []}))) as database:
        (page,) = MaterialsProject(KEY, base_url=database.url, web=Waits().web()).pages("")
    assert [row.name for row in page.rows if isinstance(row, BadRow)] == ["mp-1", "a row without an id"]
    with Database(InOrder(Reply.of({"detail": "?"}))) as database:
        source = MaterialsProject(KEY, base_url=database.url, web=Waits().web())
        with pytest.raises(SourceRefusedError, match="list of materials"):
            list(source.pages(""))
