"""The events of one campaign in the database: written once, read whole, never changed."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

from google.protobuf.message import DecodeError
from sqlalchemy import Connection, Row, Select, insert, select

from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh_agent.store.faults import damaged
from crystalmesh_agent.store.schema import EventRow

Item = TypeVar("Item")

KINDS = {field.name: field.number for field in CampaignEvent.DESCRIPTOR.oneofs_by_name["event"].fields}
"""The number of each kind of event, by the name of its field."""

# SQLite took no more than 999 parameters in a statement for long.
_PARAMETERS = 500


class EventLog:
    """Reads and writes within a transaction of the caller's."""

    def __init__(self, connection: Connection, campaign: int) -> None:
        self._connection = connection
        self._campaign = campaign
        self._unwritten: list[dict[str, object]] = []

    def add(self, event: CampaignEvent, subject: str | None) -> None:
        """Note an event that is complete, sequence and all; `flush` writes it."""
        payload = event.SerializeToString()
        self._unwritten.append(
            {
                "campaign": self._campaign,
                "sequence": event.sequence,
                "kind": kind_of(event),
                "subject": subject,
                "payload": payload,
                "crc32": zlib.crc32(payload),
            }
        )

    def flush(self) -> None:
        if self._unwritten:
            self._connection.execute(insert(EventRow), self._unwritten)
            self._unwritten = []

    def recorded(self, subjects: Collection[str]) -> dict[tuple[int, str], int]:
        """The sequence of every event about these subjects, by kind and subject."""
        found: dict[tuple[int, str], int] = {}
        for some in chunks(sorted(subjects)):
            query = select(EventRow.kind, EventRow.subject, EventRow.sequence).where(
                EventRow.campaign == self._campaign, EventRow.subject.in_(some)
            )
            for kind, subject, sequence in self._connection.execute(query):
                found[kind, str(subject)] = sequence
        return found

    def one(self, kind: str, subject: str) -> CampaignEvent | None:
        query = self._events().where(EventRow.subject == subject, EventRow.kind == KINDS[kind])
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _decoded(row)

    def at(self, sequence: int) -> CampaignEvent:
        row = self._connection.execute(self._events().where(EventRow.sequence == sequence)).one()
        return _decoded(row)

    def after(self, sequence: int, *, limit: int) -> list[CampaignEvent]:
        """The next events. Raises DataCorruptError where one is missing or not as it was written."""
        query = self._events().where(EventRow.sequence > sequence).order_by(EventRow.sequence).limit(limit)
        events = [_decoded(row) for row in self._connection.execute(query)]
        for expected, event in enumerate(events, start=sequence + 1):
            if event.sequence != expected:
                raise damaged(f"event {expected} of the campaign {event.campaign_id} is missing")
        return events

    def about(
        self, candidate_ids: Sequence[str], *, up_to: int | None = None
    ) -> dict[str, list[CampaignEvent]]:
        """The events of each candidate in order, up to a sequence."""
        found: dict[str, list[CampaignEvent]] = {candidate_id: [] for candidate_id in candidate_ids}
        for some in chunks(list(found)):
            query = self._events().where(EventRow.subject.in_(some)).order_by(EventRow.sequence)
            if up_to is not None:
                query = query.where(EventRow.sequence <= up_to)
            for row in self._connection.execute(query):
                found[str(row.subject)].append(_decoded(row))
        return found

    def _events(self) -> Select[int, str | None, bytes, int]:
        return select(EventRow.sequence, EventRow.subject, EventRow.payload, EventRow.crc32).where(
            EventRow.campaign == self._campaign
        )


def kind_of(event: CampaignEvent) -> int:
    """The number of the event's kind; 0 for none."""
    return KINDS.get(event.WhichOneof("event") or "", 0)


def _decoded(row: Row[int, str | None, bytes, int]) -> CampaignEvent:
    event = CampaignEvent()
    try:
        if zlib.crc32(row.payload) == row.crc32:
            event.ParseFromString(row.payload)
    except DecodeError:
        event.Clear()
    if event.sequence != row.sequence:
        raise damaged(f"event {row.sequence} of a campaign is not as it was written")
    return event


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """As many at a time as a statement takes."""
    for start in range(0, len(items), _PARAMETERS):
        yield items[start : start + _PARAMETERS]
