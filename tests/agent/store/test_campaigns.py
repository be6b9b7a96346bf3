"""Creating, recording, cancelling and deleting campaigns."""

from __future__ import annotations

import itertools
import threading

import pytest
from google.protobuf.duration_pb2 import Duration

from crystalmesh.agent.v1.campaign_candidate_pb2 import CandidateState
from crystalmesh.agent.v1.campaign_pb2 import CampaignProgress, CampaignStage, StageProgress
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.keys import crystal_sha256
from crystalmesh_agent.store.leases import Lease, LeaseLostError
from crystalmesh_agent.store.recording import ImpossibleEventError
from crystalmesh_common.runtime.errors import (
    InvalidFieldError,
    QueueFullError,
    RequestIdReusedError,
    ResourceNotFoundError,
    WrongStateError,
)
from tests.agent.store import story
from tests.agent.store.conftest import OpenStore


def test_a_campaign_is_what_was_asked_for(store: CampaignStore) -> None:
    """A new campaign is queued, begins with its creation, and is found under its id."""
    campaign = store.create("request", story.spec())
    assert campaign.spec == story.spec()
    assert campaign.state == RunState.RUN_STATE_QUEUED
    assert store.get(campaign.id) == campaign
    (event,) = store.events(campaign.id)
    assert (event.sequence, event.campaign_id) == (1, campaign.id)
    assert event.created.spec == story.spec()


def test_the_same_request_makes_one_campaign(open_store: OpenStore) -> None:
    """A repeated request answers with the campaign that exists, elsewhere and when the queue is full."""
    first = open_store(max_queued=1).create("request", story.spec())
    assert open_store(max_queued=1).create("request", story.spec()) == first


def test_what_was_sent_is_compared_and_not_what_was_filled_in(store: CampaignStore) -> None:
    """A repeated request is the same even if defaults have changed meanwhile."""
    sent = story.spec()
    first = store.create("request", story.spec(seed=1), requested=sent)
    assert store.create("request", story.spec(seed=2), requested=sent) == first


def test_a_request_id_belongs_to_one_spec(store: CampaignStore) -> None:
    """Another spec under a request id that was used is refused."""
    store.create("request", story.spec())
    with pytest.raises(RequestIdReusedError):
        store.create("request", story.spec(seed=1))


@pytest.mark.parametrize("request_id", ["", "x" * 129])
def test_a_request_id_has_a_length(store: CampaignStore, request_id: str) -> None:
    """Request ids of no use are refused."""
    with pytest.raises(InvalidFieldError):
        store.create(request_id, story.spec())


def test_the_queue_is_bounded(open_store: OpenStore) -> None:
    """Once so many wait no more are taken, until one is taken up."""
    store = open_store(max_queued=2)
    store.create("a", story.spec())
    store.create("b", story.spec())
    with pytest.raises(QueueFullError) as refused:
        store.create("c", story.spec())
    assert refused.value.retry_after_seconds
    lease = store.leases.acquire("tests", 60)
    assert lease
    store.append(lease, [story.started()])
    store.create("c", story.spec())


def test_threads_that_send_the_same_request_get_one_campaign(store: CampaignStore) -> None:
    """Of calls at the same time one creates the campaign and all get it."""
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.append(store.create("request", story.spec()).id))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 8
    assert len(set(ids)) == 1


def test_events_are_numbered_without_gaps(store: CampaignStore, lease: Lease) -> None:
    """Sequences continue from append to append, and the log has what was recorded."""
    first = store.append(lease, [story.planned(1), story.generated(1)])
    second = store.append(lease, [story.generated(2)])
    assert [entry.event.sequence for entry in first + second] == [3, 4, 5]
    assert store.events(lease.campaign_id, 2) == [entry.event for entry in first + second]
    assert store.get(lease.campaign_id).last_sequence == 5


def test_a_repeated_step_records_nothing_twice(store: CampaignStore, lease: Lease) -> None:
    """The same facts again, alone, in another mixture or twice at once, answer with what is there."""
    facts = [story.planned(1), *story.to_rank(1, 0.5), story.hit(1), story.round_finished(1)]
    first = store.append(lease, facts)
    assert all(entry.is_new for entry in first)
    again = store.append(lease, [*facts, story.generated(2), story.generated(2)])
    assert [entry.event for entry in again[: len(facts)]] == [entry.event for entry in first]
    assert [entry.is_new for entry in again] == [False] * len(facts) + [True, False]
    assert again[-1].event == again[-2].event
    assert store.get(lease.campaign_id).progress.candidates == 2
    assert store.get(lease.campaign_id).last_sequence == len(facts) + 3


def test_a_named_step_tells_starts_of_stages_apart(store: CampaignStore, lease: Lease) -> None:
    """What may happen again is recorded again, unless it is the same step."""
    for _ in range(2):
        store.append(lease, [story.stage_started()], step="relax 1")
    assert len(store.events(lease.campaign_id)) == 3
    for step in ("relax 2", "", ""):
        store.append(lease, [story.stage_started()], step=step)
    assert len(store.events(lease.campaign_id)) == 6


