"""Leases: at most one controller works on a campaign, and one that has lost its lease cannot write.

Correctness rests on the fence alone, a number that grows with every lease and is checked in the transaction
of every write. Clocks only decide how soon someone else may take over: the holder counts its own time from
before it last gave a sign of life, by a clock that does not jump; others compare that sign with the
database's clock. A clock that jumps ahead may cost a live holder its lease; one that jumps back delays a
takeover by no more than the length of the lease.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, case, func, or_, select, update

from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh_agent.store.database import Database, now_seconds
from crystalmesh_agent.store.schema import MAX_OWNER, CampaignRow
from crystalmesh_common.runtime.errors import InvalidFieldError, WrongStateError

OPEN_STATES: Sequence[RunState.ValueType] = (
    RunState.RUN_STATE_QUEUED,
    RunState.RUN_STATE_RUNNING,
    RunState.RUN_STATE_PAUSED,
)


class LeaseLostError(WrongStateError):
    """The campaign was cancelled, deleted or taken over: stop working on it, nothing more can be recorded."""


class Lease:
    """The right to work on one campaign. Held by one thread of work; `seconds_left` may be read by any."""

    def __init__(self, campaign_id: str, number: int, fence: int, *, seconds: float, since: float) -> None:
        self.campaign_id = campaign_id
        self.number = number
        self.fence = fence
        self.seconds = seconds
        self._since = since

    @property
    def seconds_left(self) -> float:
        """Until others may take over, by our own count; beyond that, writes may still succeed."""
        return self._since + self.seconds - time.monotonic()

    def renewed(self, since: float) -> None:
        """Count anew from before a sign of life was given."""
        self._since = since


class Leases:
    """Who works on what."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, owner: str, seconds: float) -> Lease | None:
        """Take what has waited longest, campaigns whose holder is gone first; None: there is nothing."""
        if not owner or len(owner) > MAX_OWNER:
            raise InvalidFieldError(f"an owner has 1 to {MAX_OWNER} characters", field="owner")
        if not seconds > 0:
            raise InvalidFieldError("a lease lasts longer than no time", field="seconds")
        waiting = (
            select(CampaignRow.number, CampaignRow.id, CampaignRow.fence)
            .where(CampaignRow.state.in_(OPEN_STATES), or_(CampaignRow.lease_owner.is_(None), ~_alive()))
            .order_by(case((CampaignRow.state == RunState.RUN_STATE_QUEUED, 1), else_=0), CampaignRow.number)
            .limit(1)
        )
        with self._database.reading() as connection:
            if connection.execute(waiting).first() is None:
                return None  # most of the time, and no reason to write
        since = time.monotonic()
        with self._database.writing() as connection:
            row = connection.execute(waiting.with_for_update(skip_locked=True)).first()
            if row is None:
                return None
            given = {
                "fence": row.fence + 1,
                "lease_owner": owner,
                "lease_beat": now_seconds(),
                "lease_seconds": seconds,
            }
            connection.execute(update(CampaignRow).where(CampaignRow.number == row.number).values(given))
        return Lease(row.id, row.number, row.fence + 1, seconds=seconds, since=since)

    def heartbeat(self, lease: Lease) -> None:
        """Give a sign of life, so that the lease counts from now. Raises LeaseLostError."""
        since = time.monotonic()
        with self._database.writing() as connection:
            changed = connection.execute(
                update(CampaignRow).where(*_held(lease)).values(lease_beat=now_seconds())
            )
            if changed.rowcount == 0:
                raise lost(lease)
        lease.renewed(since)

    def release(self, lease: Lease) -> None:
        """Let others take over at once; does nothing for a lease that is lost."""
        with self._database.writing() as connection:
            connection.execute(update(CampaignRow).where(*_held(lease)).values(_nobody()))

    def release_all(self, owner: str) -> int:
        """Let others take over all that this owner held, and how many that were.

        For a controller that starts under a name that no other has: whoever had it before is dead.
        """
        with self._database.writing() as connection:
            change = update(CampaignRow).where(CampaignRow.lease_owner == owner).values(_nobody())
            return connection.execute(change).rowcount


def lost(lease: Lease) -> LeaseLostError:
    return LeaseLostError(
        f"the lease of the campaign {lease.campaign_id} is lost: it was cancelled, deleted or taken over",
        campaign_id=lease.campaign_id,
    )


def give_sign_of_life(connection: Connection, lease: Lease) -> dict[str, object]:
    """The change that goes with every write of a holder; raises LeaseLostError for anyone else.

    Within the caller's transaction, which locks the campaign.
    """
    held = select(CampaignRow.number).where(*_held(lease)).with_for_update()
    if connection.execute(held).first() is None:
        raise lost(lease)
    return {"lease_beat": now_seconds()}


def _held(lease: Lease) -> Sequence[ColumnElement[bool]]:
    return CampaignRow.number == lease.number, CampaignRow.fence == lease.fence


def _nobody() -> dict[str, object]:
    return {
        "fence": CampaignRow.fence + 1,
        "lease_owner": None,
        "lease_beat": None,
        "lease_seconds": None,
    }


def _alive() -> ColumnElement[bool]:
    """A beat more than a lease ahead comes from a clock that has been set back since, and means nothing."""
    return func.abs(now_seconds() - CampaignRow.lease_beat) < CampaignRow.lease_seconds
