"""A worker that appends until it is killed, for the tests of crashes."""

from __future__ import annotations

from multiprocessing.connection import Connection

from crystalmesh_agent.store.campaigns import CampaignStore
from tests.agent.store import story


def work(url: str, acknowledged: Connection) -> None:
    """Take up the one campaign, and tell each sequence once it is acknowledged.

    Nothing is remembered of an earlier worker: every step is taken anew, and the store knows which ones were.
    """
    store = CampaignStore.open(url)
    store.create("request", story.spec())
    store.leases.release_all("worker")
    lease = store.leases.acquire("worker", 60)
    assert lease is not None
    store.append(lease, [story.started()])
    for number in range(10_000):
        steps = [
            [story.planned(number + 1), story.generated(number)],
            [story.screened(number), story.relaxed(number)],
            [story.scored(number), story.ranked(number, (number * 7 % 10) / 10)],
            [story.round_finished(number + 1)],
        ]
        for step in steps:
            for recorded in store.append(lease, step):
                if recorded.is_new:
                    acknowledged.send(recorded.event.sequence)
