"""How far the candidates of one campaign are: what ranks, pages and the Pareto front go by."""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from crystalmesh.agent.v1.campaign_candidate_pb2 import CandidateState
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage
from crystalmesh_agent.store.event_log import chunks
from crystalmesh_agent.store.progress import Standing
from crystalmesh_agent.store.schema import CandidateRow


@dataclass(frozen=True)
class Tracked:
    """One candidate, without its evidence."""

    id: str
    number: int  # the sequence of its first event
    standing: Standing
    crystal_sha256: bytes | None = None
    score: float | None = None
    merits: Sequence[float] = field(default=())
    on_pareto_front: bool = False

    def is_before(self, other: Tracked) -> bool:
        """Whether it ranks better. Both have a score; of equal ones the earlier is first."""
        return (-(self.score or 0.0), self.number) < (-(other.score or 0.0), other.number)

    def dominates(self, other: Tracked) -> bool:
        """Whether it is as good by every wish and better by one."""
        pairs = list(zip(self.merits, other.merits, strict=True))
        return all(ours >= theirs for ours, theirs in pairs) and any(ours > theirs for ours, theirs in pairs)


class CandidateTable:
    """Reads and writes within a transaction of the caller's; what was put is seen at once by `get` alone."""

    def __init__(self, connection: Connection, campaign: int) -> None:
        self._connection = connection
        self._campaign = campaign
        self._known: dict[str, Tracked | None] = {}  # None: looked for, and not there
        self._new: dict[str, Tracked] = {}
        self._changed: dict[str, Tracked] = {}

    def load(self, ids: Collection[str]) -> None:
        """Read candidates at once that `get` would read one by one."""
        missing = sorted(set(ids) - self._known.keys())
        self._known |= dict.fromkeys(missing)
        for some in chunks(missing):
            for candidate in self._select(CandidateRow.id.in_(some)):
                self._known[candidate.id] = candidate

    def get(self, candidate_id: str) -> Tracked | None:
        if candidate_id not in self._known:
            self.load([candidate_id])
        return self._known.get(candidate_id)

    def put(self, candidate: Tracked) -> None:
        old_or_new = self._changed if self.get(candidate.id) and candidate.id not in self._new else self._new
        old_or_new[candidate.id] = self._known[candidate.id] = candidate

    def flush(self) -> None:
        if self._new:
            rows = [
                self._values(candidate) | {"campaign": self._campaign} for candidate in self._new.values()
            ]
            self._connection.execute(insert(CandidateRow), rows)
        for candidate in self._changed.values():
            here = (CandidateRow.campaign == self._campaign, CandidateRow.id == candidate.id)
            self._connection.execute(update(CandidateRow).where(*here).values(self._values(candidate)))
        self._new, self._changed = {}, {}

    def clear(self) -> None:
        """Forget all of them."""
        self._connection.execute(delete(CandidateRow).where(CandidateRow.campaign == self._campaign))
        self._known, self._new, self._changed = {}, {}, {}

    def rank(self, candidate: Tracked) -> int:
        """Its place among the ranked, from 1; 0 for one without a score."""
        if candidate.score is None:
            return 0
        self.flush()
        before = or_(
            CandidateRow.score > candidate.score,
            and_(CandidateRow.score == candidate.score, CandidateRow.number < candidate.number),
        )
        better = select(func.count()).where(CandidateRow.campaign == self._campaign, before)
        return 1 + self._connection.execute(better).scalar_one()

    def enter_front(self, candidate: Tracked) -> None:
        """Put a candidate that has just got its merits, and say who is on the front now."""
        self.flush()
        front = [
            other
            for other in self._select(CandidateRow.on_pareto_front.is_(True))
            if other.id != candidate.id
        ]
        self._known |= {other.id: other for other in front}
        for other in front:
            if candidate.dominates(other):
                self.put(replace(other, on_pareto_front=False))
        self.put(replace(candidate, on_pareto_front=not any(other.dominates(candidate) for other in front)))

    def _select(self, condition: ColumnElement[bool]) -> list[Tracked]:
        query = select(CandidateRow.__table__).where(CandidateRow.campaign == self._campaign, condition)
        return [
            Tracked(
                id=row.id,
                number=row.number,
                standing=Standing(CampaignStage.ValueType(row.stage), CandidateState.ValueType(row.state)),
                crystal_sha256=row.crystal_sha256,
                score=row.score,
                merits=_unpacked(row.merits),
                on_pareto_front=row.on_pareto_front,
            )
            for row in self._connection.execute(query)
        ]

    def _values(self, candidate: Tracked) -> dict[str, object]:
        return {
            "id": candidate.id,
            "number": candidate.number,
            "state": candidate.standing.state,
            "stage": candidate.standing.stage,
            "crystal_sha256": candidate.crystal_sha256,
            "score": candidate.score,
            "merits": struct.pack(f"<{len(candidate.merits)}d", *candidate.merits),
            "on_pareto_front": candidate.on_pareto_front,
        }


def _unpacked(merits: bytes | None) -> Sequence[float]:
    return struct.unpack(f"<{len(merits) // 8}d", merits) if merits else ()