def test_a_bad_event_leaves_no_trace(store: CampaignStore, lease: Lease) -> None:
    """Where one event of a step is impossible none is recorded."""
    before = store.get(lease.campaign_id)
    with pytest.raises(ImpossibleEventError):
        store.append(lease, [story.generated(1), story.relaxed(2)])
    assert store.get(lease.campaign_id) == before
    assert len(store.events(lease.campaign_id)) == before.last_sequence


@pytest.mark.parametrize(
    "name", ["rejected twice", "ranked after rejection", "hit unranked", "strange id", "nan"]
)
def test_impossible_stories_are_refused(store: CampaignStore, lease: Lease, name: str) -> None:
    """Events that cannot follow those before them are mistakes, and said to be."""
    screen, relax = CampaignStage.CAMPAIGN_STAGE_SCREEN, CampaignStage.CAMPAIGN_STAGE_RELAX
    strange = story.generated(1)
    strange.candidate_generated.candidate_id = "strange"
    stories = {
        "rejected twice": [story.unparsable(1), story.rejected(1, relax)],
        "ranked after rejection": [story.generated(1), story.rejected(1, screen), story.ranked(1, 0.5)],
        "hit unranked": [story.generated(1), story.hit(1)],
        "strange id": [strange],
        "nan": [story.generated(1), story.ranked(1, float("nan"))],
    }
    with pytest.raises(ImpossibleEventError):
        store.append(lease, stories[name])


def test_the_funnel_counts_every_candidate_once(store: CampaignStore, lease: Lease) -> None:
    """What enters a stage passes, is rejected, or is in it; what passes enters the next."""
    validate, screen = CampaignStage.CAMPAIGN_STAGE_VALIDATE, CampaignStage.CAMPAIGN_STAGE_SCREEN
    novelty = CampaignStage.CAMPAIGN_STAGE_NOVELTY
    steps = [
        [story.planned(1)],
        [story.unparsable(1), *(story.generated(number) for number in range(6))],
        [story.rejected(0, validate)],
        [story.screened(number) for number in range(1, 6)] + [story.rejected(1, screen)],
        [story.relaxed(number, steps=10) for number in range(2, 6)],
        [story.scored(number) for number in range(3, 6)] + [story.rejected(3, novelty)],
        [story.ranked(4, 0.5), story.ranked(5, 1.0), story.hit(5)],
    ]
    for events in steps:
        store.append(lease, events)
        progress = store.get(lease.campaign_id).progress
        for here, following in itertools.pairwise(progress.stages[1:]):
            assert here.passed_count == following.entered_count
            assert here.entered_count >= here.passed_count + here.rejected_count
    counts = [(entry.entered_count, entry.passed_count, entry.rejected_count) for entry in progress.stages]
    assert counts == [
        (0, 0, 0),
        (7, 6, 1),
        (6, 5, 1),
        (5, 4, 1),
        (4, 4, 0),
        (4, 3, 0),
        (3, 2, 1),
        (2, 2, 0),
    ]
    assert (progress.candidates, progress.hits, progress.rounds, progress.evaluations) == (7, 1, 1, 44)
    assert progress.best_candidate_id == story.id_of(5)
    assert progress.planner_usage.prompt_tokens == 10


def test_rounds_say_whether_they_improved_anything(store: CampaignStore, lease: Lease) -> None:
    """A round improves with a better best candidate or another hit, by the log and not by the worker."""
    store.append(lease, [story.planned(1), *story.to_rank(1, 0.5), story.round_finished(1)])
    store.append(lease, [story.planned(2), *story.to_rank(2, 0.4), story.round_finished(2)])
    store.append(lease, [story.planned(3), *story.to_rank(3, 0.6), story.round_finished(3)])
    store.append(lease, [story.planned(4), story.hit(2), story.round_finished(4)])
    rounds = [
        event.round_finished for event in store.events(lease.campaign_id) if event.HasField("round_finished")
    ]
    assert [entry.improved for entry in rounds] == [True, False, True, True]
    assert [entry.progress.hits for entry in rounds] == [0, 0, 0, 1]


def test_what_the_worker_measured_is_kept(store: CampaignStore, lease: Lease) -> None:
    """Times come with the ends of rounds, counts from the events whatever the worker says."""
    stage = StageProgress(stage=CampaignStage.CAMPAIGN_STAGE_RELAX, entered_count=99)
    stage.busy_time.CopyFrom(Duration(seconds=7))
    measured = CampaignProgress(hits=99, wall_time=Duration(seconds=30), stages=[stage])
    store.append(lease, [story.round_finished(1, measured)])
    progress = store.get(lease.campaign_id).progress
    assert (progress.hits, progress.wall_time.seconds) == (0, 30)
    relax = progress.stages[4]
    assert (relax.entered_count, relax.busy_time.seconds) == (0, 7)


