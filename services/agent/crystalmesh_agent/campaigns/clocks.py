"""How long a campaign has been at work, in all and in each stage. Only for reports and the budget of time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from crystalmesh.agent.v1.campaign_pb2 import CampaignProgress, CampaignStage, StageProgress


class Stopwatch:
    """Counts seconds while it runs, by a clock that does not jump; started twice, it is stopped twice."""

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds
        self._since = 0.0
        self._running = 0

    @property
    def seconds(self) -> float:
        """So far."""
        return self._seconds + (time.monotonic() - self._since if self._running else 0.0)

    def start(self) -> None:
        """Count."""
        if self._running == 0:
            self._since = time.monotonic()
        self._running += 1

    def stop(self) -> None:
        """Count no more, once this was called as often as `start`."""
        self._running -= 1
        if self._running == 0:
            self._seconds += time.monotonic() - self._since


class WorkClocks:
    """The time of a campaign at work, which goes on from what was reported before."""

    def __init__(self, reported: CampaignProgress) -> None:
        self.whole = Stopwatch(reported.wall_time.ToNanoseconds() / 1e9)
        self._stages: dict[CampaignStage.ValueType, Stopwatch] = defaultdict(Stopwatch)
        for entry in reported.stages:
            self._stages[entry.stage] = Stopwatch(entry.busy_time.ToNanoseconds() / 1e9)
        retrieval = [each for each in reported.stages if each.stage == CampaignStage.CAMPAIGN_STAGE_RETRIEVE]
        self.retrieved = sum(entry.entered_count for entry in retrieval)  # materials that were found
        self.chosen = sum(entry.passed_count for entry in retrieval)  # of these, to start from

    @contextmanager
    def at(self, stage: CampaignStage.ValueType) -> Iterator[None]:
        """The stage is at work; what works at the same time counts once."""
        watch = self._stages[stage]
        watch.start()
        try:
            yield
        finally:
            watch.stop()

    def progress(self) -> CampaignProgress:
        """What no event counts, to be reported with the next."""
        progress = CampaignProgress()
        progress.wall_time.FromNanoseconds(int(self.whole.seconds * 1e9))
        for stage, watch in sorted(self._stages.items()):
            entry = StageProgress(stage=stage)
            entry.busy_time.FromNanoseconds(int(watch.seconds * 1e9))
            if stage == CampaignStage.CAMPAIGN_STAGE_RETRIEVE:
                entry.entered_count, entry.passed_count = self.retrieved, self.chosen
                entry.rejected_count = self.retrieved - self.chosen
            progress.stages.append(entry)
        return progress
