"""The store of campaigns: created once, changed by events alone, read at any time."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.engine import URL

from crystalmesh.agent.v1.campaign_event_pb2 import CampaignCreated, CampaignEvent, CampaignFinished
from crystalmesh.agent.v1.campaign_pb2 import Campaign, CampaignSpec, CampaignStopReason
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh_agent.store.candidates import CandidateTable
from crystalmesh_agent.store.database import Database, default_url
from crystalmesh_agent.store.event_log import EventLog, kind_of
from crystalmesh_agent.store.evidence import Merits, merit_is_score
from crystalmesh_agent.store.keys import content_sha256, subject_of
from crystalmesh_agent.store.leases import Lease, Leases, give_sign_of_life
from crystalmesh_agent.store.migrating import migrate
from crystalmesh_agent.store.reading import CampaignReader, number_of
from crystalmesh_agent.store.recording import ENDED, PROJECTION, Recording
from crystalmesh_agent.store.schema import MAX_REQUEST_ID, CampaignRow, CandidateRow, EventRow
from crystalmesh_common.runtime.errors import (
    InvalidFieldError,
    QueueFullError,
    RequestIdReusedError,
    WrongStateError,
)

MAX_QUEUED = 1000
QUEUE_RETRY_SECONDS = 30.0

# Events that a rebuilding reads at a time.
_CHUNK = 500


@dataclass(frozen=True)
class Recorded:
    """An event as it is in the log, complete and with its sequence."""

    event: CampaignEvent
    is_new: bool
    """False: it was there already, and may say something else than what was asked for now."""


class CampaignStore(CampaignReader):
    """All campaigns of a database. For any number of threads; every method may wait for the disk.

    What a method has changed when it returns survives kill -9 and loss of power. When it raises, nothing has
    changed, and after a DatabaseBusyError the same call may be made again.
    """

    def __init__(
        self, database: Database, *, merits: Merits = merit_is_score, max_queued: int = MAX_QUEUED
    ) -> None:
        super().__init__(database)
        self.leases = Leases(database)
        self._merits = merits
        self._max_queued = max_queued
        self._listeners: list[Callable[[str], None]] = []

    @classmethod
    def open(
        cls, url: str | URL | None = None, *, merits: Merits = merit_is_score, max_queued: int = MAX_QUEUED
    ) -> Self:
        """The store at this URL, by default a file of this user's mesh, made or brought up to date.

        Raises NewerDatabaseError, InvalidFieldError for a URL of no use, and as `Database` does.
        """
        database = Database(default_url() if url is None else url)
        try:
            migrate(database)
            store = cls(database, merits=merits, max_queued=max_queued)
            store.rebuild_outdated()
        except BaseException:
            database.close()
            raise
        return store

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def on_change(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call `listener` with the id of each campaign that this process changes, after it is durable.

        On the thread that changed it. Returns a function that ends this.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def create(
        self, request_id: str, spec: CampaignSpec, *, requested: CampaignSpec | None = None
    ) -> Campaign:
        """Queue a campaign; or the one that this request id made before.

        `spec` has all defaults filled in; `requested` is what the caller sent, and what must be the same when
        the request id comes again. Raises RequestIdReusedError, and QueueFullError when too many wait.
        """
        if not 1 <= len(request_id) <= MAX_REQUEST_ID:
            raise InvalidFieldError(
                f"request_id must have 1 to {MAX_REQUEST_ID} characters", field="request_id"
            )
        digest = content_sha256(spec if requested is None else requested)
        with self._database.writing() as connection:
            self._database.lock_whole(connection)
            if campaign := self._created_before(connection, request_id, digest):
                return campaign
            self._check_queue(connection)
            campaign = Campaign(id=secrets.token_hex(8))
            row = {"id": campaign.id, "request_id": request_id, "request_sha256": digest, "fence": 0}
            query = insert(CampaignRow).values(row | _projected(campaign)).returning(CampaignRow.number)
            number = connection.execute(query).scalar_one()
            recording = self._recording(connection, number, campaign)
            recording.add(_now(CampaignEvent(created=CampaignCreated(spec=spec))), "")
            self._save(connection, number, recording)
        self._tell(campaign.id)
        return campaign

    def created_before(self, request_id: str, requested: CampaignSpec) -> Campaign | None:
        """The campaign that this request id made before. Raises as `create` for another request."""
        with self._database.reading() as connection:
            return self._created_before(connection, request_id, content_sha256(requested))

    def append(self, lease: Lease, events: Sequence[CampaignEvent], *, step: str = "") -> list[Recorded]:
        """Record events in this order, all or none, and the campaign and candidates that follow from them.

        Only what happened need be said. Filled in here are id, sequence and time; the candidate of a hit from
        its id, and the number of hits; the counts in `progress` and whether a round improved anything (the
        times and the materials of retrieval are taken as reported). An event that is in the log already, the
        same kind about the same candidate or round, is not recorded again: see `Recorded`. Starts of stages,
        pauses and resumptions may happen again, and are only told apart by a name for the `step`.

        Also a sign of life for the lease. Raises LeaseLostError, ImpossibleEventError.
        """
        since = time.monotonic()
        with self._database.writing() as connection:
            beat = give_sign_of_life(connection, lease)
            recording = self._recording(connection, lease.number)
            recorded = self._record(recording, connection, lease, events, step)
            if any(entry.is_new for entry in recorded):
                if recording.campaign.state in ENDED:
                    beat = {"lease_owner": None, "lease_beat": None, "lease_seconds": None}
                self._save(connection, lease.number, recording, **beat)
        lease.renewed(since)
        self._tell(lease.campaign_id)
        return recorded

    def cancel(self, campaign_id: str) -> Campaign:
        """End a campaign, whoever works on it; one that has ended is left as it is."""
        with self._database.writing() as connection:
            number = number_of(connection, campaign_id, lock=True)
            recording = self._recording(connection, number)
            if recording.campaign.state in ENDED:
                return recording.campaign
            finished = CampaignFinished(
                state=RunState.RUN_STATE_CANCELLED,
                stop_reason=CampaignStopReason.CAMPAIGN_STOP_REASON_CANCELLED,
            )
            recording.add(_now(CampaignEvent(finished=finished)), "")
            nobody = {"lease_owner": None, "lease_beat": None, "lease_seconds": None}
            self._save(connection, number, recording, fence=CampaignRow.fence + 1, **nobody)
        self._tell(campaign_id)
        return recording.campaign

    def delete(self, campaign_id: str) -> None:
        """Remove a campaign that has ended, with all that belongs to it. Raises WrongStateError before."""
        with self._database.writing() as connection:
            number = number_of(connection, campaign_id, lock=True)
            state = select(CampaignRow.state).where(CampaignRow.number == number)
            if connection.execute(state).scalar_one() not in ENDED:
                raise WrongStateError(
                    f"the campaign {campaign_id} has not ended: cancel it first", campaign_id=campaign_id
                )
            connection.execute(delete(CandidateRow).where(CandidateRow.campaign == number))
            connection.execute(delete(EventRow).where(EventRow.campaign == number))
            connection.execute(delete(CampaignRow).where(CampaignRow.number == number))
        self._tell(campaign_id)

    def rebuild(self, campaign_id: str) -> Campaign:
        """Make a campaign and its candidates anew from its events; whoever works on it may go on."""
        with self._database.writing() as connection:
            number = number_of(connection, campaign_id, lock=True)
            candidates = CandidateTable(connection, number)
            candidates.clear()
            log = EventLog(connection, number)
            recording = Recording(Campaign(id=campaign_id), log, candidates, self._merits)
            while events := log.after(recording.campaign.last_sequence, limit=_CHUNK):
                for event in events:
                    recording.apply(event)
            self._save(connection, number, recording)
        return recording.campaign

    def rebuild_outdated(self) -> int:
        """Rebuild what an older version has left, and how many campaigns that were."""
        with self._database.reading() as connection:
            query = select(CampaignRow.id).where(CampaignRow.projection != PROJECTION)
            outdated = list(connection.execute(query).scalars())
        for campaign_id in outdated:
            self.rebuild(campaign_id)
        return len(outdated)

    def _created_before(self, connection: Connection, request_id: str, digest: bytes) -> Campaign | None:
        query = select(CampaignRow.content, CampaignRow.request_sha256).where(
            CampaignRow.request_id == request_id
        )
        row = connection.execute(query).one_or_none()
        if row is None:
            return None
        if row.request_sha256 != digest:
            raise RequestIdReusedError(
                "the request id was used for another campaign before", request_id=request_id
            )
        return Campaign.FromString(row.content)

    def _check_queue(self, connection: Connection) -> None:
        waiting = select(func.count()).where(CampaignRow.state == RunState.RUN_STATE_QUEUED)
        if connection.execute(waiting).scalar_one() >= self._max_queued:
            raise QueueFullError(
                f"{self._max_queued} campaigns wait already: try again later",
                retry_after_seconds=QUEUE_RETRY_SECONDS,
                limit=self._max_queued,
            )

    def _recording(self, connection: Connection, number: int, campaign: Campaign | None = None) -> Recording:
        if campaign is None:
            query = select(CampaignRow.content).where(CampaignRow.number == number)
            campaign = Campaign.FromString(connection.execute(query).scalar_one())
        log, candidates = EventLog(connection, number), CandidateTable(connection, number)
        return Recording(campaign, log, candidates, self._merits)

    def _record(
        self,
        recording: Recording,
        connection: Connection,
        lease: Lease,
        events: Sequence[CampaignEvent],
        step: str,
    ) -> list[Recorded]:
        keys = [
            (kind_of(event), subject_of(event, fence=lease.fence, step=step, position=position))
            for position, event in enumerate(events)
        ]
        log = EventLog(connection, lease.number)
        subjects = {subject for _, subject in keys if subject is not None}
        there = log.recorded(subjects)
        recording.expect(subjects)
        recorded: list[Recorded] = []
        fresh: dict[tuple[int, str], CampaignEvent] = {}
        for event, (kind, subject) in zip(events, keys, strict=True):
            if subject is not None and (sequence := there.get((kind, subject))):
                recorded.append(Recorded(log.at(sequence), is_new=False))
            elif subject is not None and (kind, subject) in fresh:
                recorded.append(Recorded(fresh[kind, subject], is_new=False))
            else:
                ours = _now(event)
                recording.add(ours, subject)
                recorded.append(Recorded(ours, is_new=True))
                if subject is not None:
                    fresh[kind, subject] = ours
        return recorded

    def _save(self, connection: Connection, number: int, recording: Recording, **columns: object) -> None:
        recording.flush()
        values = _projected(recording.campaign) | columns
        connection.execute(update(CampaignRow).where(CampaignRow.number == number).values(values))

    def _tell(self, campaign_id: str) -> None:
        for listener in list(self._listeners):
            listener(campaign_id)


def _projected(campaign: Campaign) -> dict[str, object]:
    return {
        "state": campaign.state,
        "last_sequence": campaign.last_sequence,
        "content": campaign.SerializeToString(),
        "projection": PROJECTION,
    }


def _now(event: CampaignEvent) -> CampaignEvent:
    """A copy that happens now."""
    ours = CampaignEvent()
    ours.CopyFrom(event)
    ours.time.GetCurrentTime()
    return ours
