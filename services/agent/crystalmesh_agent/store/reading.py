"""Reads: campaigns, candidates and events, in pages that neither repeat nor lose what stays in place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import Campaign
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh_agent.store.database import Database
from crystalmesh_agent.store.event_log import EventLog, chunks
from crystalmesh_agent.store.evidence import candidate_from
from crystalmesh_agent.store.progress import RANKED_STATES
from crystalmesh_agent.store.schema import CampaignRow, CandidateRow
from crystalmesh_common.runtime.errors import InvalidFieldError, InvalidPageTokenError, ResourceNotFoundError
from crystalmesh_common.runtime.pages import key_before, page_size_of, token_after

Item = TypeVar("Item")

DEFAULT_CANDIDATES = 50
MAX_CANDIDATES = 500


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Part of a listing."""

    items: Sequence[Item]
    next_page_token: str  # "": this is the last


class CampaignReader:
    """What can be asked, by any number of threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, campaign_id: str) -> Campaign:
        """The campaign as it is now. Raises ResourceNotFoundError, as all below do."""
        with self._database.reading() as connection:
            query = select(CampaignRow.content).where(CampaignRow.id == campaign_id)
            content = connection.execute(query).scalar_one_or_none()
        if content is None:
            raise _no_campaign(campaign_id)
        return Campaign.FromString(content)

    def campaigns(
        self, states: Collection[RunState.ValueType] = (), *, page_size: int = 0, page_token: str = ""
    ) -> Page[Campaign]:
        """Campaigns in one of these states, or all, the newest first.

        Raises InvalidFieldError for the size, InvalidPageTokenError.
        """
        listing = f"campaigns {sorted(set(states))}"
        size, last = page_size_of(page_size), key_before(page_token, listing)
        query = select(CampaignRow.number, CampaignRow.content).order_by(CampaignRow.number.desc())
        if states:
            query = query.where(CampaignRow.state.in_(sorted(set(states))))
        if last:
            query = query.where(CampaignRow.number < _whole(last))
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(size + 1)).all()
        token = token_after(listing, str(rows[size - 1].number)) if len(rows) > size else ""
        return Page([Campaign.FromString(row.content) for row in rows[:size]], token)

    def candidate(self, campaign_id: str, candidate_id: str) -> CampaignCandidate:
        """A candidate with all evidence, rank and front."""
        with self._database.reading() as connection:
            number = number_of(connection, campaign_id)
            row = connection.execute(
                _candidates_of(number).where(CandidateRow.id == candidate_id)
            ).one_or_none()
            if row is None:
                raise ResourceNotFoundError(
                    f"the campaign {campaign_id} has no candidate {candidate_id[:80]!r}",
                    resource="candidate",
                    id=candidate_id,
                )
            return _with_evidence(connection, number, [row])[0]

    def candidates(
        self,
        campaign_id: str,
        states: Collection[CandidateState.ValueType] = (),
        *,
        pareto_front_only: bool = False,
        page_size: int = 0,
        page_token: str = "",
    ) -> Page[CampaignCandidate]:
        """Candidates in one of these states, by default the ranked ones: by rank, then by generation.

        While the campaign runs, what gets a rank meanwhile may be left out; nothing comes twice.
        Raises InvalidFieldError for the size, InvalidPageTokenError.
        """
        wanted = sorted(set(states or RANKED_STATES))
        listing = f"candidates {campaign_id} {wanted} {pareto_front_only}"
        if page_size > MAX_CANDIDATES:
            raise InvalidFieldError(f"page_size must be at most {MAX_CANDIDATES}", field="page_size")
        size, last = page_size or DEFAULT_CANDIDATES, key_before(page_token, listing)
        with self._database.reading() as connection:
            number = number_of(connection, campaign_id)
            query = _candidates_of(number).where(CandidateRow.state.in_(wanted))
            if pareto_front_only:
                query = query.where(CandidateRow.on_pareto_front)
            if last:
                query = query.where(_comes_after(last))
            ordered = query.order_by(
                CandidateRow.score.is_(None), CandidateRow.score.desc(), CandidateRow.number
            )
            rows = connection.execute(ordered.limit(size + 1)).all()
            token = token_after(listing, _place(rows[size - 1])) if len(rows) > size else ""
            return Page(_with_evidence(connection, number, rows[:size]), token)

    def unfinished(self, campaign_id: str) -> list[CampaignCandidate]:
        """The candidates still on their way, in order of generation: where to go on after a restart."""
        with self._database.reading() as connection:
            number = number_of(connection, campaign_id)
            on_way = CandidateRow.state == CandidateState.CANDIDATE_STATE_IN_PROGRESS
            query = _candidates_of(number).where(on_way).order_by(CandidateRow.number)
            return _with_evidence(connection, number, connection.execute(query).all())

    def known_crystals(self, campaign_id: str, sha256: Collection[bytes]) -> Mapping[bytes, str]:
        """The first candidate of each of these hashes, as by `crystal_sha256`, that was generated."""
        with self._database.reading() as connection:
            number = number_of(connection, campaign_id)
            found: dict[bytes, str] = {}
            for some in chunks(sorted(set(sha256))):
                query = (
                    select(CandidateRow.crystal_sha256, CandidateRow.id)
                    .where(CandidateRow.campaign == number, CandidateRow.crystal_sha256.in_(some))
                    .order_by(CandidateRow.number)
                )
                for digest, candidate_id in connection.execute(query):
                    found.setdefault(bytes(digest or b""), candidate_id)
            return found

    def events(self, campaign_id: str, after_sequence: int = 0, *, limit: int = 200) -> list[CampaignEvent]:
        """The next events; none where there are no more."""
        with self._database.reading() as connection:
            return EventLog(connection, number_of(connection, campaign_id)).after(after_sequence, limit=limit)

    def last_sequences(self, campaign_ids: Collection[str]) -> Mapping[str, int]:
        """The last sequence of each of these campaigns that exists."""
        found: dict[str, int] = {}
        with self._database.reading() as connection:
            for some in chunks(sorted(set(campaign_ids))):
                query = select(CampaignRow.id, CampaignRow.last_sequence).where(CampaignRow.id.in_(some))
                found |= {row.id: row.last_sequence for row in connection.execute(query)}
        return found


def number_of(connection: Connection, campaign_id: str, *, lock: bool = False) -> int:
    """The number of a campaign by its id, locked until the end of the transaction if need be."""
    query = select(CampaignRow.number).where(CampaignRow.id == campaign_id)
    number = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
    if number is None:
        raise _no_campaign(campaign_id)
    return number


def _no_campaign(campaign_id: str) -> ResourceNotFoundError:
    return ResourceNotFoundError(
        f"there is no campaign {campaign_id[:80]!r}", resource="campaign", id=campaign_id
    )


def _candidates_of(number: int) -> Select[str, int, float | None, bool]:
    return select(
        CandidateRow.id, CandidateRow.number, CandidateRow.score, CandidateRow.on_pareto_front
    ).where(CandidateRow.campaign == number)


def _with_evidence(
    connection: Connection, number: int, rows: Sequence[Row[str, int, float | None, bool]]
) -> list[CampaignCandidate]:
    events = EventLog(connection, number).about([row.id for row in rows])
    ranks = _ranks(connection, number, [row.id for row in rows if row.score is not None])
    candidates = []
    for row in rows:
        candidate = candidate_from(events[row.id])
        candidate.rank = ranks.get(row.id, 0)
        candidate.on_pareto_front = row.on_pareto_front
        candidates.append(candidate)
    return candidates


def _ranks(connection: Connection, number: int, ids: Sequence[str]) -> Mapping[str, int]:
    place = func.row_number().over(order_by=(CandidateRow.score.desc(), CandidateRow.number))
    ranked = (
        select(CandidateRow.id, place.label("rank"))
        .where(CandidateRow.campaign == number, CandidateRow.score.is_not(None))
        .subquery()
    )
    found: dict[str, int] = {}
    for some in chunks(ids):
        rows = connection.execute(select(ranked.c.id, ranked.c.rank).where(ranked.c.id.in_(some)))
        found |= {row.id: row.rank for row in rows}
    return found


def _place(row: Row[str, int, float | None, bool]) -> str:
    """Where a candidate stands in a listing, exactly."""
    return f"{'-' if row.score is None else row.score.hex()} {row.number}"


def _comes_after(place: str) -> ColumnElement[bool]:
    score, _, number = place.partition(" ")
    if score == "-":
        return and_(CandidateRow.score.is_(None), CandidateRow.number > _whole(number))
    try:
        value = float.fromhex(score)
    except ValueError:
        raise _wrong_token() from None
    later = and_(CandidateRow.score == value, CandidateRow.number > _whole(number))
    return or_(CandidateRow.score < value, later, CandidateRow.score.is_(None))


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise _wrong_token()
    return int(text)


def _wrong_token() -> InvalidPageTokenError:
    return InvalidPageTokenError("the page token is not of this listing", field="page_token")
