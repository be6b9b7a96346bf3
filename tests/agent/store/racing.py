"""A controller that races for campaigns, for the tests of leases."""

from __future__ import annotations

from multiprocessing.connection import Connection

from crystalmesh_agent.store.campaigns import CampaignStore
from tests.agent.store import story


def take_all(url: str, name: str, taken: Connection) -> None:
    """Take campaigns and finish them until there are no more, telling the id of each."""
    with CampaignStore.open(url) as store:
        while lease := store.leases.acquire(name, 60):
            taken.send(lease.campaign_id)
            store.append(lease, [story.started(), story.generated(1)])
            store.append(lease, [story.finished()])
