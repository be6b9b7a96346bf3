from __future__ import annotations

from collections.abc import Sequence

import pytest

from crystalmesh.agent.v1.campaign_candidate_pb2 import RejectionReason
from crystalmesh.agent.v1.campaign_event_pb2 import PlannedBatch
from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.planning.bandit import Bandit
from crystalmesh_agent.planning.planner import Planner, Trial
from crystalmesh_agent.planning.uniform import Uniform
from crystalmesh_common.runtime.errors import InvalidFieldError
from tests.agent.planning.world import LANGUAGE_MODEL, SUBSTITUTION, World, point, situation

BUILT_IN = [Bandit(), Uniform()]


def trial(batch: PlannedBatch, *, hits: int = 0, repeats: int = 0, seconds: float = 4.0) -> Trial:
    """What came of a batch."""
    return Trial(
        batch=batch,
        candidates=batch.candidate_count,
        ranked=hits,
        hits=hits,
        best_score=0.9 if hits else 0.0,
        cpu_seconds=seconds,
        rejections={RejectionReason.REJECTION_REASON_DUPLICATE: repeats},
    )


def batch(number: int, generator: Generator.ValueType = SUBSTITUTION, count: int = 4) -> PlannedBatch:
    """So many candidates from a starting point."""
    return PlannedBatch(starting_material=point(number).material, generator=generator, candidate_count=count)


def materials(batches: Sequence[PlannedBatch]) -> list[str]:
    """Where each candidate starts."""
    return [each.starting_material.material_id for each in batches for _ in range(each.candidate_count)]


async def test_planning_brings_more_hits_than_chance_at_the_same_cost() -> None:
    """In each of several worlds, and twice as many in all, within the CPU time of 20 rounds."""
    planned = drawn = 0
    for seed in (0, 1, 2, 4):
        by_bandit = await World(seed).trials(Bandit(), seed=seed, rounds=20)
        spent = sum(each.cpu_seconds for each in by_bandit)
        by_chance = await World(seed).trials(Uniform(), seed=seed, cpu_seconds=spent)
        hits, lucky = (sum(each.hits for each in trials) for trials in (by_bandit, by_chance))
        assert hits > lucky
        planned, drawn = planned + hits, drawn + lucky
    assert planned > 2 * drawn


@pytest.mark.parametrize("planner", BUILT_IN)
async def test_a_situation_is_planned_for_in_one_way(planner: Planner) -> None:
    """Same seed and round, same plan, from this planner or another of its kind; other seed, another one."""
    done = [trial(batch(0), hits=1), trial(batch(1, LANGUAGE_MODEL))]
    now = situation(trials=done, round=2)
    plan = await planner.plan(now)
    again = await type(planner)().plan(now)
    assert (plan.call, list(plan.batches)) == (again.call, list(again.batches))
    others = [
        await planner.plan(situation(trials=done, round=2, spec=CampaignSpec(seed=s))) for s in range(5)
    ]
    assert any(list(other.batches) != list(plan.batches) for other in others)


@pytest.mark.parametrize("planner", BUILT_IN)
@pytest.mark.parametrize("wanted", [0, 1, 7, 8, 16, 300])
async def test_a_plan_makes_as_many_as_are_wanted(planner: Planner, wanted: int) -> None:
    """No more, no less, and no batch of nothing."""
    plan = await planner.plan(situation(candidates_wanted=wanted))
    assert sum(each.candidate_count for each in plan.batches) == wanted
    assert all(each.candidate_count for each in plan.batches)
    assert plan.call.planner == planner.name
    assert plan.call.decision
    assert not plan.call.HasField("usage")


@pytest.mark.parametrize("planner", BUILT_IN)
@pytest.mark.parametrize(
    ("target", "edits"),
    [
        (Target(required_elements=[11]), {"", "replace O", "replace Cl"}),
        (Target(required_elements=[8, 11, 17]), {""}),
        (Target(forbidden_elements=[17], required_elements=[8]), {"", "replace Na"}),
        (Target(allowed_elements=[8, 11, 3]), {"", "replace O", "replace Na"}),
        (Target(allowed_elements=[8]), {""}),
        (Target(chemical_system="Cl-Na-O"), {""}),
        (Target(formula="NaClO3"), {""}),
    ],
)
async def test_edits_replace_what_the_target_does_not_require(
    planner: Planner, target: Target, edits: set[str]
) -> None:
    """Nor what it excludes anyway, nor the only element that it admits; all others come up."""
    seen: set[str] = set()
    for seed in range(12):
        now = situation(spec=CampaignSpec(target=target, seed=seed), starting_points=[point(0, (8, 11, 17))])
        seen |= {each.edit for each in (await planner.plan(now)).batches}
    assert seen == edits


