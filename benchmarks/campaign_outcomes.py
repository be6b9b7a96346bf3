"""What has to come out the same, and what has to come to a clear end: repeats, the impossible, no budget."""

from __future__ import annotations

from benchmarks.campaign_ablations import TO_THE_LAST
from benchmarks.campaign_mesh import CampaignMesh
from benchmarks.campaign_runs import CampaignRun, run_campaign
from benchmarks.campaign_targets import NamedTarget, impossible
from crystalmesh_client.campaign_specs import CampaignSettings

_LONGEST_SECONDS = 600.0


def outcomes(mesh: CampaignMesh, wanted: NamedTarget, candidates: int) -> dict[str, float]:
    """1 for each thing that is as it has to be, else 0. Campaigns make so many candidates at most."""
    return {
        **_repeats(mesh, wanted, candidates),
        "impossible_ends": float(_impossible_ends(mesh, candidates)),
        "no_budget_ends": float(_no_budget_ends(mesh, wanted)),
    }


def _repeats(mesh: CampaignMesh, wanted: NamedTarget, candidates: int) -> dict[str, float]:
    """Whether the same candidates are ranked in the same order, and the largest difference of scores."""
    asked: CampaignSettings = {**TO_THE_LAST, "max_candidates": candidates, "seed": 1}
    one, other = (run_campaign(mesh, wanted.target, seconds=_LONGEST_SECONDS, **asked) for _ in range(2))
    first, second = _scores(one), _scores(other)
    same = list(first) == list(second)
    difference = max((abs(first[name] - second[name]) for name in first.keys() & second.keys()), default=0.0)
    ranking = "the same ids in the same order" if same else "NOT the same ids in the same order"
    print(f"{wanted.name} twice, {len(first)} and {len(second)} ranked: {ranking}")
    print(f"  their scores differ by at most {difference:.1e}")
    return {
        "repeats": float(same and not difference),
        "same_ranking": float(same),
        "score_difference": difference,
    }


def _scores(run: CampaignRun) -> dict[str, float]:
    """Of the ranked candidates, the best first."""
    return {each.id: each.target_fit.score for each in run.ranked if each.target_fit is not None}


def _impossible_ends(mesh: CampaignMesh, candidates: int) -> bool:
    run = run_campaign(mesh, impossible(), seconds=_LONGEST_SECONDS, hits=1, max_candidates=candidates)
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
