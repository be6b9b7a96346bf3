"""A controller in a process of its own, for tests that kill it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from multiprocessing.connection import Connection

from crystalmesh_agent.campaigns import rounds
from crystalmesh_agent.campaigns.controller import CampaignController, Pace
from crystalmesh_agent.campaigns.wishes import merits
from crystalmesh_agent.store.campaigns import CampaignStore
from tests.agent.campaigns import working
from tests.agent.campaigns.scripted_mesh import Delays, ScriptedMesh

LEASE_SECONDS = 0.5
FIRST_ROUND, ROUND = 5, 6


def control(url: str, relaxed: Connection) -> None:
    """Work on the campaigns of a database until it is killed; tells each candidate that was relaxed."""
    rounds._FIRST_ROUND, rounds._ROUND = FIRST_ROUND, ROUND
    asyncio.run(_control(url, relaxed))


async def _control(url: str, relaxed: Connection) -> None:
    class Telling(ScriptedMesh):
        async def _answer(self, call: str, service: str, subjects: Sequence[str]) -> None:
            await super()._answer(call, service, subjects)
            if call == "relax":
                relaxed.send(subjects[0])

    store = CampaignStore.open(url, merits=merits)
    # Slow enough for whoever looks at the database to see one stage at a time.
    mesh = Telling(Delays(random.Random(0), 0.02))  # noqa: S311 -- no secret
    planners = {"uniform": working.FromTheBest()}
    controller = CampaignController(store, mesh, planners, Pace(2, LEASE_SECONDS))
    await controller.start()
    await asyncio.Event().wait()
