"""The clients and the real service when it dies and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crystalmesh_client import Credentials, MaterialInput, Mesh, SearchHits
from tests.client.retrieval.conftest import KNOWN, ROOT
from tests.conftest import ServiceProcess, StartService, copies, silicon

NOBODY = Credentials(token=None)
QUERIES = [f"material number {number}" for number in range(300)]


@pytest.fixture
def start(start_service: StartService, tmp_path: Path) -> StartService:
    """Starts the service on the same catalogs, on the port of the one before it if there is one."""

    def begin(before: ServiceProcess | None = None) -> ServiceProcess:
        port = "0" if before is None else before.address.rsplit(":", 1)[1]
        if before is not None:
            before.kill()
        server = start_service(
            *("--encoder", "words", "--catalogs", str(tmp_path / "catalogs"), "--port", port),
            module="tests.client.retrieval.word_service",
            PYTHONPATH=str(ROOT),
        )
        server.wait_serving()
        return server

    return begin


class KillingList(list[MaterialInput]):
    """Materials that can be read again; in the middle of the first reading the server is killed."""

    def __init__(self, materials: list[MaterialInput], server: ServiceProcess, start: StartService) -> None:
        super().__init__(materials)
        self._server = server
        self._start = start
        self._killed = False

    def __iter__(self) -> Iterator[MaterialInput]:
        for number, material in enumerate(super().__iter__()):
            if number == len(self) - 1 and not self._killed:
                self._killed = True
                self._start(self._server)
            yield material


@pytest.mark.timeout(400)  # it starts the service twice
def test_searches_under_way_survive_a_kill(start: StartService) -> None:
    """What was added is there again, and queries without an answer are sent again: each has one."""
    server = start()
    with Mesh(server.address, credentials=NOBODY) as mesh:
        mesh.retrieval.add_materials(KNOWN, catalog="known", create=True)
        stream = mesh.retrieval.search_many(QUERIES, catalog="known", limit=1)
        outcomes = [next(stream)]
        start(server)
        outcomes += stream
    assert sorted(outcome.id for outcome in outcomes) == sorted(str(number) for number in range(len(QUERIES)))
    assert all(isinstance(outcome, SearchHits) for outcome in outcomes)


@pytest.mark.timeout(400)  # it starts the service twice
def test_additions_under_way_survive_a_kill(start: StartService) -> None:
    """A list whose server dies while it is sent is sent again, and all of it is in the catalog."""
    server = start()
    with Mesh(server.address, credentials=NOBODY) as mesh:
        mesh.retrieval.add_materials(KNOWN, catalog="known", create=True)
        described = [MaterialInput(each, structure_description="diamond") for each in copies(silicon(), 600)]
        added = mesh.retrieval.add_materials(KillingList(described, server, start), catalog="known")
        assert (added.received_count, added.added_count + added.unchanged_count) == (600, 600)
        assert mesh.retrieval.catalog("known").material_count == 603
