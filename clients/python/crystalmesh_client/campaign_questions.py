"""What CampaignService is asked, the same from synchronous and from asyncio code."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterable

from crystalmesh.agent.v1.campaign_service_pb2 import (
    CreateCampaignRequest,
    ListCampaignsRequest,
    ListCandidatesRequest,
)
from crystalmesh_client.campaign_candidates import CandidateStateName, candidate_state_number
from crystalmesh_client.campaign_specs import CampaignOptions, campaign_target
from crystalmesh_client.campaigns import Campaign, RunStateName, state_number
from crystalmesh_client.prompts import TargetLike
from crystalmesh_common.runtime.errors import InvalidFieldError, UnavailableError, UnreachableError

SERVICE = "agent"

PATIENCE_SECONDS = 120.0
"""How long a watch waits for a server that has gone away."""

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_CANDIDATES_PER_PAGE = 100


def creation(
    target: TargetLike | str, request_id: str | None, options: CampaignOptions
) -> CreateCampaignRequest:
    """Ask for a campaign; without a request id, for one of its own."""
    return CreateCampaignRequest(
        request_id=uuid.uuid4().hex if request_id is None else request_id,
        spec=options.spec(campaign_target(target)),
    )


def listing(states: Collection[RunStateName], page_size: int) -> ListCampaignsRequest:
    """Ask for campaigns in one of these states."""
    numbers = [(name, state_number(name)) for name in _several(states)]
    known = [number for _, number in numbers if number]
    _check_all_known([name for name, number in numbers if not number], "no state of a campaign")
    return ListCampaignsRequest(states=known, page_size=page_size)


def candidate_listing(
    campaign_id: str, states: Collection[CandidateStateName], *, pareto_front_only: bool
) -> ListCandidatesRequest:
    """Ask for candidates in one of these states."""
    numbers = [(name, candidate_state_number(name)) for name in _several(states)]
    known = [number for _, number in numbers if number]
    _check_all_known([name for name, number in numbers if not number], "no state of a candidate")
    return ListCandidatesRequest(
        campaign_id=campaign_id,
        states=known,
        pareto_front_only=pareto_front_only,
        page_size=_CANDIDATES_PER_PAGE,
    )


class WatchedEvents:
    """What a watch has seen, and for how long it has been without a server."""

    def __init__(self, after_sequence: int, patience: float, *, reached: bool) -> None:
        self.seen = after_sequence
        self._patience = patience
        self._reached = reached  # whether the server has answered anything yet
        self._lost_since: float | None = None
        self._pauses = 0

    def is_new(self, sequence: int) -> bool:
        """Note an event that came, and say whether it is one that has not come before."""
        self._reached, self._lost_since, self._pauses = True, None, 0
        if sequence <= self.seen:
            return False
        self.seen = sequence
        return True

    def pause_after(self, error: UnavailableError) -> float:
        """Seconds to wait before the watch goes on; raises `error` when patience is at an end.

        A server that could never be reached is given up at once: gRPC has tried for some seconds already.
        """
        if isinstance(error, UnreachableError) and not self._reached:
            raise error
        now = time.monotonic()
        self._lost_since = now if self._lost_since is None else self._lost_since
        if now - self._lost_since >= self._patience:
            raise error
        pause = min(_FIRST_PAUSE_SECONDS * 2**self._pauses, _LONGEST_PAUSE_SECONDS)
        self._pauses += 1
        return min(error.retry_after_seconds or pause, _LONGEST_PAUSE_SECONDS)

    def is_all_of(self, campaign: Campaign) -> bool:
        """Whether nothing follows what was seen."""
        return campaign.has_ended and campaign.last_sequence <= self.seen


def ended_early() -> UnreachableError:
    """What a watch is interrupted by when the server, or a proxy, ended it before the campaign did."""
    return UnreachableError("the server ended the watch before the campaign did")


def goes_on(campaign_id: str) -> str:
    """What is told beside whatever keeps a caller from waiting for a campaign."""
    return (
        f"the campaign {campaign_id} goes on on the server: mesh.campaigns.watch({campaign_id!r}) follows it,"
        f" mesh.campaigns.results({campaign_id!r}) brings what it has found,"
        f" mesh.campaigns.cancel({campaign_id!r}) stops it"
    )


def _several(names: Collection[str]) -> Iterable[str]:
    if isinstance(names, str):
        raise InvalidFieldError("states are given as a list: ('hit',)", field="states")
    return names


def _check_all_known(unknown: Collection[str], what: str) -> None:
    if unknown:
        raise InvalidFieldError(f"{', '.join(map(repr, unknown))} is {what}", field="states")
