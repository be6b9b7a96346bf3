"""What the tests of the server share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.text import crystal_to_cif
from tests.conftest import ServiceProcess, silicon, sodium_chloride
from tests.generation.server.tiny_models import tiny_models
from tests.property.crystals import rock_salt

QUIET = ("--no-shipped-models", "--threads", "1")


def held() -> list[Crystal]:
    """What the tests' servers draw references from."""
    return [sodium_chloride(), silicon(), *map(rock_salt, range(6))]


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[ServiceProcess]:
    """The generation service with these flags, ready; it is killed at the end."""
    process = ServiceProcess(folder, *flags, service="generation")
    try:
        process.wait_serving()
        yield process
    finally:
        process.kill()


@pytest.fixture(scope="session")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("materials")
    for crystal in held():
        (folder / f"{crystal.id}.cif").write_text(crystal_to_cif(crystal))
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, models: Path, materials: Path
) -> Iterator[ServiceProcess]:
    """The generation service with small models, shared by the tests of this folder."""
    with serving(
        tmp_path_factory.mktemp("generation"),
        *QUIET,
        *("--models", str(models), "--materials", str(materials), "--capacity", "16"),
        *("--limits.queued-calls", "4", "--limits.atoms-per-crystal", "100", "--prompts-per-call", "64"),
    ) as process:
        yield process


@pytest.fixture(scope="session")
def bare_server(tmp_path_factory: pytest.TempPathFactory, materials: Path) -> Iterator[ServiceProcess]:
    """The generation service without any model."""
    folder = tmp_path_factory.mktemp("bare")
    with serving(folder, *QUIET, "--materials", str(materials)) as process:
        yield process
