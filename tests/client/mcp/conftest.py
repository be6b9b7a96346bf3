"""A mesh of real services, small models in them, and MCP servers that work on it."""

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
def home(tmp_path_factory: pytest.TempPathFactory, relaxation: ServiceProcess) -> Iterator[Path]:
    """The home of a mesh with all services but the agent. It asks for TOKEN."""
    folder = tmp_path_factory.mktemp("mesh-of-mcp")
    retrieval = ServiceProcess(
        folder / "retrieval",
        *("--encoder", "words", "--catalogs", str(folder / "catalogs"), "--default-catalog", "known"),
        module="tests.client.retrieval.word_service",
        CRYSTALMESH_TOKEN=TOKEN,
        PYTHONPATH=str(ROOT),
    )
    models = folder / "models"
    models.mkdir()
    predicting = ServiceProcess(
        folder / "property",
        *("--no-shipped-models", "--threads", "1", "--workers", "1", "--models", str(tiny_models(models))),
        service="property",
        CRYSTALMESH_TOKEN=TOKEN,
    )
    materials = folder / "materials"
    materials.mkdir()
    for crystal in (sodium_chloride(), silicon(), *map(rock_salt, range(6))):
        (materials / f"{crystal.id}.cif").write_text(crystal_to_cif(crystal))
    generation = ServiceProcess(
        folder / "generation",
        *("--no-shipped-models", "--threads", "1", "--materials", str(materials)),
        service="generation",
        CRYSTALMESH_TOKEN=TOKEN,
    )
    started = {"retrieval": retrieval, "property": predicting, "generation": generation}
    try:
        for each in started.values():
            each.wait_serving()
        with Mesh(retrieval.address, credentials=Credentials(token=TOKEN)) as mesh:
            mesh.retrieval.add_materials(KNOWN, catalog="known", create=True, description="a few")
        services = {name: Endpoint(each.address) for name, each in started.items()}
        services["relaxation"] = Endpoint(relaxation.address)
        EndpointMap("standalone", 1, services).write(folder / "endpoints.json")
        yield folder
    finally:
        for each in started.values():
            each.kill()


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> CrystalMeshServer:
    """An MCP server that works on the mesh."""
    monkeypatch.setenv("CRYSTALMESH_HOME", str(home))
    monkeypatch.setenv("CRYSTALMESH_TOKEN", TOKEN)
    return build_server(AsyncMesh)


ServerOf = Callable[[str], CrystalMeshServer]


@pytest.fixture
def server_of() -> ServerOf:
    """Makes an MCP server that works on the service at an address."""
    return lambda address: build_server(lambda: AsyncMesh(address))
