"""What the parts of a campaign are worth: hits of a fixed number of candidates, with a part left out.

All ways are given the same candidates to make and no other limit, and take turns on each target, on one mesh.
The first on a target pays for what the others find warm, so a short campaign of its own goes before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.campaign_mesh import CampaignMesh
from benchmarks.campaign_runs import CampaignRun, run_campaign
from benchmarks.campaign_targets import NamedTarget
from crystalmesh_client.campaign_specs import CampaignSettings

WHOLE = "whole"
WAYS: Mapping[str, CampaignSettings] = {
    WHOLE: {},
    "no retrieval": {"skip_retrieval": True},
    "no transition": {"skip_transition": True},
    "uniform planner": {"planner": "uniform"},
}
TO_THE_LAST: CampaignSettings = {"hits": 10_000, "max_rounds_without_progress": 1_000}
"""So that nothing but the number of candidates ends a campaign."""
_LONGEST_SECONDS = 1_800.0
_WARMING_CANDIDATES = 8


def ablated(mesh: CampaignMesh, wanted: Sequence[NamedTarget], candidates: int) -> dict[str, float]:
    """Hits per candidate and per CPU second of each way, over all targets."""
    runs: dict[str, list[CampaignRun]] = {way: [] for way in WAYS}
    for each in wanted:
        run_campaign(mesh, each.target, seconds=_LONGEST_SECONDS, hits=1, max_candidates=_WARMING_CANDIDATES)
        for way, settings in WAYS.items():
            asked: CampaignSettings = {**TO_THE_LAST, **settings, "max_candidates": candidates}
            made = run_campaign(mesh, each.target, seconds=_LONGEST_SECONDS, **asked)
            runs[way].append(made)
            print(
                f"{each.name}, {way}: {made.campaign.hits} hits of {made.campaign.progress.candidates},"
                f" {made.cpu_words}; {made.funnel}",
                flush=True,
            )
    figures: dict[str, float] = {}
    for way, made_ones in runs.items():
        hits = sum(each.campaign.hits for each in made_ones)
        made_count = sum(each.campaign.progress.candidates for each in made_ones)
        cpu_seconds = sum(each.cpu_seconds for each in made_ones)
        name = way.replace(" ", "_")
        figures[f"{name}_hits_per_candidate"] = hits / max(1, made_count)
        figures[f"{name}_hits_per_cpu_s"] = hits / cpu_seconds
        print(
            f"{way:16} {hits / max(1, made_count):7.1%} of candidates, {hits / cpu_seconds:.3f} a CPU second"
        )
    return figures
