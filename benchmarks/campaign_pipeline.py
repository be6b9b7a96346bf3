"""Does a campaign keep its busiest stage busy: that stage's work within a campaign, and the same work alone.

A long campaign without a limit of hits; then its crystals are asked for again from the materials that they
started from, and all that it relaxed is relaxed again as far as there, with nothing else running. The stage
that takes longer alone is the busiest. Efficiency is its seconds alone by those from the moment when it first
could begin to the end of the last. Generation and relaxation share the cores here, so there is a bound:
alone, the busiest stage has all of them.

Then the same with cores of its own for the potential, within the campaign and alone, as in a deployment with
pools: what is lost there is lost by the pipeline, not for want of cores.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import cast

from benchmarks.campaign_ablations import TO_THE_LAST
from benchmarks.campaign_mesh import CampaignMesh
from benchmarks.campaign_runs import CampaignRun, run_campaign
from benchmarks.campaign_targets import NamedTarget
from crystalmesh_client import Crystal, Prompt
from crystalmesh_client.campaign_events import (
    CampaignPlanned,
    CandidateEvent,
    CandidateGenerated,
    CandidateRelaxed,
    StageStarted,
)
from crystalmesh_client.campaign_specs import CampaignSettings
from crystalmesh_client.prompts import GeneratorName
from crystalmesh_client.relax_options import RelaxOptions

BAR = 0.8
_MAX_STEPS = 500
"""Of those that converge; the server's own limit."""
GENERATE, RELAX = "generate", "relax"
_ENDS: dict[str, type[CandidateEvent]] = {GENERATE: CandidateGenerated, RELAX: CandidateRelaxed}
_LONGEST_SECONDS = 1_800.0
Way = tuple[GeneratorName, float | None]
"""How crystals are made: by which generator, and at which temperature of a language model."""


@dataclass(frozen=True)
class Stage:
    """One stage of a campaign, and the same work alone."""

    name: str
    crystals: int
    seconds_within: float  # from when it first could begin to the end of the last
    seconds_alone: float
    cpu_seconds_alone: float  # of the whole mesh

    @property
    def efficiency(self) -> float:
        """Its throughput within the campaign, relative to that alone."""
        return self.seconds_alone / self.seconds_within


@dataclass(frozen=True)
class Pipeline:
    """A campaign's stages."""

    stages: Sequence[Stage]
    cpu_seconds: float  # of the whole mesh, within the campaign

    @property
    def busiest(self) -> Stage:
        return max(self.stages, key=lambda stage: stage.seconds_alone)

    @property
    def bound(self) -> float:
        """The efficiency that can be had with shared cores: alone, the busiest stage has all of them."""
        cores = os.cpu_count() or 1
        return self.busiest.seconds_alone / max(self.busiest.seconds_alone, self.cpu_seconds / cores)


@dataclass(frozen=True, eq=False)
class Begun:
    """A crystal as it was before it was relaxed, and the steps that it may take."""

    crystal: Crystal
    max_steps: int


def efficiencies(mesh: CampaignMesh, wanted: Sequence[NamedTarget], candidates: int) -> dict[str, float]:
    """Medians over the targets: of the busiest stage, of what can be had, and with cores of its own."""
    shared = [_run(mesh, each, candidates) for each in wanted]
    with mesh.cores_apart("relaxation"):
        print("with cores of its own for the potential:")
        apart = [_run(mesh, each, candidates) for each in wanted]
    figures = {
        "pipeline_efficiency": median(each.busiest.efficiency for each in shared),
        "efficiency_bound": median(each.bound for each in shared),
        "efficiency_of_bound": median(each.busiest.efficiency / each.bound for each in shared),
        "pipeline_efficiency_own_cores": median(each.busiest.efficiency for each in apart),
    }
    held = "holds" if figures["pipeline_efficiency"] >= BAR else "MISSED"
    print(f"the busiest stage, median: {figures['pipeline_efficiency']:.2f}, the bar is {BAR:g}: {held}")
    print(
        f"  with {os.cpu_count()} cores for a whole campaign at most {figures['efficiency_bound']:.2f} can"
        f" be had: {figures['efficiency_of_bound']:.2f} of that"
    )
    print(f"  with cores of its own for the potential: {figures['pipeline_efficiency_own_cores']:.2f}")
    return figures


