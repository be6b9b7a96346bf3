"""What has to come out the same, and what has to come to a clear end: repeats, the impossible, no budget."""

from __future__ import annotations

from benchmarks.campaign_ablations import TO_THE_LAST
from benchmarks.campaign_mesh import CampaignMesh
from benchmarks.campaign_runs import CampaignRun, run_campaign
from benchmarks.campaign_targets import NamedTarget, impossible
from crystalmesh_client.campaign_specs import CampaignSettings

_LONGEST_SECONDS = 600.0
_IMPOSSIBLE_CANDIDATES = 64


def outcomes(mesh: CampaignMesh, wanted: NamedTarget, candidates: int) -> dict[str, float]:
    """1 for each thing that is as it has to be, else 0."""
    return {
        "repeats": float(_repeats(mesh, wanted, candidates)),
        "impossible_ends": float(_impossible_ends(mesh)),
        "no_budget_ends": float(_no_budget_ends(mesh, wanted)),
    }


def ranking(run: CampaignRun) -> list[tuple[str, float | None]]:
    """The ranked candidates and their scores."""
    return [(each.id, each.target_fit.score if each.target_fit else None) for each in run.ranked]


def _repeats(mesh: CampaignMesh, wanted: NamedTarget, candidates: int) -> bool:
    asked: CampaignSettings = {**TO_THE_LAST, "max_candidates": candidates, "seed": 1}
    one, other = (run_campaign(mesh, wanted.target, seconds=_LONGEST_SECONDS, **asked) for _ in range(2))
    same = ranking(one) == ranking(other)
    print(
        f"{wanted.name} twice, {len(one.ranked)} and {len(other.ranked)} ranked:"
        f" {'the same' if same else 'NOT the same'} ids and scores"
    )
    if not same:
        first = dict(ranking(one))
        for name, score in ranking(other):
            if first.get(name) != score:
                print(f"  {name}: score {first.get(name)}, then {score}")
    return same


def _impossible_ends(mesh: CampaignMesh) -> bool:
    run = run_campaign(
        mesh, impossible(), seconds=_LONGEST_SECONDS, hits=1, max_candidates=_IMPOSSIBLE_CANDIDATES
    )
    print(
        f"impossible: {run.campaign.standing}, {run.campaign.progress.candidates} candidates,"
        f" {run.campaign.progress.seconds:.0f} s; {run.funnel or 'nothing entered a stage'}; {run.losses}"
    )
    reasons = {"no_progress", "candidate_budget"}
    return run.campaign.state == "finished" and not run.campaign.hits and run.campaign.stop_reason in reasons


def _no_budget_ends(mesh: CampaignMesh, wanted: NamedTarget) -> bool:
    ends = [
        (run_campaign(mesh, wanted.target, seconds=_LONGEST_SECONDS, max_candidates=0), "candidate_budget"),
        (run_campaign(mesh, wanted.target, seconds=_LONGEST_SECONDS, max_evaluations=0), "evaluation_budget"),
        (run_campaign(mesh, wanted.target, seconds=0.0), "time_budget"),
    ]
    for run, reason in ends:
        print(f"a budget of zero, {reason}: {run.campaign.standing}, {run.campaign.progress.candidates} made")
    return all(
        run.campaign.state == "finished"
        and run.campaign.stop_reason == reason
        and not run.campaign.progress.candidates
        for run, reason in ends
    )
