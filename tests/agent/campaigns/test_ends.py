"""How campaigns end: each for a reason that it tells, with a funnel that adds up."""

from __future__ import annotations

import asyncio
import re

import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from crystalmesh.agent.v1.campaign_candidate_pb2 import CandidateState, RejectionReason
from crystalmesh.agent.v1.campaign_pb2 import (
    Campaign,
    CampaignBudget,
    CampaignStage,
    CampaignStopReason,
)
from crystalmesh.agent.v1.run_pb2 import PlannerCall, RunState
from crystalmesh.relaxation.v1.relaxation_pb2 import StopReason
from crystalmesh_agent.planning.planner import Plan, Situation
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidFieldError
from crystalmesh_common.runtime.statuses import from_status
from tests.agent.campaigns import working
from tests.agent.campaigns.scripted_mesh import Asked, Refusing, ScriptedMesh, Stuck, gone
from tests.conftest import eventually

HITS = CampaignStopReason.CAMPAIGN_STOP_REASON_HITS
CANDIDATES = CampaignStopReason.CAMPAIGN_STOP_REASON_CANDIDATE_BUDGET
EVALUATIONS = CampaignStopReason.CAMPAIGN_STOP_REASON_EVALUATION_BUDGET
TIME = CampaignStopReason.CAMPAIGN_STOP_REASON_TIME_BUDGET
NO_PROGRESS = CampaignStopReason.CAMPAIGN_STOP_REASON_NO_PROGRESS
FAILED = CampaignStopReason.CAMPAIGN_STOP_REASON_FAILED


def check_ended(store: CampaignStore, campaign: Campaign, reason: CampaignStopReason.ValueType) -> None:
    assert (campaign.state, campaign.stop_reason) == (RunState.RUN_STATE_FINISHED, reason), campaign.failure
    assert working.kinds(store, campaign.id)[-1] == "finished"
    working.check_log(store, campaign.id)
    assert store.leases.acquire("others", 60) is None


async def test_enough_hits(store: CampaignStore) -> None:
    """A campaign ends with the hit that was the last one wanted, and every hit keeps what hits promise."""
    campaign = await working.whole(store, ScriptedMesh(), working.spec(hits=3))
    check_ended(store, campaign, HITS)
    hits = working.candidates(store, campaign.id, [CandidateState.CANDIDATE_STATE_HIT])
    assert len(hits) == campaign.progress.hits == 3
    for hit in hits:
        assert hit.relaxation.converged
        assert hit.hull_distance.energy_above_hull_ev_per_atom <= 0.1
        assert hit.novelty.new_to_catalog
        assert hit.novelty.first_in_campaign
        assert hit.target_fit.fulfilled


@pytest.mark.parametrize("potential", ["potential-a", "potential-b"])
async def test_who_has_no_prospects_is_given_up(store: CampaignStore, potential: str) -> None:
    """After a few steps, and by the hull in the potential's own energies: where those lack, nobody is."""
    spec = working.spec(candidates=60)
    spec.models.potential = potential
    campaign = await working.whole(store, ScriptedMesh(), spec)
    given_up = [
        candidate
        for candidate in working.candidates(store, campaign.id)
        if candidate.relaxation.stop_reason == StopReason.STOP_REASON_ENERGY_LIMIT
    ]
    assert bool(given_up) == (potential == "potential-a")
    for candidate in given_up:
        assert candidate.relaxation.steps == 5
        assert candidate.rejection.stage == CampaignStage.CAMPAIGN_STAGE_RELAX
        assert candidate.rejection.reason == RejectionReason.REJECTION_REASON_UNSTABLE
        assert re.match(r"0\.3\d eV/atom above the hull after 5 steps", candidate.rejection.message)


async def test_budget_of_candidates(store: CampaignStore) -> None:
    """No more candidates are planned than may be, and what was begun is finished."""
    campaign = await working.whole(store, ScriptedMesh(), working.spec(candidates=14))
    check_ended(store, campaign, CANDIDATES)
    planned = [event.planned for event in working.log(store, campaign.id) if event.HasField("planned")]
    assert sum(batch.candidate_count for each in planned for batch in each.batches) == 14
    assert not working.candidates(store, campaign.id, [CandidateState.CANDIDATE_STATE_IN_PROGRESS])


async def test_budget_of_evaluations(store: CampaignStore) -> None:
    """It ends with the candidate whose relaxation has spent the budget."""
    spec = working.spec()
    spec.budget.max_evaluations = 60
    campaign = await working.whole(store, ScriptedMesh(), spec)
    check_ended(store, campaign, EVALUATIONS)
    assert campaign.progress.evaluations >= 60


async def test_budget_of_time(store: CampaignStore) -> None:
    """When its time is over a campaign ends, whatever it waits for, and lets go of the calls."""
    spec = working.spec()
    spec.budget.max_wall_time.FromMilliseconds(50)
    stuck = Stuck("relax")
    campaign = await working.whole(store, ScriptedMesh(stuck), spec)
    check_ended(store, campaign, TIME)
    assert stuck.waiting == 0
    assert campaign.progress.wall_time.ToMilliseconds() >= 50


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (CampaignBudget(max_candidates=0), CANDIDATES),
        (CampaignBudget(max_evaluations=0), EVALUATIONS),
        (CampaignBudget(max_wall_time=Duration()), TIME),
    ],
)
async def test_a_budget_of_zero(
    store: CampaignStore, budget: CampaignBudget, reason: CampaignStopReason.ValueType
) -> None:
    """A campaign that may spend nothing ends before it asks anybody."""
    spec = working.spec()
    spec.budget.MergeFrom(budget)
    if budget.HasField("max_wall_time"):
        spec.budget.max_wall_time.FromSeconds(0)
    mesh = ScriptedMesh()
    campaign = await working.whole(store, mesh, spec)
    check_ended(store, campaign, reason)
    assert not mesh.answered
    assert working.kinds(store, campaign.id) == ["created", "started", "finished"]


