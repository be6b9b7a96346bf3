"""A campaign's record as its worker knows it: appended to the store, and told back as candidates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState
from crystalmesh.agent.v1.campaign_event_pb2 import (
    CampaignEvent,
    CampaignPlanned,
    RoundFinished,
    StageStarted,
)
from crystalmesh.agent.v1.campaign_pb2 import Campaign, CampaignStage
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.evidence import add_evidence
from crystalmesh_agent.store.keys import subject_of
from crystalmesh_agent.store.leases import Lease
from crystalmesh_common.runtime.errors import DatabaseBusyError, StorageFullError

_log = structlog.get_logger(__name__)

Result = TypeVar("Result")

_EVENTS_AT_ONCE = 500
_BUSY_SECONDS = 0.5
_FULL_SECONDS = 5.0


class Journal:
    """Reads a campaign whole at first, then appends to it. What it holds is what the store acknowledged.

    While the database is busy or its disk full, every method waits. Raises LeaseLostError once somebody else
    works on the campaign, or nobody may.
    """

    def __init__(self, store: CampaignStore, lease: Lease) -> None:
        self._store = store
        self._lease = lease
        self._turn = asyncio.Lock()
        self._begun: set[str] = set()
        self.campaign = Campaign()  # as it was when it was read
        self.candidates: dict[str, CampaignCandidate] = {}  # by id, in order of generation
        self.planned: dict[int, CampaignPlanned] = {}  # by round
        self.finished: dict[int, RoundFinished] = {}  # by round
        self.hits = 0

    async def read(self) -> None:
        """Take in all events so far."""
        campaign_id = self._lease.campaign_id
        self.campaign = await self._patiently(lambda: self._store.get(campaign_id))
        sequence = 0
        while True:
            after = sequence
            events = await self._patiently(
                lambda: self._store.events(campaign_id, after, limit=_EVENTS_AT_ONCE)  # noqa: B023 -- run now
            )
            if not events:
                return
            for event in events:
                self._take(event)
            sequence = events[-1].sequence

    async def append(self, *events: CampaignEvent, step: str = "") -> None:
        """Record what happened, as `CampaignStore.append`."""
        if not events:
            return
        async with self._turn:
            recorded = await self._patiently(lambda: self._store.append(self._lease, events, step=step))
            for entry in recorded:
                if entry.is_new:
                    self._take(entry.event)

    async def begin(self, stage: CampaignStage.ValueType, round_number: int, count: int) -> None:
        """Record that a stage begins with this many of a round's candidates; once for each."""
        started = StageStarted(stage=stage, round=round_number, candidate_count=count)
        await self.append(CampaignEvent(stage_started=started), step=_mark(stage, round_number))

    def has_begun(self, stage: CampaignStage.ValueType, round_number: int) -> bool:
        """Whether a stage has begun with a round, so that those before it are done with it."""
        return _mark(stage, round_number) in self._begun

    def of_round(self, number: int) -> list[CampaignCandidate]:
        """The crystals of a round, in order of generation."""
        return [candidate for candidate in self.candidates.values() if candidate.round == number]

    def _take(self, event: CampaignEvent) -> None:
        kind = event.WhichOneof("event") or ""
        if kind == "planned":
            self.planned[event.planned.round] = event.planned
        elif kind == "round_finished":
            self.finished[event.round_finished.round] = event.round_finished
        elif kind == "stage_started":
            self._begun.add(_mark(event.stage_started.stage, event.stage_started.round))
        elif kind.startswith("candidate_"):
            self.hits += kind == "candidate_hit"
            about = subject_of(event, fence=0, step="", position=0) or ""
            fresh = CampaignCandidate(state=CandidateState.CANDIDATE_STATE_IN_PROGRESS)
            add_evidence(self.candidates.setdefault(about, fresh), event)

    async def _patiently(self, work: Callable[[], Result]) -> Result:
        while True:
            try:
                return await asyncio.to_thread(work)
            except DatabaseBusyError:
                await asyncio.sleep(_BUSY_SECONDS)
            except StorageFullError:
                _log.warning("campaign_waits_for_disk", campaign=self._lease.campaign_id)
                await asyncio.sleep(_FULL_SECONDS)


def _mark(stage: CampaignStage.ValueType, round_number: int) -> str:
    return f"round {round_number} stage {stage}"
