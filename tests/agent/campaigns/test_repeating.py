"""The same spec finds the same, whatever the speed of the services and wherever work was interrupted."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from threading import Lock

import pytest

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import Campaign, CampaignSpec
from crystalmesh_agent.campaigns import rounds
from crystalmesh_agent.campaigns.wishes import merits
from crystalmesh_agent.store.campaigns import CampaignStore, Recorded
from crystalmesh_agent.store.database import Database, file_url
from crystalmesh_agent.store.leases import Lease
from tests.agent.campaigns import working
from tests.agent.campaigns.scripted_mesh import Delays, ScriptedMesh
from tests.conftest import eventually

PLANNER = working.FromTheBest()


def bare(path: Path) -> CampaignStore:
    """A store for a database that is there and up to date."""
    return CampaignStore(Database(file_url(path)), merits=merits)


@pytest.mark.parametrize("planner", ["bandit", "uniform"])
async def test_whatever_the_speed(tmp_path: Path, planner: str) -> None:
    """However long answers take, a spec gives the same candidates with the same evidence, ranks and hits."""
    found: list[list[CampaignCandidate]] = []
    for seed in (None, 1, 2):
        with CampaignStore.open(file_url(tmp_path / f"{seed}.sqlite"), merits=merits) as store:
            troubles = [] if seed is None else [Delays(random.Random(seed), 0.02)]  # noqa: S311 -- no secret
            spec = working.spec(candidates=20, planner=planner)
            campaign = await working.whole(store, ScriptedMesh(*troubles), spec)
            working.check_log(store, campaign.id)
            assert store.rebuild(campaign.id) == campaign
            made = working.candidates(store, campaign.id)
            for candidate in made:
                candidate.ClearField("campaign_id")
            found.append(sorted(made, key=lambda each: each.id))
    assert found[0] == found[1] == found[2]
    assert any(candidate.rank > 0 for candidate in found[0])


async def test_where_it_stops(tmp_path: Path) -> None:
    """A campaign stops at the same hit, with the same ranks, however far other candidates were by then."""
    found: list[tuple[list[CampaignCandidate], int]] = []
    for seed in range(3):
        with CampaignStore.open(file_url(tmp_path / f"{seed}.sqlite"), merits=merits) as store:
            slow = Delays(random.Random(seed), 0.02 * seed)  # noqa: S311 -- no secret
            spec = working.spec(hits=2, seed=4)
            campaign = await working.whole(store, ScriptedMesh(slow), spec, planner=PLANNER)
            found.append((working.outcome(store, campaign.id), campaign.stop_reason))
    assert found[0] == found[1] == found[2]


async def test_another_seed(tmp_path: Path) -> None:
    """Another seed is another campaign."""
    found: list[set[str]] = []
    for seed in (1, 2):
        with CampaignStore.open(file_url(tmp_path / f"{seed}.sqlite"), merits=merits) as store:
            campaign = await working.whole(store, ScriptedMesh(), working.spec(candidates=10, seed=seed))
            found.append({candidate.id for candidate in working.candidates(store, campaign.id)})
    assert not found[0] & found[1]


class PhotographedStore(CampaignStore):
    """Keeps the database as it is after each append, which is how a worker leaves it that is killed then."""

    @cached_property
    def photos(self) -> list[Path]:
        return []

    @cached_property
    def alone(self) -> Lock:
        """Held from an append to its photo: those that a campaign's end overtakes go on in their threads."""
        return Lock()

    def append(self, lease: Lease, events: Sequence[CampaignEvent], *, step: str = "") -> list[Recorded]:
        with self.alone:
            recorded = super().append(lease, events, step=step)
            if any(entry.is_new for entry in recorded):
                path = Path(str(self._database.url.database))
                photo = path.with_suffix(f".{len(self.photos)}")
                with closing(sqlite3.connect(path)) as ours, closing(sqlite3.connect(photo)) as copy:
                    ours.backup(copy)
                self.photos.append(photo)
        return recorded


