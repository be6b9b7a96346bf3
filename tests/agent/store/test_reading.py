"""Pages of campaigns and candidates."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState
from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec, CampaignStage
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.leases import Lease
from crystalmesh_common.runtime.errors import (
    InvalidFieldError,
    InvalidPageTokenError,
    ResourceNotFoundError,
)
from crystalmesh_common.runtime.pages import token_after
from tests.agent.store import story
from tests.agent.store.conftest import OpenStore


def pages_of_campaigns(store: CampaignStore, size: int, *states: RunState.ValueType) -> Iterator[list[str]]:
    token = ""
    while True:
        page = store.campaigns(states, page_size=size, page_token=token)
        yield [campaign.id for campaign in page.items]
        token = page.next_page_token
        if not token:
            return


def test_campaigns_newest_first(store: CampaignStore) -> None:
    """Pages hold every campaign once, whatever is created meanwhile."""
    ids = [store.create(str(number), story.spec()).id for number in range(5)]
    pages = pages_of_campaigns(store, 2)
    first = next(pages)
    store.create("late", story.spec())
    assert [first, *pages] == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]]]


def test_campaigns_by_state(store: CampaignStore) -> None:
    """Only campaigns in the wanted states are listed."""
    ids = [store.create(str(number), story.spec()).id for number in range(3)]
    store.cancel(ids[1])
    assert list(pages_of_campaigns(store, 1, RunState.RUN_STATE_QUEUED)) == [[ids[2]], [ids[0]]]
    assert list(pages_of_campaigns(store, 1, RunState.RUN_STATE_CANCELLED)) == [[ids[1]]]
    assert list(pages_of_campaigns(store, 1, RunState.RUN_STATE_FAILED)) == [[]]


def test_ranked_candidates_from_best_to_worst(store: CampaignStore, lease: Lease) -> None:
    """Ranks are by score, of equal ones the earlier first, and pages continue them."""
    for number, score in enumerate([0.3, 0.9, 0.9, 1.0, 0.1]):
        store.append(lease, story.to_rank(number, score))
    found: list[tuple[int, str]] = []
    token = ""
    while True:
        page = store.candidates(lease.campaign_id, page_size=2, page_token=token)
        found += [(candidate.rank, candidate.id) for candidate in page.items]
        token = page.next_page_token
        if not token:
            break
    assert found == [(1 + place, story.id_of(number)) for place, number in enumerate([3, 1, 2, 0, 4])]
    assert store.candidate(lease.campaign_id, story.id_of(2)).rank == 3


def test_the_others_follow_in_order_of_generation(store: CampaignStore, lease: Lease) -> None:
    """Candidates without a rank come after those with one; a page may hold both."""
    store.append(lease, [story.generated(number) for number in range(4)])
    stage = CampaignStage.CAMPAIGN_STAGE_VALIDATE
    store.append(lease, [story.rejected(1, stage), *story.to_rank(9, 0.5)])
    first = store.candidates(lease.campaign_id, CandidateState.values(), page_size=3)
    second = store.candidates(
        lease.campaign_id, CandidateState.values(), page_size=3, page_token=first.next_page_token
    )
    ids = [candidate.id for candidate in [*first.items, *second.items]]
    assert ids == [story.id_of(number) for number in (9, 0, 1, 2, 3)]
    assert not second.next_page_token
    (rejected,) = store.candidates(lease.campaign_id, [CandidateState.CANDIDATE_STATE_REJECTED]).items
    assert rejected.rejection.message == "off by a mile"


def test_nothing_comes_twice_while_ranks_change(store: CampaignStore, lease: Lease) -> None:
    """What is ranked between two pages may be missed and is never repeated, and ranks stay those of all."""
    for number in range(6):
        store.append(lease, story.to_rank(number, number / 10))
    first = store.candidates(lease.campaign_id, page_size=3)
    store.append(lease, [*story.to_rank(7, 0.9), *story.to_rank(8, 0.05)])
    second = store.candidates(lease.campaign_id, page_size=9, page_token=first.next_page_token)
    assert [candidate.id for candidate in first.items] == [story.id_of(number) for number in (5, 4, 3)]
    assert [candidate.id for candidate in second.items] == [story.id_of(number) for number in (2, 1, 8, 0)]
    assert [candidate.rank for candidate in second.items] == [5, 6, 7, 8]


def by_energy_and_gap(_spec: CampaignSpec, candidate: CampaignCandidate) -> tuple[float, float]:
    """Two wishes, hidden in the number of steps."""
    steps = candidate.relaxation.steps
    return steps // 10, steps % 10


def test_the_pareto_front(open_store: OpenStore) -> None:
    """On it is what no other beats by one wish without losing by another, also after it has changed."""
    store = open_store(merits=by_energy_and_gap)
    store.create("request", story.spec())
    lease = store.leases.acquire("tests", 60)
    assert lease
    store.append(lease, [story.started()])
    for number, merits in enumerate([11, 21, 12, 22, 31, 13, 22, 10]):
        way = [story.generated(number), story.relaxed(number, steps=merits), story.ranked(number, 0.5)]
        store.append(lease, way)
    front = store.candidates(lease.campaign_id, pareto_front_only=True).items
    assert [candidate.id for candidate in front] == [story.id_of(number) for number in (3, 4, 5, 6)]
    assert all(candidate.on_pareto_front for candidate in front)
    assert not store.candidate(lease.campaign_id, story.id_of(1)).on_pareto_front
    store.rebuild(lease.campaign_id)
    assert store.candidates(lease.campaign_id, pareto_front_only=True).items == front


def test_pages_have_a_largest_size(store: CampaignStore, lease: Lease) -> None:
    """A page that is too large is refused."""
    with pytest.raises(InvalidFieldError):
        store.candidates(lease.campaign_id, page_size=501)
    with pytest.raises(InvalidFieldError):
        store.campaigns(page_size=1001)


def test_tokens_belong_to_a_listing(store: CampaignStore, lease: Lease) -> None:
    """A token of another listing, or made up, is refused."""
    for number in range(3):
        store.append(lease, story.to_rank(number, 0.5))
    token = store.candidates(lease.campaign_id, page_size=1).next_page_token
    listing = f"candidates {lease.campaign_id} [3, 4] False"
    assert token == token_after(listing, f"{(0.5).hex()} 3")
    made_up = [token_after(listing, place) for place in ("no place", "- x", "0x1p0 -3", "- 9" + "9" * 30)]
    for bad in ["nonsense", store.campaigns(page_size=1).next_page_token or "x", *made_up]:
        with pytest.raises(InvalidPageTokenError):
            store.candidates(lease.campaign_id, page_token=bad)
    with pytest.raises(InvalidPageTokenError):
        store.candidates(lease.campaign_id, page_token=token, pareto_front_only=True)
    with pytest.raises(InvalidPageTokenError):
        store.candidates(lease.campaign_id, [CandidateState.CANDIDATE_STATE_HIT], page_token=token)
    with pytest.raises(InvalidPageTokenError):
        store.campaigns(page_token=token)


def test_candidates_that_are_not_there(store: CampaignStore, lease: Lease) -> None:
    """An unknown id is NOT_FOUND, and says of what."""
    with pytest.raises(ResourceNotFoundError) as missing:
        store.candidate(lease.campaign_id, "none")
    assert missing.value.details["resource"] == "candidate"
