"""Services that are down or full, and databases that are busy or full: campaigns wait, and say for what."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import Campaign, CampaignStopReason
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh_agent.campaigns import clocks
from crystalmesh_agent.campaigns.wishes import merits
from crystalmesh_agent.store.campaigns import CampaignStore, Recorded
from crystalmesh_agent.store.database import Database, file_url
from crystalmesh_agent.store.leases import Lease
from crystalmesh_common.runtime.errors import (
    DatabaseBusyError,
    DeadlineExceededError,
    InvalidFieldError,
    ModelLoadingError,
    StorageFullError,
    UnreachableError,
)
from crystalmesh_common.runtime.statuses import from_status
from tests.agent.campaigns import working
from tests.agent.campaigns.scripted_mesh import Asked, Refusing, ScriptedMesh, Trouble, down, full
from tests.conftest import eventually

SERVICES = ["retrieval", "generation", "property", "relaxation"]
SPEC = working.spec(candidates=11)


async def expected(tmp_path: Path) -> object:
    """What comes of the campaign when nothing goes wrong."""
    with CampaignStore.open(file_url(tmp_path / "well.sqlite"), merits=merits) as store:
        campaign = await working.whole(store, ScriptedMesh(), SPEC)
        return working.outcome(store, campaign.id)


def turns(store: CampaignStore, campaign: Campaign) -> list[tuple[str, str]]:
    """Pauses and resumptions, in order."""
    return [
        ("paused", event.paused.service) if event.HasField("paused") else ("resumed", event.resumed.service)
        for event in working.log(store, campaign.id)
        if event.HasField("paused") or event.HasField("resumed")
    ]


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_is_down(store: CampaignStore, tmp_path: Path, service: str) -> None:
    """While a service is down the campaign is paused, says why, and then goes on as if nothing had been."""
    mesh = ScriptedMesh(down(service, 9))
    campaign = await working.whole(store, mesh, SPEC)
    assert turns(store, campaign) == [("paused", service), ("resumed", service)]
    assert working.outcome(store, campaign.id) == await expected(tmp_path)
    working.check_log(store, campaign.id)
    (paused,) = [event.paused for event in working.log(store, campaign.id) if event.HasField("paused")]
    assert from_status(paused.error).reason == "UNREACHABLE"
    assert set(mesh.forgotten) == {service}


async def test_the_state_while_it_waits(store: CampaignStore) -> None:
    """In between a campaign is PAUSED, for this service and with what it answered."""
    campaign = store.create("request", SPEC)
    loading = Refusing("property", ModelLoadingError("not yet"), left=10**9)
    task = asyncio.create_task(working.work(store, ScriptedMesh(loading)))
    await eventually(lambda: store.get(campaign.id).state == RunState.RUN_STATE_PAUSED, "the pause")
    pause = store.get(campaign.id).pause
    assert pause.service == "property"
    assert from_status(pause.error).reason == "MODEL_LOADING"
    loading.left = 0
    ended = await task
    assert ended.state == RunState.RUN_STATE_FINISHED
    assert not ended.HasField("pause")


async def test_two_services_are_down(store: CampaignStore) -> None:
    """With two services down each has one pause; when one is back the campaign waits for the other."""
    campaign = store.create("request", SPEC)
    hull, gaps = down("relaxation", 0), down("property", 0)
    fallen: list[str] = []

    async def fall(asked: Asked) -> None:
        """Scores and the predictions beside them are asked for at the same time: both fall then."""
        if asked.call == "score" and not fallen:
            fallen.append(asked.subjects[0])
            hull.left = gaps.left = 10**9

    mesh = ScriptedMesh(fall, hull, gaps)
    task = asyncio.create_task(working.work(store, mesh))
    await eventually(lambda: len(turns(store, campaign)) == 2, "two pauses")
    hull.left = 0
    await eventually(lambda: len(turns(store, campaign)) == 4, "one is back")
    assert store.get(campaign.id).state == RunState.RUN_STATE_PAUSED
    assert store.get(campaign.id).pause.service == "property"
    gaps.left = 0
    await task
    assert sorted(turns(store, campaign)[:2]) == [("paused", "property"), ("paused", "relaxation")]
    assert turns(store, campaign)[2:] == [
        ("resumed", "relaxation"),
        ("paused", "property"),
        ("resumed", "property"),
    ]
    working.check_log(store, campaign.id)


async def test_an_error_is_an_answer(store: CampaignStore) -> None:
    """A service that says what is wrong with a crystal is back, even if that is all that it says."""
    troubles = down("relaxation"), Refusing("relaxation", InvalidFieldError("not this", field="crystals"))
    campaign = await working.whole(store, ScriptedMesh(*troubles), SPEC)
    kinds = working.kinds(store, campaign.id)
    assert turns(store, campaign) == [("paused", "relaxation"), ("resumed", "relaxation")]
    assert "candidate_relaxed" not in kinds[: kinds.index("resumed")]
    dropped = next(
        event for event in working.log(store, campaign.id) if event.candidate_rejected.HasField("error")
    )
    assert dropped.sequence > kinds.index("resumed")


async def test_full_queues(store: CampaignStore, tmp_path: Path) -> None:
    """Full queues are waited for without a word: nothing in the log tells of them."""
    troubles = [full(service, 7) for service in SERVICES]
    campaign = await working.whole(store, ScriptedMesh(*troubles), SPEC)
    assert turns(store, campaign) == []
    assert not any(trouble.left for trouble in troubles)
    assert working.outcome(store, campaign.id) == await expected(tmp_path)


async def test_a_call_that_takes_too_long(store: CampaignStore) -> None:
    """A deadline that has passed drops the candidate that it was about, and pauses nothing."""
    slow = Refusing("relaxation", DeadlineExceededError("too long"))
    campaign = await working.whole(store, ScriptedMesh(slow), SPEC)
    assert campaign.stop_reason == CampaignStopReason.CAMPAIGN_STOP_REASON_CANDIDATE_BUDGET
    assert turns(store, campaign) == []


class WorkTime:
    """A clock that goes by a second with each answer, and by hours with refusals after a service's first."""

    def __init__(self, *troubles: Trouble) -> None:
        self.now = 1000.0
        self.answers = 0
        self._troubles = troubles
        self._refusing: set[str] = set()

    async def __call__(self, asked: Asked) -> None:
        try:
            for trouble in self._troubles:
                await trouble(asked)
        except UnreachableError:
            if asked.service in self._refusing:
                self.now += 10_000
            self._refusing.add(asked.service)
            raise
        self.now += 1
        self.answers += 1


