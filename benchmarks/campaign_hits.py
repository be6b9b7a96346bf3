"""Seconds from a target to its first hit, and whether the hit holds when everything is checked anew."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.campaign_mesh import CampaignMesh
from benchmarks.campaign_runs import CampaignRun, run_campaign
from benchmarks.campaign_targets import NamedTarget
from benchmarks.campaign_verification import Hit, problems
from crystalmesh_client.properties import SHORT_NAMES

LIMIT_SECONDS = 120.0
"""A target without a hit by then is missed; a longer limit tells whether it is hit at all."""
LIMIT = "CAMPAIGN_SECONDS"
BAR_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Search:
    """A campaign for one of the targets, and what is wrong with its hit."""

    wanted: NamedTarget
    run: CampaignRun
    problems: Sequence[str]
    limit_seconds: float
    load: float  # of the machine while it ran

    @property
    def is_hit(self) -> bool:
        """Whether a hit came in time and is one."""
        return self.run.seconds_to_first_hit <= self.limit_seconds and not self.problems


def search(mesh: CampaignMesh, wanted: NamedTarget) -> Search:
    """Run a campaign until its first hit or its end, check the hit, and tell of both."""
    limit = float(os.environ.get(LIMIT) or LIMIT_SECONDS)
    run = run_campaign(mesh, wanted.target, seconds=limit, hits=1)
    load = os.getloadavg()[0]
    if run.first_hit is None:
        wrong = ["no hit"]
    else:
        spec = run.campaign.spec
        hit = Hit(wanted.target, run.first_hit, spec.catalog, spec.reference)
        wrong = problems(mesh.client, hit, run.ranked)
    found = Search(wanted, run, wrong, limit, load)
    _tell(found)
    return found


def figures(searches: Sequence[Search]) -> dict[str, float | str]:
    """How many were hit, and the seconds it took; a target that was missed took infinitely long."""
    seconds = [each.run.seconds_to_first_hit if each.is_hit else float("inf") for each in searches]
    return {
        "targets_hit": f"{sum(each.is_hit for each in searches)}/{len(searches)}",
        "seconds_to_first_hit_median": statistics.median(seconds),
        "seconds_to_first_hit_max": max(seconds),
    }


def _tell(found: Search) -> None:
    run, hit = found.run, found.run.first_hit
    progress = run.campaign.progress
    print(
        f"\n{found.wanted.name}: {_outcome(found)}; {progress.candidates} candidates in"
        f" {progress.rounds} rounds, {run.relaxations} relaxations, {run.cpu_words},"
        f" load {found.load:.1f}"
    )
    if hit is not None:
        known = ", ".join(f"{SHORT_NAMES.get(name, name)} {hit.known(name)}" for name in hit.properties)
        print(f"  {hit.formula} from {hit.starting_material or 'nothing'}: {known}")
        print(f"  its seconds: {run.way_to_the_hit}")
    print(f"  {run.funnel}")
    if run.rejected:
        print(f"  dropped: {run.losses}")
    if hit is None:
        print(f"  ended: {run.campaign.standing}; the best lacks: {run.misses}")


def _outcome(found: Search) -> str:
    if found.run.first_hit is None:
        return "MISSED"
    seconds = found.run.seconds_to_first_hit
    if found.problems:
        return f"a hit after {seconds:.1f} s that is NONE: {'; '.join(found.problems)}"
    late = "" if seconds <= BAR_SECONDS else f", LATER than {BAR_SECONDS:.0f} s"
    return f"verified hit after {seconds:.1f} s{late}"