def until_evaluations(spec: CampaignSpec, evaluations: int) -> CampaignSpec:
    spec.budget.max_evaluations = evaluations
    return spec


@pytest.mark.parametrize(
    ("spec", "every"),
    [
        (working.spec(candidates=10, seed=4), 1),
        (working.spec(hits=3, seed=4), 4),
        (until_evaluations(working.spec(seed=1), 110), 4),
    ],
    ids=["candidates", "hits", "evaluations"],
)
async def test_killed_after_any_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: CampaignSpec, every: int
) -> None:
    """Wherever a worker dies, another ends the campaign as one alone had: nothing is lost, or done twice."""
    monkeypatch.setattr(rounds, "_FIRST_ROUND", 3)
    monkeypatch.setattr(rounds, "_ROUND", 4)
    CampaignStore.open(file_url(tmp_path / "whole.sqlite")).close()
    with PhotographedStore(Database(file_url(tmp_path / "whole.sqlite")), merits=merits) as store:
        whole = await working.whole(store, ScriptedMesh(), spec, planner=PLANNER)
        expected = working.outcome(store, whole.id)
        complete = working.log(store, whole.id)
    assert any(
        batch.HasField("starting_material") and not batch.starting_material.catalog
        for event in complete
        for batch in event.planned.batches
    ), "no round starts from a candidate"
    assert len(expected) > 2
    for photo in store.photos[:-1:every]:
        await check_taken_up(photo, whole, expected)


async def check_taken_up(photo: Path, whole: Campaign, expected: Sequence[CampaignCandidate]) -> None:
    """Another worker ends the campaign of this database."""
    with bare(photo) as store:
        done = {each.id: each for each in working.candidates(store, whole.id)}
        store.leases.release_all("tests")
        mesh = ScriptedMesh()
        ended = await working.work(store, mesh, planner=PLANNER)
        at = f"killed after event {len(working.log(store, whole.id))}"
        assert ended.stop_reason == whole.stop_reason, (at, ended.failure)
        assert working.outcome(store, whole.id) == expected, at
        working.check_log(store, whole.id)
        for candidate_id, candidate in done.items():
            assert mesh.answered["relax", candidate_id] <= (not candidate.HasField("relaxation")), at
            assert mesh.answered["score", candidate_id] <= (not candidate.HasField("hull_distance")), at
        retrieved = ended.progress.stages[0]
        assert retrieved.entered_count == whole.progress.stages[0].entered_count > 0, at


def has_got_to(store: CampaignStore, campaign_id: str, events: int, task: asyncio.Task[Campaign]) -> bool:
    return task.done() or len(working.log(store, campaign_id)) >= events


async def test_interrupted_again_and_again(store: CampaignStore, tmp_path: Path) -> None:
    """A worker that is stopped every now and then, at any moment, gets as far as one that is left alone."""
    spec = working.spec(candidates=21)
    with CampaignStore.open(file_url(tmp_path / "alone.sqlite"), merits=merits) as alone:
        campaign = await working.whole(alone, ScriptedMesh(), spec, planner=PLANNER)
        expected = working.outcome(alone, campaign.id)
    campaign = store.create("request", spec)
    chance = random.Random(4)  # noqa: S311 -- no secret
    workers = 0
    while not store.get(campaign.id).HasField("end_time"):
        mesh = ScriptedMesh(Delays(chance, 0.002))
        task = asyncio.create_task(working.work(store, mesh, planner=PLANNER))
        enough = len(working.log(store, campaign.id)) + chance.randint(3, 25)
        await eventually(partial(has_got_to, store, campaign.id, enough, task), "some events")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        store.leases.release_all("tests")
        workers += 1
    assert workers > 3
    assert working.outcome(store, campaign.id) == expected
    working.check_log(store, campaign.id)