async def test_no_progress(store: CampaignStore) -> None:
    """A target that nothing fulfils ends it after as many rounds in vain as were allowed."""
    spec = working.spec()
    spec.target.properties[0].min, spec.target.properties[0].max = 40, 50
    spec.max_rounds_without_progress = 3
    campaign = await working.whole(store, ScriptedMesh(), spec)
    check_ended(store, campaign, NO_PROGRESS)
    assert working.kinds(store, campaign.id).count("round_finished") == 3
    assert campaign.progress.hits == 0


async def test_an_empty_catalog(store: CampaignStore) -> None:
    """Without any material to start from crystals are made without one."""
    mesh = ScriptedMesh()
    mesh.materials.clear()
    campaign = await working.whole(store, mesh, working.spec(hits=1))
    check_ended(store, campaign, HITS)
    assert campaign.progress.stages[0].entered_count == 0


class Stopping:
    """A planner that sees no way on after a round, or never knows one."""

    name = "uniform"

    def __init__(self, failure: CrystalMeshError | None = None) -> None:
        self._failure = failure

    async def plan(self, situation: Situation) -> Plan:
        if self._failure is not None:
            raise self._failure
        if situation.round == 1:
            return await working.PLANNERS["uniform"].plan(situation)
        return Plan(PlannerCall(planner=self.name, decision="nothing more to try"), [])


async def test_the_planner_stops(store: CampaignStore) -> None:
    """When the planner plans nothing, what it planned before is finished, and its last word is on record."""
    store.create("request", working.spec())
    campaign = await working.work(store, ScriptedMesh(), planner=Stopping())
    check_ended(store, campaign, NO_PROGRESS)
    planned = [event.planned for event in working.log(store, campaign.id) if event.HasField("planned")]
    assert [bool(each.batches) for each in planned] == [True, False]
    assert working.kinds(store, campaign.id).count("round_finished") == 1


async def test_the_planner_fails(store: CampaignStore) -> None:
    """A planner that cannot plan fails the campaign, in its words."""
    store.create("request", working.spec())
    unable = InvalidFieldError("no generator can make anything", field="generators")
    campaign = await working.work(store, ScriptedMesh(), planner=Stopping(unable))
    check_failed(store, campaign, "INVALID_FIELD")


def check_failed(store: CampaignStore, campaign: Campaign, reason: str) -> None:
    assert (campaign.state, campaign.stop_reason) == (RunState.RUN_STATE_FAILED, FAILED)
    assert from_status(campaign.failure).reason == reason
    working.check_log(store, campaign.id)


@pytest.mark.parametrize("call", ["search", "generate", "matches", "predict", "relax", "score"])
async def test_what_it_needs_is_gone(store: CampaignStore, call: str) -> None:
    """A model or catalog that is not served any more fails the campaign, and the failure names it."""
    campaign = await working.whole(store, ScriptedMesh(gone(call)), working.spec())
    check_failed(store, campaign, "MODEL_NOT_FOUND")


async def test_a_mistake_of_ours(store: CampaignStore) -> None:
    """Whatever goes wrong is on record as a fault of ours, and says no more than that."""

    async def mistake(asked: Asked) -> None:
        if asked.call == "score":
            raise ZeroDivisionError("secret thoughts")

    with capture_logs() as logged:
        campaign = await working.whole(store, ScriptedMesh(mistake), working.spec())
    check_failed(store, campaign, "INTERNAL")
    assert "secret" not in campaign.failure.message
    assert [entry["campaign"] for entry in logged if entry["event"] == "campaign_failed"] == [campaign.id]


async def test_a_candidate_that_a_service_cannot_take(store: CampaignStore) -> None:
    """An error about one crystal drops that one, with what the service answered, and no other."""
    refusing = Refusing("relaxation", InvalidFieldError("not this one", field="crystals"), 1)
    campaign = await working.whole(store, ScriptedMesh(refusing), working.spec(candidates=14))
    check_ended(store, campaign, CANDIDATES)
    dropped = [
        event.candidate_rejected
        for event in working.log(store, campaign.id)
        if event.candidate_rejected.HasField("error")
    ]
    assert [from_status(each.error).reason for each in dropped].count("INVALID_FIELD") == 1


async def test_cancelled(store: CampaignStore) -> None:
    """Work on a cancelled campaign records nothing more."""
    stuck = Stuck("relax")
    campaign = store.create("request", working.spec())
    task = asyncio.create_task(working.work(store, ScriptedMesh(stuck)))
    await eventually(lambda: stuck.waiting > 0, "a relaxation")
    cancelled = store.cancel(campaign.id)
    stuck.let_go.set()
    with pytest.raises(CrystalMeshError, match="lease"):
        await task
    assert store.get(campaign.id) == cancelled
    assert cancelled.state == RunState.RUN_STATE_CANCELLED
    working.check_log(store, campaign.id)