@pytest.mark.parametrize("planner", BUILT_IN)
@pytest.mark.parametrize("generators", [[LANGUAGE_MODEL], [SUBSTITUTION], [LANGUAGE_MODEL, SUBSTITUTION]])
async def test_without_starting_points_batches_have_none(
    planner: Planner, generators: list[Generator.ValueType]
) -> None:
    """And no edits; the generators that are served make all of it, in different ways where they can."""
    plan = await planner.plan(situation(starting_points=[], generators=generators))
    assert not any(each.HasField("starting_material") or each.edit for each in plan.batches)
    assert {each.generator for each in plan.batches} <= set(generators)
    assert sum(each.candidate_count for each in plan.batches) == 12
    told = [each.SerializeToString() for each in plan.batches]
    assert len(told) == len(set(told))


@pytest.mark.parametrize("planner", BUILT_IN)
async def test_only_language_models_have_temperatures(planner: Planner) -> None:
    """And none is 0, where every sample would be the same."""
    for seed in range(5):
        for each in (await planner.plan(situation(spec=CampaignSpec(seed=seed)))).batches:
            assert each.HasField("temperature") == (each.generator == LANGUAGE_MODEL)
            assert not each.HasField("temperature") or 0.5 <= each.temperature <= 1.5


@pytest.mark.parametrize("planner", BUILT_IN)
async def test_the_spec_says_which_generators_may_be_used(planner: Planner) -> None:
    """Of those that are served; none left is told."""
    only = CampaignSpec(generators=[SUBSTITUTION])
    plan = await planner.plan(situation(spec=only))
    assert {each.generator for each in plan.batches} == {SUBSTITUTION}
    with pytest.raises(InvalidFieldError, match="generators"):
        await planner.plan(situation(spec=only, generators=[LANGUAGE_MODEL]))


async def test_the_first_round_spreads_over_starting_points() -> None:
    """At most a third of the batches starts from one, where there are enough, and no choice comes twice."""
    points = [point(number) for number in range(12)]
    for seed in range(10):
        batches = (
            await Bandit().plan(situation(spec=CampaignSpec(seed=seed), starting_points=points))
        ).batches
        starts = [each.starting_material.material_id for each in batches]
        assert len(set(starts)) >= 3
        assert max(map(starts.count, starts)) <= 2
        assert len({each.SerializeToString() for each in batches}) == len(batches)


async def share_of(number: int, points: int, trials: Sequence[Trial]) -> float:
    """The share of candidates that start from a point, over many seeds."""
    starts: list[str] = []
    for seed in range(30):
        now = situation(
            spec=CampaignSpec(seed=seed),
            starting_points=list(map(point, range(points))),
            generators=[SUBSTITUTION],
            trials=trials,
        )
        starts += materials((await Bandit().plan(now)).batches)
    return starts.count(f"m-{number}") / len(starts)


async def test_what_brought_hits_is_done_more_often() -> None:
    """And what brought none less, compared with what was not tried."""
    done = [trial(batch(0), hits=2) for _ in range(3)] + [trial(batch(1)) for _ in range(6)]
    worked, failed, untried = [await share_of(each, 6, done) for each in range(3)]
    assert worked > 1.5 * untried
    assert untried > 1.5 * failed


async def test_what_brings_repeats_is_used_up() -> None:
    """Once the latest crystals of a starting point were all known, others are preferred to it."""
    done = [trial(batch(0), hits=2) for _ in range(3)]
    dry = [*done, *(trial(batch(0), repeats=4) for _ in range(6))]
    assert await share_of(0, 6, dry) < 0.6 * await share_of(0, 6, done)


async def test_hits_are_worth_what_they_cost() -> None:
    """Of two generators that bring as many, the cheaper one is used more."""
    done = [trial(batch(0), hits=1, seconds=2.0) for _ in range(10)]
    done += [trial(batch(0, LANGUAGE_MODEL), hits=1, seconds=20.0) for _ in range(10)]
    cheap = dear = 0
    for seed in range(10):
        now = situation(spec=CampaignSpec(seed=seed), trials=done)
        for each in (await Bandit().plan(now)).batches:
            cheap += each.candidate_count * (each.generator == SUBSTITUTION)
            dear += each.candidate_count * (each.generator == LANGUAGE_MODEL)
    assert cheap > 2 * dear


async def test_faults_of_services_are_not_held_against_a_choice() -> None:
    """A batch that came to nothing because a service failed was not tried."""
    failed = Trial(
        batch=batch(0),
        candidates=4,
        ranked=0,
        hits=0,
        best_score=0.0,
        cpu_seconds=0.0,
        rejections={RejectionReason.REJECTION_REASON_SERVICE_ERROR: 4},
    )
    now, before = situation(trials=[failed]), situation(trials=[])
    assert (await Bandit().plan(now)).call.rationale == (await Bandit().plan(before)).call.rationale
