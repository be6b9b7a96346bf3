from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InvalidCrystalError, TooManyAtomsError
from crystalmesh_retrieval.catalog.material import MaterialInput, Property, SourceKind
from crystalmesh_retrieval.sources.nomad import EXCLUDED_ELEMENTS, NomadArchive
from crystalmesh_retrieval.sources.source import BadRow, SourceRefusedError
from tests.conftest import block, lone_atom, silicon, sodium_chloride
from tests.retrieval.sources.databases import optimade_attributes
from tests.retrieval.sources.replies import Database, InOrder, Reply, Waits


def entry(crystal: Crystal, *gaps_joule: float) -> dict[str, Any]:
    """An entry of the archive, in SI units."""
    properties: dict[str, Any] = {
        "structures": {"structure_original": optimade_attributes(crystal, per_angstrom=1e-10)}
    }
    if gaps_joule:
        properties["electronic"] = {"band_gap": [{"index": n, "value": g} for n, g in enumerate(gaps_joule)]}
    return {"entry_id": crystal.id, "upload_id": "u", "archive": {"results": {"properties": properties}}}


def page(entries: list[Any], following: str | None = None) -> Reply:
    pagination = {"page_size": 2, "total": 3, "next_page_after_value": following}
    return Reply.of({"owner": "public", "pagination": pagination, "data": entries})


def test_pages_follow_each_other_and_units_become_ours() -> None:
    """Lengths in Å, gaps in eV (the smallest of the spin channels), and the place of the entry."""
    first = page([entry(sodium_chloride("a"), 8.0e-19, 7.2e-19), entry(silicon("b"))], "b")
    with Database(InOrder(first, page([entry(sodium_chloride("c", a=6.0))]))) as database:
        source = NomadArchive(base_url=database.url, elements=("Na",), page_size=2, web=Waits().web())
        pages = list(source.pages(""))
        resumed = list(source.pages("b"))
    rows = [row for read in pages for row in read.rows]
    salt = rows[0]
    assert isinstance(salt, MaterialInput)
    assert [row.id for row in rows if isinstance(row, MaterialInput)] == ["nomad-a", "nomad-b", "nomad-c"]
    assert np.allclose(salt.crystal.cell, sodium_chloride().cell)
    assert salt.properties[Property.BAND_GAP].value == pytest.approx(4.494, abs=1e-3)
    assert salt.properties[Property.BAND_GAP].source.kind is SourceKind.DFT
    assert salt.source.url.endswith("/entries/a")
    assert [read.cursor for read in pages] == ["b", ""]
    assert pages[0].total_rows == 3
    assert len(resumed) == 1
    bodies = [asked.body["pagination"].get("page_after_value") for asked in database.asked]
    assert bodies == [None, "b", "b"]


def test_the_query_has_the_filters_of_the_paper() -> None:
    """VASP, with a structure, and none of the elements that are left out."""
    with Database(InOrder(page([]))) as database:
        list(NomadArchive(base_url=database.url, elements=("Li", "O"), web=Waits().web()).pages(""))
    (asked,) = database.asked
    assert asked.path == "/entries/archive/query"
    query = asked.body["query"]
    assert query["results.method.simulation.program_name:any"] == ["VASP"]
    assert set(query["not"]["results.material.elements:any"]) == EXCLUDED_ELEMENTS
    assert query["results.material.elements:all"] == ["Li", "O"]


def test_what_the_archive_cannot_filter_is_rejected() -> None:
    """More than 30 atoms, a noble gas, and entries that are not laid out as they should be."""
    entries = [entry(block("large")), entry(lone_atom("argon")), {"entry_id": "odd"}, None]
    with Database(InOrder(page(entries))) as database:
        (read,) = NomadArchive(base_url=database.url, web=Waits().web()).pages("")
    errors = {row.name: row.error for row in read.rows if isinstance(row, BadRow)}
    assert isinstance(errors["large"], TooManyAtomsError)
    assert isinstance(errors["argon"], InvalidCrystalError)
    assert "Ar" in str(errors["argon"])
    assert set(errors) == {"large", "argon", "odd", "an entry without an id"}


def test_pages_in_a_circle_are_refused() -> None:
    """An archive that names a page as the next one of itself would never end."""
    with Database(InOrder(page([], "x"))) as database, pytest.raises(SourceRefusedError, match="next one"):
        list(NomadArchive(base_url=database.url, web=Waits().web()).pages(""))


def test_only_an_archive_answers_like_one() -> None:
    """Anything else is refused in one line."""
    answers = (Reply.of([]), Reply.of({"data": 1}))
    for answer in answers:
        with (
            Database(InOrder(answer)) as database,
            pytest.raises(SourceRefusedError, match="list of entries"),
        ):
            list(NomadArchive(base_url=database.url, web=Waits().web()).pages(""))


def test_another_part_is_another_source() -> None:
    """The order in which elements are given does not matter."""
    one, same, other = (NomadArchive(elements=elements) for elements in (("Li", "O"), ("O", "Li"), ("Li",)))
    assert one.key == same.key != other.key