async def test_pauses_are_no_work(store: CampaignStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time at work, and the budget of it, stand still while a campaign is paused."""
    work_time = WorkTime(down("generation", 3), down("relaxation", 5))
    monkeypatch.setattr(clocks, "time", SimpleNamespace(monotonic=lambda: work_time.now))
    campaign = await working.whole(store, ScriptedMesh(work_time), SPEC)
    assert campaign.stop_reason == CampaignStopReason.CAMPAIGN_STOP_REASON_CANDIDATE_BUDGET
    assert work_time.now > 1000 + 6 * 10_000
    # What was answered while another service was down is no work either.
    assert 5 < campaign.progress.wall_time.seconds <= work_time.answers


class Troubled(CampaignStore):
    """Every third append fails, with one error and then another."""

    appends = 0

    def append(self, lease: Lease, events: Sequence[CampaignEvent], *, step: str = "") -> list[Recorded]:
        self.appends += 1
        if self.appends % 3 == 0:
            error = StorageFullError if self.appends % 2 else DatabaseBusyError
            raise error("not now")
        return super().append(lease, events, step=step)


async def test_a_database_in_trouble(tmp_path: Path) -> None:
    """A database that is busy, or without space, is waited for: the campaign ends as it would have."""
    CampaignStore.open(file_url(tmp_path / "agent.sqlite")).close()
    with Troubled(Database(file_url(tmp_path / "agent.sqlite")), merits=merits) as store:
        campaign = await working.whole(store, ScriptedMesh(), SPEC)
        assert store.appends > 20
        assert working.outcome(store, campaign.id) == await expected(tmp_path)
        working.check_log(store, campaign.id)


async def test_a_locked_database(path: Path, store: CampaignStore) -> None:
    """While another process holds the database nothing is lost, and work goes on when it lets go."""
    hasty = CampaignStore(Database(file_url(path), busy_seconds=0.01), merits=merits)
    campaign = hasty.create("request", SPEC)
    lease_free: list[Callable[[], object]] = []

    async def lock(asked: Asked) -> None:
        if asked.call == "relax" and not lease_free:
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            lease_free.append(other.close)
            asyncio.get_running_loop().call_later(0.1, other.close)

    since = time.monotonic()
    with closing(hasty):
        ended = await working.work(hasty, ScriptedMesh(lock))
    assert time.monotonic() - since >= 0.1
    assert ended.stop_reason == CampaignStopReason.CAMPAIGN_STOP_REASON_CANDIDATE_BUDGET
    working.check_log(store, campaign.id)
