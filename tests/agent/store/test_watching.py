"""Watching: every event once, in order, as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from typing import cast

import pytest

from crystalmesh_agent.store import watching as watching_module
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.leases import Lease
from crystalmesh_agent.store.watching import EventFeed
from crystalmesh_common.runtime.errors import (
    DatabaseBusyError,
    InvalidFieldError,
    ResourceNotFoundError,
    ShuttingDownError,
    WrongStateError,
)
from tests.agent.store import story
from tests.agent.store.conftest import OpenStore
from tests.conftest import eventually


class CountedStore(CampaignStore):
    """Counts how often a feed looks, and can be busy."""

    looks = 0
    is_busy = False

    def last_sequences(self, campaign_ids: Collection[str]) -> Mapping[str, int]:
        self.looks += 1
        if self.is_busy:
            raise DatabaseBusyError("busy")
        return super().last_sequences(campaign_ids)


@pytest.fixture
def counted(url: str, store: CampaignStore) -> CountedStore:
    """A second store for the same database."""
    return CountedStore(store._database)


async def collect(feed: EventFeed, campaign_id: str, seen: list[int], *, after: int = 0) -> None:
    async for event in feed.watch(campaign_id, after):
        seen.append(event.sequence)  # noqa: PERF401 -- others look at what has come so far


async def in_thread(function: Callable[..., object], *arguments: object) -> None:
    await asyncio.to_thread(function, *arguments)


async def test_past_and_present_events(store: CampaignStore, lease: Lease) -> None:
    """A watcher gets what has been, then what comes, and ends with the campaign."""
    seen: list[int] = []
    async with EventFeed(store, poll_seconds=60) as feed:
        watching = asyncio.create_task(collect(feed, lease.campaign_id, seen))
        await eventually(lambda: seen == [1, 2], "what has been")
        await in_thread(store.append, lease, [story.generated(1), story.generated(2)])
        await eventually(lambda: seen == [1, 2, 3, 4], "what comes")
        await in_thread(store.append, lease, [story.finished()])
        await watching
    assert seen == [1, 2, 3, 4, 5]


async def test_resuming(store: CampaignStore, lease: Lease) -> None:
    """A watcher that comes back gets what it has not seen, which may be nothing."""
    store.append(lease, [story.generated(1), story.finished()])
    async with EventFeed(store) as feed:
        for after, expected in ((0, [1, 2, 3, 4]), (3, [4]), (4, [])):
            seen: list[int] = []
            await collect(feed, lease.campaign_id, seen, after=after)
            assert seen == expected
        with pytest.raises(InvalidFieldError):
            await collect(feed, lease.campaign_id, [], after=5)
        with pytest.raises(ResourceNotFoundError):
            await collect(feed, "none", [])


async def test_events_of_other_processes(open_store: OpenStore, lease: Lease) -> None:
    """Events that another store records are found by looking."""
    ours, theirs = open_store(), open_store()
    seen: list[int] = []
    async with EventFeed(ours, poll_seconds=0.02) as feed:
        watching = asyncio.create_task(collect(feed, lease.campaign_id, seen))
        await eventually(lambda: seen == [1, 2], "what has been")
        await in_thread(theirs.append, lease, [story.generated(1)])
        await eventually(lambda: seen == [1, 2, 3], "what another has recorded")
        await in_thread(theirs.append, lease, [story.finished()])
        await watching


async def test_a_hundred_watchers_look_once(counted: CountedStore, lease: Lease) -> None:
    """All watchers share the looks at the database, and get every event in order wherever they begin."""
    seen: list[list[int]] = [[] for _ in range(100)]
    async with EventFeed(counted, poll_seconds=60) as feed:
        watching = [
            asyncio.create_task(collect(feed, lease.campaign_id, mine, after=number % 3))
            for number, mine in enumerate(seen)
        ]
        await eventually(lambda: all(mine[-1:] == [2] for mine in seen[::3]), "what has been")
        for number in range(20):
            await in_thread(counted.append, lease, story.to_rank(number, 0.5))
        await in_thread(counted.append, lease, [story.finished()])
        await asyncio.gather(*watching)
    assert counted.looks <= 21 + 2
    for number, mine in enumerate(seen):
        assert mine == list(range(1 + number % 3, 104))


async def test_nobody_watches(counted: CountedStore, lease: Lease) -> None:
    """Without watchers the database is left alone, and the next watcher is served again."""
    async with EventFeed(counted, poll_seconds=0.01) as feed:
        for _ in range(2):
            events = cast("AsyncGenerator[object, None]", feed.watch(lease.campaign_id))
            await anext(events)
            await events.aclose()
            await eventually(lambda: feed._follower is not None and feed._follower.done(), "the feed to rest")


async def test_a_slow_watcher_misses_nothing(
    store: CampaignStore, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is further behind than what is kept in memory reads the database."""
    monkeypatch.setattr(watching_module, "_KEPT", 10)
    monkeypatch.setattr(watching_module, "_CHUNK", 7)
    seen: list[int] = []
    async with EventFeed(store, poll_seconds=60) as feed:
        slow = feed.watch(lease.campaign_id)
        seen.append((await anext(slow)).sequence)
        quick: list[int] = []
        watching = asyncio.create_task(collect(feed, lease.campaign_id, quick))
        for start in range(0, 60, 20):
            events = [story.generated(number) for number in range(start, start + 20)]
            await in_thread(store.append, lease, events)
        await in_thread(store.append, lease, [story.finished()])
        await watching
        seen += [event.sequence async for event in slow]
    assert seen == quick == list(range(1, 64))


async def test_a_deleted_campaign(store: CampaignStore, lease: Lease, open_store: OpenStore) -> None:
    """Who watches a campaign that another process deletes is told, unless the end came first."""
    others = open_store()
    seen: list[int] = []
    async with EventFeed(store, poll_seconds=60) as feed:
        watching = asyncio.create_task(collect(feed, lease.campaign_id, seen))
        await eventually(lambda: seen == [1, 2], "what has been")
        await in_thread(others.cancel, lease.campaign_id)
        await in_thread(others.delete, lease.campaign_id)
        feed._awake.set()  # it looks now; had it looked in between, it would have seen the end
        with pytest.raises(WrongStateError):
            await watching


async def test_a_busy_database_delays(counted: CountedStore, lease: Lease) -> None:
    """While the database is busy watchers wait, and then miss nothing."""
    seen: list[int] = []
    async with EventFeed(counted, poll_seconds=0.01) as feed:
        watching = asyncio.create_task(collect(feed, lease.campaign_id, seen))
        await eventually(lambda: seen == [1, 2], "what has been")
        counted.is_busy, looks = True, counted.looks
        await in_thread(counted.append, lease, [story.finished()])
        await eventually(lambda: counted.looks > looks + 2, "some looks")
        assert seen == [1, 2]
        counted.is_busy = False
        await watching
    assert seen == [1, 2, 3]


async def test_stopping(store: CampaignStore, lease: Lease) -> None:
    """When the server stops its watchers are told to come back."""
    seen: list[int] = []
    async with EventFeed(store) as feed:
        watching = asyncio.create_task(collect(feed, lease.campaign_id, seen))
        await eventually(lambda: seen == [1, 2], "what has been")
    with pytest.raises(ShuttingDownError):
        await watching
