"""A database for each test, workers that do not wait for long, and children that may be killed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from crystalmesh_agent.campaigns import controller, journal, patience, rounds
from crystalmesh_agent.campaigns.wishes import merits
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.database import file_url

OpenStore = Callable[[], CampaignStore]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of hundredths of a second, and rounds of a few candidates."""
    monkeypatch.setattr(patience, "_FIRST_SECONDS", 0.005)
    monkeypatch.setattr(patience, "_LONGEST_SECONDS", 0.02)
    monkeypatch.setattr(journal, "_BUSY_SECONDS", 0.005)
    monkeypatch.setattr(journal, "_FULL_SECONDS", 0.005)
    monkeypatch.setattr(controller, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(rounds, "_FIRST_ROUND", 5)
    monkeypatch.setattr(rounds, "_ROUND", 6)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the database."""
    return tmp_path / "agent.sqlite"


@pytest.fixture
def url(path: Path) -> str:
    """The same as an address; what does not depend on the kind of database is tried on files alone."""
    return file_url(path)


@pytest.fixture
def open_store(url: str) -> Iterator[OpenStore]:
    """Opens the database again and again; all are closed at the end."""
    stores: list[CampaignStore] = []

    def open_it() -> CampaignStore:
        stores.append(CampaignStore.open(url, merits=merits))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> CampaignStore:
    return open_store()


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Children that need not import everything anew."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.agent.campaigns.killable"])
    return context
