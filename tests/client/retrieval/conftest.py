"""A retrieval service with a small catalog, clients of it, and its command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crystalmesh_client import AsyncMesh, Credentials, MaterialInput, Mesh, PropertyValue, ValueSource
from tests.conftest import TOKEN, ServiceProcess, iron, silicon, sodium_chloride

ROOT = Path(__file__).resolve().parents[3]
DFT = ValueSource("dft", "Materials Project", "2021")
MODEL = ValueSource("potential", "chgnet-0.3.0")

KNOWN = [
    MaterialInput(
        sodium_chloride("salt"),
        properties={
            "band_gap_ev": PropertyValue(5.0, DFT),
            "formation_energy_ev_per_atom": PropertyValue(-2.1, MODEL, uncertainty=0.05),
        },
        structure_description="rock salt of Na and Cl, six-coordinated",
    ),
    MaterialInput(
        silicon("si"),
        properties={"band_gap_ev": PropertyValue(0.6, DFT)},
        structure_description="diamond of Si, four-coordinated, a semiconductor",
    ),
    MaterialInput(
        iron("iron"), properties={"band_gap_ev": 0.0}, structure_description="a metal, body centred cubic Fe"
    ),
]
"""The catalog `known` of the shared server."""


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The retrieval service with an encoder of words and the catalog `known`. It asks for TOKEN."""
    folder = tmp_path_factory.mktemp("words")
    server = ServiceProcess(
        folder,
        *("--encoder", "words", "--catalogs", str(folder / "catalogs"), "--default-catalog", "known"),
        module="tests.client.retrieval.word_service",
        CRYSTALMESH_TOKEN=TOKEN,
        PYTHONPATH=str(ROOT),
    )
    try:
        server.wait_serving()
        with Mesh(server.address, credentials=Credentials(token=TOKEN)) as mesh:
            mesh.retrieval.add_materials(KNOWN, catalog="known", create=True, description="a few")
        yield server
    finally:
        server.kill()


@pytest.fixture
def mesh(words: ServiceProcess) -> Iterator[Mesh]:
    with Mesh(words.address, credentials=Credentials(token=TOKEN)) as opened:
        yield opened


@pytest.fixture
async def async_mesh(words: ServiceProcess) -> AsyncIterator[AsyncMesh]:
    async with AsyncMesh(words.address, credentials=Credentials(token=TOKEN)) as opened:
        yield opened
