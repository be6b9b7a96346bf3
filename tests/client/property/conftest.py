"""A property service with small untrained models, clients of it, and its command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crystalmesh_client import AsyncMesh, Credentials, Mesh
from tests.client.conftest import Command, command_line
from tests.conftest import TOKEN, ServiceProcess
from tests.property.server.tiny_models import tiny_models

ARGUMENTS = ("--no-shipped-models", "--threads", "1", "--workers", "1")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models-of-clients"))


@pytest.fixture(scope="session")
def predicting(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[ServiceProcess]:
    """The property service with the models `energies` and `moduli`. It asks for TOKEN."""
    server = ServiceProcess(
        tmp_path_factory.mktemp("predicting"),
        *ARGUMENTS,
        *("--models", str(models), "--limits.atoms-per-crystal", "500"),
        service="property",
        CRYSTALMESH_TOKEN=TOKEN,
    )
    try:
        server.wait_serving()
        yield server
    finally:
        server.kill()


@pytest.fixture
def mesh(predicting: ServiceProcess) -> Iterator[Mesh]:
    with Mesh(predicting.address, credentials=Credentials(token=TOKEN)) as opened:
        yield opened


@pytest.fixture
async def async_mesh(predicting: ServiceProcess) -> AsyncIterator[AsyncMesh]:
    async with AsyncMesh(predicting.address, credentials=Credentials(token=TOKEN)) as opened:
        yield opened


@pytest.fixture
def crystalmesh(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], predicting: ServiceProcess
) -> Command:
    """Runs `crystalmesh …` in this process, for the property service and with its token."""
    return command_line(monkeypatch, capsys, predicting)
