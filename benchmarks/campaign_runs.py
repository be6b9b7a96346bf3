"""Campaigns through the public client: run to their end, with what happened and when a caller heard of it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Unpack

from benchmarks.campaign_mesh import CampaignMesh
from crystalmesh_client import Campaign, CampaignCandidate, Mesh, Target
from crystalmesh_client.campaign_events import CampaignEvent, CandidateEvent, CandidateHit, CandidateRelaxed
from crystalmesh_client.campaign_specs import CampaignSettings

_LATE_SECONDS = 15.0
"""How long a campaign may overstay its time: pauses do not count, and a service may be down for good."""


@dataclass(frozen=True, eq=False)
class CampaignRun:
    """A campaign that has ended."""

    campaign: Campaign
    ranked: tuple[CampaignCandidate, ...]  # from the best
    rejected: tuple[CampaignCandidate, ...]
    events: tuple[CampaignEvent, ...]
    first_hit: CampaignCandidate | None
    seconds_to_first_hit: float  # from the call that created it; infinite without one
    cpu_by_service: Mapping[str, float]  # seconds

    @property
    def cpu_seconds(self) -> float:
        """Of the whole mesh."""
        return sum(self.cpu_by_service.values())

    @property
    def cpu_words(self) -> str:
        """Who spent them: "60 CPU s (relaxation 40, generation 18, …)"."""
        shares = sorted(self.cpu_by_service.items(), key=lambda share: -share[1])
        return f"{self.cpu_seconds:.0f} CPU s ({', '.join(f'{name} {spent:.0f}' for name, spent in shares)})"

    @property
    def relaxations(self) -> int:
        """Candidates that were relaxed, whether they converged or not."""
        return sum(isinstance(event, CandidateRelaxed) for event in self.events)

    @property
    def way_to_the_hit(self) -> str:
        """When the first hit was generated, relaxed, … and judged, by the server's clock; "" without one."""
        if self.first_hit is None:
            return ""
        began = self.events[0].time
        steps = [
            f"{event.kind.removeprefix('candidate_')} {(event.time - began).total_seconds():.1f}"
            for event in self.events
            if isinstance(event, CandidateEvent) and event.candidate_id == self.first_hit.id
        ]
        return ", ".join(steps)

    @property
    def funnel(self) -> str:
        """What came through each stage of what entered it: "generate 40/40 › validate 31/40 › …"."""
        stages = self.campaign.progress.stages
        return " › ".join(f"{each.stage} {each.passed}/{each.entered}" for each in stages if each.entered)

    @property
    def losses(self) -> str:
        """Where candidates were dropped and why, the most frequent first."""
        reasons = Counter(
            f"{each.rejection.reason} in {each.rejection.stage}" for each in self.rejected if each.rejection
        )
        return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())

    @property
    def misses(self) -> str:
        """What the best ranked candidate lacks, or that it lacks nothing."""
        if not self.ranked or self.ranked[0].target_fit is None:
            return "none was ranked"
        return "; ".join(self.ranked[0].target_fit.misses) or "nothing"


def run_campaign(
    mesh: CampaignMesh, target: Target, *, seconds: float, **settings: Unpack[CampaignSettings]
) -> CampaignRun:
    """Run a campaign to its end; it is cancelled when it takes much longer than it may."""
    campaigns = mesh.client.campaigns
    events: list[CampaignEvent] = []
    to_first_hit, first = float("inf"), ""
    cpu_before = mesh.cpu_seconds()
    started = time.perf_counter()
    asked: CampaignSettings = {**settings, "max_seconds": seconds}
    created = campaigns.create(target, **asked)
    with _cancelled_after(seconds + _LATE_SECONDS, mesh.client, created.id):
        for event in campaigns.watch(created.id):
            if isinstance(event, CandidateHit) and not first:
                to_first_hit, first = time.perf_counter() - started, event.candidate.id
            events.append(event)
    cpu_after = mesh.cpu_seconds()
    results = campaigns.results(created.id)
    return CampaignRun(
        campaign=results.campaign,
        ranked=results.candidates,
        rejected=tuple(campaigns.candidates(created.id, states=["rejected"])),
        events=tuple(events),
        first_hit=next((each for each in results.candidates if each.id == first), None),
        seconds_to_first_hit=to_first_hit,
        cpu_by_service={name: spent - cpu_before[name] for name, spent in cpu_after.items()},
    )


@contextmanager
def _cancelled_after(seconds: float, mesh: Mesh, campaign_id: str) -> Iterator[None]:
    timer = threading.Timer(seconds, lambda: mesh.campaigns.cancel(campaign_id))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