def test_a_hit_has_all_evidence(store: CampaignStore, lease: Lease) -> None:
    """The event of a hit, of which the worker says the id, holds the candidate as it was at that moment."""
    store.append(lease, [*story.to_rank(1, 0.9), *story.to_rank(2, 0.8)])
    (recorded,) = store.append(lease, [story.hit(2)])
    hit = recorded.event.candidate_hit
    assert hit.hits == 1
    assert (hit.candidate.rank, hit.candidate.state) == (2, CandidateState.CANDIDATE_STATE_HIT)
    assert hit.candidate.relaxation.steps == 9
    assert [model.model for model in hit.candidate.models] == ["tiny", "gap", "chgnet"]
    assert store.candidate(lease.campaign_id, story.id_of(2)) == hit.candidate


def test_states_follow_the_events(store: CampaignStore, lease: Lease) -> None:
    """Pauses, resumptions and the end are seen in the campaign, and nothing follows the end."""
    store.append(lease, [story.paused()])
    campaign = store.get(lease.campaign_id)
    assert (campaign.state, campaign.pause.service) == (RunState.RUN_STATE_PAUSED, "relaxation")
    store.append(lease, [story.resumed()])
    assert not store.get(lease.campaign_id).HasField("pause")
    store.append(lease, [story.finished()])
    campaign = store.get(lease.campaign_id)
    assert campaign.state == RunState.RUN_STATE_FINISHED
    assert campaign.HasField("end_time")
    (again,) = store.append(lease, [story.finished()])
    assert not again.is_new
    with pytest.raises(WrongStateError):
        store.append(lease, [story.generated(1)])


def test_a_cancelled_campaign_stays_cancelled(store: CampaignStore, lease: Lease) -> None:
    """A cancellation is durable at once, keeps what was found, and its worker cannot write any more."""
    store.append(lease, story.to_rank(1, 0.5))
    campaign = store.cancel(lease.campaign_id)
    assert campaign.state == RunState.RUN_STATE_CANCELLED
    assert store.events(lease.campaign_id)[-1].finished.progress == campaign.progress
    with pytest.raises(LeaseLostError):
        store.append(lease, [story.generated(2)])
    with pytest.raises(LeaseLostError):
        store.leases.heartbeat(lease)
    assert store.cancel(lease.campaign_id) == campaign
    assert store.leases.acquire("others", 60) is None
    assert len(store.candidates(lease.campaign_id).items) == 1


def test_only_ended_campaigns_are_deleted(store: CampaignStore, lease: Lease) -> None:
    """Deleting removes all of a campaign that has ended, frees its request id, and leaves others alone."""
    other = store.create("other", story.spec())
    store.append(lease, story.to_rank(1, 0.5))
    with pytest.raises(WrongStateError):
        store.delete(lease.campaign_id)
    store.cancel(lease.campaign_id)
    store.delete(lease.campaign_id)
    for ask in (store.get, store.events, store.candidates, store.cancel, store.delete, store.rebuild):
        with pytest.raises(ResourceNotFoundError):
            ask(lease.campaign_id)
    assert store.get(other.id) == other
    assert store.create("request", story.spec(seed=5)).id != lease.campaign_id


def test_everything_follows_from_the_events(store: CampaignStore, lease: Lease) -> None:
    """Campaign and candidates made anew from the log are the same as those made step by step."""
    scores = [0.3, 0.9, 0.9, 0.1, 1.0]
    for number, score in enumerate(scores):
        store.append(lease, story.to_rank(number, score))
    store.append(lease, [story.unparsable(1), story.generated(9), story.hit(4), story.round_finished(1)])
    before = store.get(lease.campaign_id)
    states = CandidateState.values()
    candidates = store.candidates(lease.campaign_id, states).items
    assert store.rebuild(lease.campaign_id) == before
    assert store.get(lease.campaign_id) == before
    assert store.candidates(lease.campaign_id, states).items == candidates
    store.append(lease, [story.screened(9)])


def test_crystals_are_known_by_their_numbers(store: CampaignStore, lease: Lease) -> None:
    """A crystal that was generated before is found, under any name."""
    store.append(lease, [story.generated(number) for number in range(3)])
    renamed = story.crystal(1)
    renamed.id = "another"
    hashes = [crystal_sha256(renamed), crystal_sha256(story.crystal(7))]
    assert store.known_crystals(lease.campaign_id, hashes) == {hashes[0]: story.id_of(1)}


def test_unfinished_candidates_come_with_their_evidence(store: CampaignStore, lease: Lease) -> None:
    """After a restart a worker finds what was on its way, and how far."""
    store.append(lease, [story.generated(1), story.screened(1), *story.to_rank(2, 0.5), story.generated(3)])
    first, second = store.unfinished(lease.campaign_id)
    assert (first.id, second.id) == (story.id_of(1), story.id_of(3))
    assert first.HasField("screening")
    assert not second.HasField("screening")
