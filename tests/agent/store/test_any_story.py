"""Whatever is recorded in whatever order, and repeated: the log, the pages and what follows from it agree."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from crystalmesh.agent.v1.campaign_candidate_pb2 import CandidateState
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.database import file_url
from tests.agent.store import story

NUMBERS = st.integers(0, 7)
SCORES = st.sampled_from([0.0, 0.25, 0.5, 1.0])


class AnyStory(RuleBasedStateMachine):
    """Beside the store goes a list of what was recorded, and a dictionary of what is ranked."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = CampaignStore.open(file_url(Path(self.folder.name) / "agent.sqlite"))
        self.id = self.store.create("request", story.spec()).id
        lease = self.store.leases.acquire("tests", 600)
        assert lease is not None
        self.lease = lease
        self.log: list[CampaignEvent] = list(self.store.events(self.id))
        self.steps: list[Sequence[CampaignEvent]] = []
        self.ways: dict[int, str] = {}
        self.ranked: dict[int, tuple[float, int]] = {}
        self.record([story.started()])

    def record(self, events: Sequence[CampaignEvent]) -> None:
        recorded = self.store.append(self.lease, events)
        assert all(entry.is_new for entry in recorded)
        self.log += [entry.event for entry in recorded]
        self.steps.append(events)

    @rule(number=NUMBERS)
    def generate(self, number: int) -> None:
        if number not in self.ways:
            self.record([story.generated(number)])
            self.ways[number] = str(self.log[-1].sequence)

    @rule(number=NUMBERS, score=SCORES)
    def rank(self, number: int, score: float) -> None:
        if self.ways.get(number, "done") != "done":
            self.record(story.to_rank(number, score)[1:])
            self.ranked[number] = (-score, int(self.ways[number]))
            self.ways[number] = "done"

    @rule(number=NUMBERS)
    def reject(self, number: int) -> None:
        if self.ways.get(number, "done") != "done":
            self.record([story.rejected(number, CampaignStage.CAMPAIGN_STAGE_VALIDATE)])
            self.ways[number] = "done"

    @precondition(lambda self: self.steps)
    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        events = data.draw(st.sampled_from(self.steps))
        assert not any(entry.is_new for entry in self.store.append(self.lease, events))

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = CampaignStore.open(file_url(Path(self.folder.name) / "agent.sqlite"))

    @rule()
    def rebuild(self) -> None:
        before = self.store.get(self.id)
        assert self.store.rebuild(self.id) == before

    @invariant()
    def the_log_is_what_was_recorded(self) -> None:
        assert self.store.events(self.id) == self.log
        assert [event.sequence for event in self.log] == list(range(1, len(self.log) + 1))

    @invariant()
    def pages_are_in_order(self) -> None:
        found, token = [], ""
        while True:
            page = self.store.candidates(self.id, page_size=2, page_token=token)
            found += [(candidate.rank, candidate.id) for candidate in page.items]
            token = page.next_page_token
            if not token:
                break
        expected = sorted(self.ranked, key=self.ranked.__getitem__)
        assert found == [(place, story.id_of(number)) for place, number in enumerate(expected, start=1)]
        best = self.store.get(self.id).progress.best_candidate_id
        assert best == (story.id_of(expected[0]) if expected else "")

    @invariant()
    def everyone_is_counted(self) -> None:
        progress = self.store.get(self.id).progress
        everyone = self.store.candidates(self.id, CandidateState.values(), page_size=500).items
        assert len(everyone) == len({candidate.id for candidate in everyone}) == progress.candidates
        assert progress.candidates == len(self.ways)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


TestAnyStory = AnyStory.TestCase
TestAnyStory.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)
