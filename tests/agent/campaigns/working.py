"""Work on campaigns, as controllers do it and as tests look at it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from google.protobuf.duration_pb2 import Duration

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent, PlannedBatch
from crystalmesh.agent.v1.campaign_pb2 import (
    Campaign,
    CampaignBudget,
    CampaignModels,
    CampaignSpec,
    CampaignStage,
)
from crystalmesh.agent.v1.run_pb2 import PlannerCall
from crystalmesh.crystal.v1.property_pb2 import Property
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.campaigns.journal import Journal
from crystalmesh_agent.campaigns.mesh import CampaignMesh
from crystalmesh_agent.campaigns.run import CampaignRun
from crystalmesh_agent.planning.choosing import planners
from crystalmesh_agent.planning.planner import Plan, Planner, Situation
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.event_log import kind_of
from crystalmesh_agent.store.keys import subject_of
from tests.agent.campaigns import scripted_mesh

PLANNERS = planners()

_RANKED = (CandidateState.CANDIDATE_STATE_RANKED, CandidateState.CANDIDATE_STATE_HIT)
_MANY = 100_000


def spec(
    *, seed: int = 0, hits: int = 10_000, candidates: int = 100, planner: str = "uniform"
) -> CampaignSpec:
    """Lithium oxides with a gap, all defaults filled in; only the candidates are few."""
    return CampaignSpec(
        display_name="oxides",
        target=Target(
            required_elements=[3, 8],
            properties=[PropertyRange(property=Property.PROPERTY_BAND_GAP_EV, min=1, max=6)],
        ),
        hits_wanted=hits,
        budget=CampaignBudget(
            max_candidates=candidates, max_wall_time=Duration(seconds=3600), max_planner_tokens=1000
        ),
        max_rounds_without_progress=1000,
        catalog=scripted_mesh.CATALOG,
        reference=scripted_mesh.REFERENCE,
        generators=[Generator.GENERATOR_IONIC_SUBSTITUTION, Generator.GENERATOR_LANGUAGE_MODEL],
        planner=planner,
        models=CampaignModels(generation=scripted_mesh.LANGUAGE_MODEL, potential=scripted_mesh.POTENTIAL),
        seed=seed,
    )


async def work(
    store: CampaignStore, mesh: CampaignMesh, *, planner: Planner | None = None, worker: str = "tests"
) -> Campaign:
    """Work on whatever waits, alone, to its end."""
    lease = await asyncio.to_thread(store.leases.acquire, worker, 60)
    assert lease is not None
    journal = Journal(store, lease)
    await journal.read()
    chosen = planner or PLANNERS[journal.campaign.spec.planner]
    await CampaignRun(journal, mesh, chosen, worker=worker).to_the_end()
    return await asyncio.to_thread(store.get, lease.campaign_id)


async def whole(
    store: CampaignStore, mesh: CampaignMesh, wanted: CampaignSpec, *, planner: Planner | None = None
) -> Campaign:
    """A campaign from beginning to end."""
    await asyncio.to_thread(store.create, "request", wanted)
    return await work(store, mesh, planner=planner)


def log(store: CampaignStore, campaign_id: str) -> list[CampaignEvent]:
    return store.events(campaign_id, limit=_MANY)


def kinds(store: CampaignStore, campaign_id: str) -> list[str]:
    return [event.WhichOneof("event") or "" for event in log(store, campaign_id)]


def candidates(
    store: CampaignStore, campaign_id: str, states: Sequence[CandidateState.ValueType] = ()
) -> list[CampaignCandidate]:
    """All candidates in these states, by default in any: the ranked ones first."""
    found: list[CampaignCandidate] = []
    token = ""
    while True:
        page = store.candidates(
            campaign_id, states or CandidateState.values()[1:], page_size=500, page_token=token
        )
        found += page.items
        token = page.next_page_token
        if not token:
            return found


def outcome(store: CampaignStore, campaign_id: str) -> list[CampaignCandidate]:
    """What a campaign was for: the ranked candidates with all evidence, apart from the campaign's own id."""
    ranked = candidates(store, campaign_id, _RANKED)
    for candidate in ranked:
        candidate.ClearField("campaign_id")
    return ranked


def check_log(store: CampaignStore, campaign_id: str) -> None:
    """The log has no gap and says nothing twice, and the funnel adds up."""
    events = log(store, campaign_id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    facts = Counter(_fact(event) for event in events)
    assert not [fact for fact, count in facts.items() if count > 1]
    check_funnel(store.get(campaign_id), candidates(store, campaign_id))


def check_funnel(campaign: Campaign, made: Sequence[CampaignCandidate]) -> None:
    """Who entered a stage left it, was dropped in it, or is in it still; who left it entered the next."""
    progress = campaign.progress
    stages = {entry.stage: entry for entry in progress.stages}
    assert list(stages) == [stage for stage in CampaignStage.values() if stage]
    unfinished = sum(each.state == CandidateState.CANDIDATE_STATE_IN_PROGRESS for each in made)
    in_a_stage = 0
    for entry in stages.values():
        inside = entry.entered_count - entry.passed_count - entry.rejected_count
        assert inside >= 0
        in_a_stage += inside
    assert in_a_stage == unfinished
    for before, after in pairwise(list(stages.values())[1:]):
        assert after.entered_count == before.passed_count
    assert stages[CampaignStage.CAMPAIGN_STAGE_GENERATE].entered_count == progress.candidates == len(made)
    ranked = [each for each in made if each.state in _RANKED]
    assert stages[CampaignStage.CAMPAIGN_STAGE_RANK].passed_count == len(ranked)
    hits = [each for each in made if each.state == CandidateState.CANDIDATE_STATE_HIT]
    assert progress.hits == len(hits)
    for stage, entry in stages.items():
        dropped = [each for each in made if each.HasField("rejection") and each.rejection.stage == stage]
        if stage != CampaignStage.CAMPAIGN_STAGE_RETRIEVE:
            assert entry.rejected_count == len(dropped)
    steps = [each.relaxation.steps + 1 for each in made if each.HasField("relaxation")]
    assert progress.evaluations == sum(steps)


def _fact(event: CampaignEvent) -> tuple[int, str | None]:
    if event.HasField("stage_started"):
        started = event.stage_started
        return kind_of(event), f"stage {started.stage} of round {started.round}"
    # Who takes a campaign up, pauses it or goes on may do so again.
    return kind_of(event), subject_of(event, fence=event.sequence, step=str(event.sequence), position=0)


class FromTheBest:
    """A planner that starts half of each round from the best candidate so far, so that much depends on it."""

    name = "uniform"

    async def plan(self, situation: Situation) -> Plan:
        chance = random.Random(f"{situation.spec.seed} {situation.round}")  # noqa: S311 -- no secret
        points = situation.starting_points
        ours = [point for point in points if not point.material.catalog]
        starts = [chance.choice(points), max(ours, key=lambda point: point.promise) if ours else points[0]]
        half = situation.candidates_wanted // 2
        batches = [
            PlannedBatch(starting_material=start.material, generator=generator, candidate_count=count)
            for start, generator, count in zip(
                starts, situation.generators, (half, situation.candidates_wanted - half), strict=True
            )
            if count
        ]
        return Plan(PlannerCall(planner=self.name, decision="from the best"), batches)
