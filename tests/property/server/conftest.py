"""What the tests of the server share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ServiceProcess
from tests.property.server.tiny_models import tiny_models

QUIET = ("--no-shipped-models", "--threads", "1")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[ServiceProcess]:
    """The property service with small models, shared by the tests of this folder."""
    folder = tmp_path_factory.mktemp("property")
    process = ServiceProcess(
        folder,
        *QUIET,
        *("--workers", "2", "--models", str(models), "--batch-atoms", "60"),
        *("--limits.crystals-per-call", "512", "--limits.atoms-per-crystal", "500"),
        *("--limits.queued-calls", "4", "--stream-crystals", "16"),
        service="property",
    )
    try:
        process.wait_serving()
        yield process
    finally:
        process.kill()


@pytest.fixture(scope="session")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The property service without any model."""
    process = ServiceProcess(tmp_path_factory.mktemp("bare"), *QUIET, service="property")
    try:
        process.wait_serving()
        yield process
    finally:
        process.kill()
