"""Stores, and children that share them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext

import pytest

from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.evidence import Merits, merit_is_score
from crystalmesh_agent.store.leases import Lease
from tests.agent.store import story

SPAWNED = ["tests.agent.store.appending", "tests.agent.store.racing"]

OpenStore = Callable[..., CampaignStore]


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Children that need not import everything anew."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(SPAWNED)
    return context


@pytest.fixture
def url(either_url: str) -> str:
    """Of the database."""
    return either_url


@pytest.fixture
def open_store(url: str) -> Iterator[OpenStore]:
    """Opens the database again and again; all are closed at the end."""
    stores: list[CampaignStore] = []

    def open_it(*, merits: Merits = merit_is_score, max_queued: int = 100) -> CampaignStore:
        stores.append(CampaignStore.open(url, merits=merits, max_queued=max_queued))
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> CampaignStore:
    return open_store()


@pytest.fixture
def lease(store: CampaignStore) -> Lease:
    """Of a campaign that is running."""
    store.create("request", story.spec())
    lease = store.leases.acquire("tests", 60)
    assert lease is not None
    store.append(lease, [story.started()])
    return lease
