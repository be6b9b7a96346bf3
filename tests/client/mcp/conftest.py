"""Real services with small models, and MCP servers that work on a mesh of some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crystalmesh_client import AsyncMesh, Credentials, Mesh
from crystalmesh_client.endpoints import Endpoint, EndpointMap
from crystalmesh_client.mcp.server import CrystalMeshServer, build_server
from crystalmesh_common.crystal.text import crystal_to_cif
from tests.client.retrieval.conftest import KNOWN, ROOT
from tests.conftest import TOKEN, ServiceProcess, silicon, sodium_chloride
from tests.property.crystals import rock_salt
from tests.property.server.tiny_models import tiny_models


@pytest.fixture(scope="session")
def retrieving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The retrieval service with the catalog `known`. It asks for TOKEN, as all of these do."""
    folder = tmp_path_factory.mktemp("retrieving")
    service = ServiceProcess(
        folder,
        *("--encoder", "words", "--catalogs", str(folder / "catalogs"), "--default-catalog", "known"),
        module="tests.client.retrieval.word_service",
        CRYSTALMESH_TOKEN=TOKEN,
        PYTHONPATH=str(ROOT),
    )
    try:
        service.wait_serving()
        with Mesh(service.address, credentials=Credentials(token=TOKEN)) as mesh:
            mesh.retrieval.add_materials(KNOWN, catalog="known", create=True, description="a few")
        yield service
    finally:
        service.kill()


@pytest.fixture(scope="session")
def predicting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The property service with small untrained models."""
    folder = tmp_path_factory.mktemp("predicting-for-mcp")
    (folder / "models").mkdir()
    models = tiny_models(folder / "models")
    service = ServiceProcess(
        folder,
        *("--no-shipped-models", "--threads", "1", "--workers", "1", "--models", str(models)),
        service="property",
        CRYSTALMESH_TOKEN=TOKEN,
    )
    try:
        service.wait_serving()
        yield service
    finally:
        service.kill()


@pytest.fixture(scope="session")
def making(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The generation service with few materials and no language model."""
    folder = tmp_path_factory.mktemp("making-for-mcp")
    (folder / "known").mkdir()
    for crystal in (sodium_chloride(), silicon(), *map(rock_salt, range(6))):
        (folder / "known" / f"{crystal.id}.cif").write_text(crystal_to_cif(crystal))
    service = ServiceProcess(
        folder,
        *("--no-shipped-models", "--threads", "1", "--materials", str(folder / "known")),
        service="generation",
        CRYSTALMESH_TOKEN=TOKEN,
    )
    try:
        service.wait_serving()
        yield service
    finally:
        service.kill()


ServerOn = Callable[..., CrystalMeshServer]


@pytest.fixture
def server_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ServerOn:
    """Makes an MCP server that works on the running mesh, which has the services that are given by name."""
    home = tmp_path / "mesh"
    home.mkdir()
    monkeypatch.setenv("CRYSTALMESH_HOME", str(home))
    monkeypatch.setenv("CRYSTALMESH_TOKEN", TOKEN)

    def make(**services: ServiceProcess) -> CrystalMeshServer:
        where = {name: Endpoint(service.address) for name, service in services.items()}
        EndpointMap("standalone", 1, where).write(home / "endpoints.json")
        return build_server(AsyncMesh)

    return make


ServerOf = Callable[[str], CrystalMeshServer]


@pytest.fixture
def server_of() -> ServerOf:
    """Makes an MCP server that works on the service at an address."""
    return lambda address: build_server(lambda: AsyncMesh(address))