def _run(mesh: CampaignMesh, wanted: NamedTarget, candidates: int) -> Pipeline:
    asked: CampaignSettings = {**TO_THE_LAST, "max_candidates": candidates}
    campaign = run_campaign(mesh, wanted.target, seconds=_LONGEST_SECONDS, **asked)
    print(f"{wanted.name}: {campaign.campaign.progress.candidates} candidates; {campaign.funnel}")
    _tell_seconds(campaign)
    began, prompts = began_as(campaign), prompts_of(mesh, campaign, wanted)
    potential = campaign.campaign.spec.potential
    stages = (
        _measured(mesh, campaign, GENERATE, lambda: _generate(mesh, prompts)),
        _measured(mesh, campaign, RELAX, lambda: _relax(mesh, began, potential)),
    )
    for stage in stages:
        print(
            f"  {stage.name}: {stage.crystals} crystals in {stage.seconds_within:.1f} s within the campaign,"
            f" in {stage.seconds_alone:.1f} s and {stage.cpu_seconds_alone:.0f} CPU s alone:"
            f" {stage.efficiency:.2f}"
        )
    pipeline = Pipeline(stages, campaign.cpu_seconds)
    print(f"  the busiest is {pipeline.busiest.name}: {pipeline.busiest.efficiency:.2f}", flush=True)
    return pipeline


def began_as(run: CampaignRun) -> list[Begun]:
    """The crystals that were relaxed, as they were generated, in the order in which they were done."""
    made = {each.id: each.generated for each in (*run.ranked, *run.rejected)}
    relaxed = [event for event in run.events if isinstance(event, CandidateRelaxed)]
    return [
        Begun(replace(each.crystal, id=event.candidate_id), _MAX_STEPS if event.converged else event.steps)
        for event in relaxed
        if (each := made[event.candidate_id]) is not None
    ]


def prompts_of(mesh: CampaignMesh, run: CampaignRun, wanted: NamedTarget) -> dict[Way, list[Prompt]]:
    """What the campaign asked to be made, by how: the target, from each material as often as was planned."""
    candidates = {each.id: each.crystal for each in (*run.ranked, *run.rejected)}
    prompts: dict[Way, list[Prompt]] = defaultdict(list)
    for planned in (event for event in run.events if isinstance(event, CampaignPlanned)):
        for batch in planned.batches:
            start, reference = batch.starting_material, None
            if start is not None and start.catalog:
                reference = mesh.client.retrieval.material(start.material_id, catalog=start.catalog).crystal
            elif start is not None:
                reference = candidates[start.material_id]
            asked = prompts[cast("GeneratorName", batch.generator), batch.temperature]
            for _ in range(batch.candidates):
                asked.append(Prompt(wanted.target, reference, id=f"sample-{len(asked)}"))
    return prompts


def _measured(mesh: CampaignMesh, run: CampaignRun, name: str, work: Callable[[], None]) -> Stage:
    began = next(e.time for e in run.events if isinstance(e, StageStarted) and e.stage == name)
    ended = [event.time for event in run.events if isinstance(event, _ENDS[name])]
    cpu_before, started = sum(mesh.cpu_seconds().values()), time.perf_counter()
    work()
    seconds, cpu_after = time.perf_counter() - started, sum(mesh.cpu_seconds().values())
    within = (max(ended) - began).total_seconds()
    return Stage(name, len(ended), within, seconds, cpu_after - cpu_before)


def _relax(mesh: CampaignMesh, begun: Sequence[Begun], potential: str) -> None:
    """As far as they were relaxed within: what was given up there takes as few steps here."""
    for steps in sorted({each.max_steps for each in begun}):
        crystals = [each.crystal for each in begun if each.max_steps == steps]
        options = RelaxOptions(max_steps=steps)
        done = len(list(mesh.client.relaxation.relax_many(crystals, options, model=potential)))
        if done != len(crystals):
            raise RuntimeError(f"{len(crystals) - done} relaxations have no outcome")


def _generate(mesh: CampaignMesh, prompts: Mapping[Way, Sequence[Prompt]]) -> None:
    """By the same generators at the same temperatures, all that is asked alike at once."""
    for (generator, temperature), asked in prompts.items():
        outcomes = mesh.client.generation.generate_many(
            asked, generator=generator, temperature=temperature, symmetrize=True, min_distance_angstrom=0.5
        )
        done = len(list(outcomes))
        if done != len(asked):
            raise RuntimeError(f"{len(asked) - done} prompts have no outcome")


def _tell_seconds(run: CampaignRun) -> None:
    stages = sorted(run.campaign.progress.stages, key=lambda stage: -stage.busy_seconds)
    busy = ", ".join(f"{stage.stage} {stage.busy_seconds:.1f}" for stage in stages if stage.busy_seconds)
    print(f"  seconds in which each stage was at work: {busy}; {run.cpu_words}")
