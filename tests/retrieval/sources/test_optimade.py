from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_retrieval.catalog.material import (
    MaterialInput,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.importing import run_import
from crystalmesh_retrieval.sources.optimade import KNOWN_FIELDS, OptimadeProvider
from crystalmesh_retrieval.sources.source import (
    BadRow,
    Provenance,
    SourceRefusedError,
    SourceUnreachableError,
)
from crystalmesh_retrieval.sources.web import Web
from tests.common.crystal.strategies import mutations
from tests.conftest import silicon, sodium_chloride
from tests.retrieval.materials import new_catalog
from tests.retrieval.sources.databases import optimade_entry, optimade_page
from tests.retrieval.sources.replies import Asked, Database, InOrder, Reply, Waits


class Provider:
    """Three pages of two salts; `trouble` answers instead as long as it has replies for a page."""

    def __init__(self, **trouble: list[Reply]) -> None:
        self.trouble = trouble

    def __call__(self, asked: Asked) -> Reply:
        query = parse_qs(urlsplit(asked.path).query)
        number = int(query.get("page_offset", ["0"])[0])
        if replies := self.trouble.get(f"page_{number}"):
            return replies.pop(0)
        salts = [
            sodium_chloride(str(4061139 + 2 * number + n), a=5.5 + 0.1 * (2 * number + n)) for n in (0, 1)
        ]
        host = asked.headers["host"]
        following = f"http://{host}/optimade/v1/structures?page_offset={number + 1}" if number < 2 else None
        entries = [optimade_entry(salt, _oqmd_band_gap=5.0 + number) for salt in salts]
        return Reply.of(optimade_page(entries, following, total=6))


def provider(database: Database, web: Web, **fields: Any) -> OptimadeProvider:
    return OptimadeProvider(f"{database.url}/optimade", web=web, **fields)


def materials(source: OptimadeProvider, cursor: str = "") -> list[MaterialInput]:
    rows = [row for page in source.pages(cursor) for row in page.rows]
    assert all(isinstance(row, MaterialInput) for row in rows), rows
    return [row for row in rows if isinstance(row, MaterialInput)]


def test_all_pages_are_read() -> None:
    """Along the links, with ids and sources of the provider, and the values that were asked for."""
    dft = ValueSource(SourceKind.DFT, "OQMD")
    with Database(Provider()) as database:
        source = provider(
            database,
            Waits().web(),
            filter='elements HAS "Na"',
            fields={Property.BAND_GAP: "_oqmd_band_gap"},
            provenance=Provenance(values=dft, license="CC-BY-4.0"),
            page_size=2,
        )
        found = materials(source)
        query = parse_qs(urlsplit(database.asked[0].path).query)
    assert urlsplit(database.asked[0].path).path == "/optimade/v1/structures"
    assert query["filter"] == ['elements HAS "Na"']
    assert query["page_limit"] == ["2"]
    assert {"lattice_vectors", "species", "_oqmd_band_gap"} <= set(query["response_fields"][0].split(","))
    assert [material.id for material in found] == [f"oqmd-{4061139 + n}" for n in range(6)]
    assert found[5].properties == {Property.BAND_GAP: PropertyValue(7.0, dft)}
    assert found[0].source.source_id == "4061139"
    assert found[0].source.url.endswith("/optimade/v1/structures/4061139")
    assert found[0].source.license == "CC-BY-4.0"
    assert found[0].source.name == "The Open Quantum Materials Database"


def test_known_providers_need_no_fields() -> None:
    """Those of the large ones are asked for by themselves, and their values are from DFT."""
    source = OptimadeProvider("https://alexandria.icams.rub.de/pbe/v1")
    for field in KNOWN_FIELDS["alexandria.icams.rub.de"].values():
        assert field in source._first_page
    assert source._first_page.startswith("https://alexandria.icams.rub.de/pbe/v1/structures?")
    assert source._values_of("Alexandria") == ValueSource(SourceKind.DFT, "Alexandria")
    assert OptimadeProvider("https://example.org")._values_of("x").kind is SourceKind.UNSPECIFIED


@pytest.mark.parametrize(
    "following",
    [{"href": "structures?page_offset=1", "meta": {}}, "structures?page_offset=1", "?page_offset=1"],
)
def test_links_come_in_many_forms(following: Any) -> None:
    """As an object, or relative to the page."""
    first = Reply.of(optimade_page([optimade_entry(sodium_chloride("1"))], following))
    last = Reply.of(optimade_page([optimade_entry(silicon("2"))], ""))
    with Database(InOrder(first, last)) as database:
        assert [m.id for m in materials(provider(database, Waits().web()))] == ["oqmd-1", "oqmd-2"]
        assert database.asked[1].path == "/optimade/v1/structures?page_offset=1"


def test_trouble_on_the_way_is_waited_out() -> None:
    """A limit of requests, errors and cut connections in the middle lose no page and repeat none."""
    waits = Waits()
    trouble = [
        Reply(status=429, headers={"Retry-After": "7"}),
        Reply(status=500),
        Reply(b'{"data": [', cut_after=4),
    ]
    with Database(Provider(page_1=trouble)) as database:
        found = materials(provider(database, waits.web()))
    assert [material.id for material in found] == [f"oqmd-{4061139 + n}" for n in range(6)]
    assert waits.seconds == [7.0, 2.0, 4.0]


def test_an_import_goes_on_at_the_page_where_it_stopped(tmp_path: Path) -> None:
    """When a database goes away, what was imported is kept; the next run asks for that page first."""
    answering = Provider(page_1=[Reply(status=503)] * 3)
    with Database(answering) as database, new_catalog(tmp_path).writer("known") as writer:
        source = provider(database, Waits().web(attempts=3))
        with pytest.raises(SourceUnreachableError, match="goes on from there"):
            run_import(writer, source)
        assert len(writer.snapshot) == 2
        database.asked.clear()
        report = run_import(writer, source)
        assert [urlsplit(asked.path).query for asked in database.asked] == ["page_offset=1", "page_offset=2"]
        assert (report.resumed_after, report.received, report.added, report.total_rows) == (2, 4, 4, 6)
        assert len(writer.snapshot) == 6
        again = run_import(writer, source)
        assert (again.resumed_after, again.received, again.unchanged) == (0, 6, 6)


def test_bad_structures_are_reported_and_the_others_read() -> None:
    """A vacancy, a surface, an entry without attributes, and one that is no object."""
    salt = optimade_entry(sodium_chloride("1"))
    vacant = optimade_entry(sodium_chloride("2"), species_at_sites=["Na", "vacancy"])
    surface = optimade_entry(sodium_chloride("3"), dimension_types=[1, 1, 0])
    page = optimade_page([salt, vacant, surface, {"id": "4"}, 5, {"id": "6", "attributes": None}])
    with Database(InOrder(Reply.of(page))) as database:
        (read,) = provider(database, Waits().web()).pages("")
    bad = {row.name: str(row.error) for row in read.rows if isinstance(row, BadRow)}
    assert set(bad) == {"2", "3", "4", "a row without an id", "6"}
    assert bad["2"] == "vacancy is no element"
    assert "not laid out" in bad["4"]


def test_a_link_in_a_circle_is_refused() -> None:
    """A page that names itself as the next one would never end."""
    page = Reply.of(optimade_page([], "/optimade/v1/structures?page_offset=1"))
    with Database(InOrder(page)) as database, pytest.raises(SourceRefusedError, match="names itself"):
        list(provider(database, Waits().web()).pages(""))


@pytest.mark.parametrize("answer", [[], {}, {"data": {}}, {"data": None}, 1, None])
def test_an_answer_that_is_no_list_of_structures_is_refused(answer: Any) -> None:
    """Another kind of server says so in one line."""
    with Database(InOrder(Reply.of(answer))) as database:  # noqa: SIM117 -- reads better apart
        with pytest.raises(SourceRefusedError, match="does not answer with a list of structures"):
            list(provider(database, Waits().web()).pages(""))


PAGE = json.dumps(optimade_page([optimade_entry(sodium_chloride("1"), _gap=1.0)], None))


class Says(Web):
    """The web, with one answer to everything."""

    def __init__(self, answer: Any) -> None:
        super().__init__(headers={"answer": answer})

    def json(self, _url: str, _body: Any = None) -> Any:
        return self.headers["answer"]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_answer_is_rows_or_one_error(data: st.DataObject) -> None:
    """Whatever a provider sends in whatever place, nothing but the documented errors comes out."""
    try:
        answer = json.loads(data.draw(mutations(PAGE)))
    except (ValueError, RecursionError):
        return
    source = OptimadeProvider("http://localhost", fields={Property.BAND_GAP: "_gap"}, web=Says(answer))
    try:
        page = next(source.pages(""))
    except SourceRefusedError:
        return
    assert all(isinstance(row, BadRow | MaterialInput) for row in page.rows)
