"""What the parts of a campaign are worth: hits of a fixed number of candidates, with a part left out.

All ways are given the same candidates to make and no other limit, and take turns on each target with each
seed, on one mesh. The first on a target pays for what the others find warm, so a short campaign of its own
goes before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

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


def ablated(
    mesh: CampaignMesh, wanted: Sequence[NamedTarget], candidates: int, seeds: Sequence[int]
) -> dict[str, float]:
    """Hits per candidate and per CPU second of each way, over all targets and seeds."""
    runs: dict[str, list[CampaignRun]] = {way: [] for way in WAYS}
    for each in wanted:
        run_campaign(mesh, each.target, seconds=_LONGEST_SECONDS, hits=1, max_candidates=_WARMING_CANDIDATES)
        for seed in seeds:
            for way, settings in WAYS.items():
                asked: CampaignSettings = {
                    **TO_THE_LAST,
                    **settings,
                    "max_candidates": candidates,
                    "seed": seed,
                }
                made = run_campaign(mesh, each.target, seconds=_LONGEST_SECONDS, **asked)
                runs[way].append(made)
                print(
                    f"{each.name}, seed {seed}, {way}: {made.campaign.hits} hits of"
                    f" {made.campaign.progress.candidates}, {made.cpu_words}; {made.funnel}",
                    flush=True,
                )
    figures: dict[str, float] = {}
    for way, found in runs.items():
        hits = sum(each.campaign.hits for each in found)
        per_candidate = hits / max(1, sum(each.campaign.progress.candidates for each in found))
        per_cpu_second = hits / sum(each.cpu_seconds for each in found)
        name = way.replace(" ", "_")
        figures |= {
            f"{name}_hits_per_candidate": per_candidate,
            f"{name}_hits_per_cpu_s": per_cpu_second,
        }
        rates = f"{per_candidate:7.1%} of candidates, {per_cpu_second:.3f} a CPU second"
        print(f"{way:16} {rates}{_lost(runs, way)}")
    return figures


def _lost(runs: Mapping[str, Sequence[CampaignRun]], way: str) -> str:
    """What the part that is left out is worth: hits a CPU second, of the same target with the same seed."""
    pairs = [
        (_per_cpu_second(all_of_it), _per_cpu_second(less))
        for all_of_it, less in zip(runs[WHOLE], runs[way], strict=True)
    ]
    if way == WHOLE or len(pairs) < 2:
        return ""
    lost = [whole - less for whole, less in pairs]
    error = stdev(lost) / len(lost) ** 0.5
    return f"; the part is worth {fmean(lost):+.3f} ± {error:.3f} of it ({len(lost)} pairs)"


def _per_cpu_second(run: CampaignRun) -> float:
    return run.campaign.hits / run.cpu_seconds
