"""Does a campaign keep its busiest stage busy: the seconds of its relaxations, and of the same ones alone.

A long campaign without a limit of hits; then all that it relaxed is relaxed again, from where it began, in
one call with nothing else running. Efficiency is the seconds of that call by those from the moment when the
first relaxation could begin to the end of the last.
"""

from __future__ import annotations

import time
from dataclasses import replace

from benchmarks.campaign_ablations import TO_THE_LAST
from benchmarks.campaign_mesh import CampaignMesh
from benchmarks.campaign_runs import CampaignRun, run_campaign
from benchmarks.campaign_targets import NamedTarget
from crystalmesh_client import Crystal
from crystalmesh_client.campaign_events import CandidateRelaxed, StageStarted
from crystalmesh_client.campaign_specs import CampaignSettings

BAR = 0.8
_LONGEST_SECONDS = 1_800.0


def efficiency(mesh: CampaignMesh, wanted: NamedTarget, candidates: int) -> dict[str, float]:
    """The efficiency, and the two rates that it is made of."""
    asked: CampaignSettings = {**TO_THE_LAST, "max_candidates": candidates}
    campaign = run_campaign(mesh, wanted.target, seconds=_LONGEST_SECONDS, **asked)
    began = began_as(campaign)
    within = relaxing_seconds(campaign)
    alone = alone_seconds(mesh, campaign, began)
    stages = sorted(campaign.campaign.progress.stages, key=lambda stage: -stage.busy_seconds)
    busy = ", ".join(f"{stage.stage} {stage.busy_seconds:.1f}" for stage in stages if stage.busy_seconds)
    print(f"{wanted.name}: {campaign.campaign.progress.candidates} candidates; {campaign.funnel}")
    print(f"  seconds in which each stage was at work: {busy}")
    if stages[0].stage != "relax":
        print(f"  note: {stages[0].stage} was at work for longer than the stage that is compared, relax")
    share = alone / within
    print(
        f"  {len(began)} relaxations in {within:.1f} s within the campaign, in {alone:.1f} s alone:"
        f" {share:.2f}, the bar is {BAR:g}: {'holds' if share >= BAR else 'MISSED'}"
    )
    return {
        "pipeline_efficiency": share,
        "relaxations_per_s_in_campaign": len(began) / within,
        "relaxations_per_s_alone": len(began) / alone,
    }


def began_as(run: CampaignRun) -> list[Crystal]:
    """The crystals that were relaxed, as they were generated, in the order in which they were done."""
    made = {each.id: each.generated for each in (*run.ranked, *run.rejected)}
    relaxed = [event.candidate_id for event in run.events if isinstance(event, CandidateRelaxed)]
    return [replace(each.crystal, id=name) for name in relaxed if (each := made[name]) is not None]


def relaxing_seconds(run: CampaignRun) -> float:
    """From the moment when the first relaxation could begin to the end of the last, by the server's clock."""
    began = next(e.time for e in run.events if isinstance(e, StageStarted) and e.stage == "relax")
    ended = [event.time for event in run.events if isinstance(event, CandidateRelaxed)]
    return (max(ended) - began).total_seconds()


def alone_seconds(mesh: CampaignMesh, run: CampaignRun, crystals: list[Crystal]) -> float:
    """Of the same relaxations in one call, as a client waits for it."""
    started = time.perf_counter()
    outcomes = list(mesh.client.relaxation.relax_many(crystals, model=run.campaign.spec.potential))
    seconds = time.perf_counter() - started
    if len(outcomes) != len(crystals):
        raise RuntimeError(f"{len(crystals) - len(outcomes)} relaxations have no outcome")
    return seconds
