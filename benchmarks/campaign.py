"""Design campaigns: seconds from a target to a verified hit, for ten targets, and what the parts are worth.

A mesh of its own, started by `crystalmesh up`, is asked through the public client. Each of `targets` gets a
campaign that may take two minutes; its first hit is checked by other code (`campaign_verification`). Then, in
this order: how busy the potential is kept (`campaign_pipeline`), what comes out twice and what ends clearly
(`campaign_outcomes`), and what retrieval, transitions and the planner are worth (`campaign_ablations`).

CAMPAIGN_TARGETS names some of the targets, CAMPAIGN_PARTS some of the parts (hits, pipeline, outcomes,
ablations), CAMPAIGN_SECONDS another time than two minutes, CRYSTALMESH_BENCH_HOME the home of a mesh that
runs already. A quick run has two targets, short parts and no ablations.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from benchmarks import campaign_ablations, campaign_hits, campaign_outcomes, campaign_pipeline
from benchmarks.campaign_mesh import CampaignMesh, campaign_mesh
from benchmarks.campaign_targets import QUICK, targets
from benchmarks.harness import record

LAST_LINE = (
    "targets_hit",
    "seconds_to_first_hit_median",
    "seconds_to_first_hit_max",
    "pipeline_efficiency",
    "pipeline_efficiency_own_cores",
)
PARTS = ("hits", "pipeline", "outcomes", "ablations")
OUTCOMES_TARGET = "lithium-oxide"
ABLATED_TARGETS = (
    "halide-perovskite",
    "lithium-oxide",
    "sulfide-absorber",
    "telluride-thermoelectric",
    "wide-gap-fluoride",
)
ABLATED_SEEDS = (0, 1)
_QUIET = 0.7


@dataclass(frozen=True)
class Sizes:
    """Candidates of the campaigns of each part."""

    pipeline: int
    outcomes: int
    ablations: int


WHOLE_RUN, QUICK_RUN = Sizes(72, 48, 96), Sizes(40, 8, 8)


def run(quick: bool) -> dict[str, float | str]:
    """All parts on one mesh; each has a file in `results` with all of its figures."""
    load = os.getloadavg()[0]
    if load > _QUIET:
        print(f"note: a load of {load:.1f} before it began: other work takes the cores, seconds are too many")
    figures: dict[str, float | str] = dict.fromkeys(LAST_LINE, float("nan"))
    with campaign_mesh() as mesh:
        for part in _chosen("CAMPAIGN_PARTS", PARTS[:3] if quick else PARTS):
            print(f"\n== {part}", flush=True)
            found = _run_part(part, mesh, quick=quick)
            record(f"campaign_{part}", quick, found)
            figures |= found
    return {name: figures[name] for name in LAST_LINE}


def _run_part(part: str, mesh: CampaignMesh, *, quick: bool) -> dict[str, float | str]:
    sizes = QUICK_RUN if quick else WHOLE_RUN
    if part == "pipeline":
        return {**campaign_pipeline.efficiencies(mesh, targets(*(QUICK if quick else ())), sizes.pipeline)}
    if part == "outcomes":
        return {**campaign_outcomes.outcomes(mesh, targets(OUTCOMES_TARGET)[0], sizes.outcomes)}
    if part == "ablations":
        return {**campaign_ablations.ablated(mesh, targets(*ABLATED_TARGETS), sizes.ablations, ABLATED_SEEDS)}
    wanted = targets(*_chosen("CAMPAIGN_TARGETS", QUICK if quick else ()))
    return campaign_hits.figures([campaign_hits.search(mesh, each) for each in wanted])


def _chosen(variable: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """The names that the environment lists, with commas between them."""
    names = tuple(name.strip() for name in os.environ.get(variable, "").split(",") if name.strip())
    return names or otherwise
