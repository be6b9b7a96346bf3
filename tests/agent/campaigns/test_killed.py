"""Kill -9 of a real process in every stage: another goes on, nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from multiprocessing.context import ForkServerContext

import pytest

from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage
from crystalmesh_agent.campaigns import rounds
from crystalmesh_agent.campaigns.controller import CampaignController, Pace
from crystalmesh_agent.campaigns.wishes import merits
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.database import file_url
from tests.agent.campaigns import killable, working
from tests.agent.campaigns.scripted_mesh import ScriptedMesh
from tests.conftest import eventually, until

SPEC = working.spec(candidates=16)

STAGES = [stage for stage in CampaignStage.values() if stage]

_SHOWN_BY = {
    CampaignStage.CAMPAIGN_STAGE_RETRIEVE: "started",
    CampaignStage.CAMPAIGN_STAGE_SCORE: "candidate_relaxed",
    CampaignStage.CAMPAIGN_STAGE_NOVELTY: "candidate_scored",
    CampaignStage.CAMPAIGN_STAGE_RANK: "candidate_ranked",
}
"""The first event after which a campaign is in the stage; of the others it is their start."""


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """What comes of the campaign when nobody is killed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rounds, "_FIRST_ROUND", killable.FIRST_ROUND)
        patched.setattr(rounds, "_ROUND", killable.ROUND)
        path = tmp_path_factory.mktemp("alone") / "agent.sqlite"
        with CampaignStore.open(file_url(path), merits=merits) as store:
            campaign = asyncio.run(working.whole(store, ScriptedMesh(), SPEC, planner=working.FromTheBest()))
            return list(working.outcome(store, campaign.id))


@pytest.fixture
def url(either_url: str) -> str:
    """Of the database."""
    return either_url


def is_in(stage: CampaignStage.ValueType, event: CampaignEvent) -> bool:
    if stage in _SHOWN_BY:
        return event.WhichOneof("event") == _SHOWN_BY[stage]
    return event.stage_started.stage == stage


@pytest.mark.parametrize("stage", STAGES, ids=CampaignStage.Name)
async def test_kill_9(
    processes: ForkServerContext,
    store: CampaignStore,
    url: str,
    expected: list[object],
    stage: CampaignStage.ValueType,
) -> None:
    """A controller that is killed in a stage is replaced by one that ends the campaign as if nothing was."""
    campaign = store.create("request", SPEC)
    ours, theirs = processes.Pipe(duplex=False)
    process = processes.Process(target=killable.control, args=(url, theirs))
    process.start()
    theirs.close()
    until(
        lambda: any(is_in(stage, event) for event in working.log(store, campaign.id)),
        "the stage",
        seconds=120,
    )
    process.kill()
    process.join()
    relaxed: list[str] = []
    with suppress(EOFError):
        while True:
            relaxed.append(ours.recv())
    acknowledged = working.log(store, campaign.id)
    assert not store.get(campaign.id).HasField("end_time")

    mesh = ScriptedMesh()
    planners = {"uniform": working.FromTheBest()}
    controller = CampaignController(store, mesh, planners, Pace(2, killable.LEASE_SECONDS))
    await controller.start()
    await eventually(lambda: store.get(campaign.id).HasField("end_time"), "the end")
    await controller.stop()

    assert working.log(store, campaign.id)[: len(acknowledged)] == acknowledged
    assert working.outcome(store, campaign.id) == expected
    working.check_log(store, campaign.id)
    done = {
        event.candidate_relaxed.candidate_id for event in acknowledged if event.HasField("candidate_relaxed")
    }
    assert done <= set(relaxed)
    assert not [candidate_id for candidate_id in done if mesh.answered["relax", candidate_id]]
    workers = [event.started.worker for event in working.log(store, campaign.id) if event.HasField("started")]
    assert len(set(workers)) == len(workers) == 2
