"""Tools that start campaigns, follow them and read what they found."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Literal

import anyio
from mcp.server.mcpserver import Context
from pydantic import BaseModel, Field, FiniteFloat

from crystalmesh_client.campaign_candidates import CampaignCandidate, CandidateStateName
from crystalmesh_client.campaigns import Campaign, RunStateName, StopReasonName
from crystalmesh_client.mcp.answers import Value, values_of
from crystalmesh_client.mcp.progress import Progress
from crystalmesh_client.mcp.reach import OpenMesh
from crystalmesh_client.mcp.texts import finite
from crystalmesh_client.mcp.wishes import Wishes
from crystalmesh_client.mesh import AsyncMesh
from crystalmesh_client.prompts import TargetLike
from crystalmesh_common.runtime.errors import InvalidFieldError, ResourceNotFoundError

_MOST_CHARACTERS = 1000
_BEST = 5

CampaignId = Annotated[str, Field(min_length=1, max_length=128, description="As design answered it.")]
Choice = Literal["ranked", "hits", "pareto_front", "rejected"]


class StageCount(BaseModel):
    """How candidates fared in one stage of the funnel."""

    stage: str
    entered: int
    passed: int
    rejected: int


class CandidateSummary(BaseModel):
    """A candidate of a campaign without its crystal."""

    candidate_id: str
    rank: int = Field(description="Among the ranked, from 1. 0: not ranked.")
    is_hit: bool = Field(description="Fulfils the target, near enough to the hull, new, and relaxed.")
    formula: str
    score: float | None = Field(description="From 0 to 1: how well, and how surely, it fulfils the target.")
    energy_above_hull_ev_per_atom: float | None
    properties: dict[str, Value] = Field(description="Of the relaxed crystal, by name with the unit.")


class CampaignStatus(BaseModel):
    """How far a campaign is."""

    campaign_id: str
    name: str
    state: RunStateName = Field(description="paused: it waits for a service, and goes on by itself.")
    standing: str = Field(description="The same in words, with the reason.")
    has_ended: bool
    stop_reason: StopReasonName = Field(description="Why it ended. unspecified: it has not.")
    hits: int
    hits_wanted: int
    candidates_generated: int
    rounds: int
    seconds_at_work: float
    funnel: list[StageCount]
    best_candidates: list[CandidateSummary] = Field(description="The best five so far, the best first.")


class StartedCampaign(BaseModel):
    """A campaign that was queued."""

    campaign_id: str
    name: str
    understood_target: str = Field(description="What it looks for. Check that it is what was meant.")
    state: RunStateName
    hits_wanted: int
    max_candidates: int | None
    max_minutes: float | None
    how_to_follow: str


class WholeCandidate(CandidateSummary):
    """A candidate of a campaign with the evidence for it."""

    state: CandidateStateName
    round: int
    on_pareto_front: bool = Field(
        description="No other is better in one wish without being worse in another."
    )
    misses: list[str] = Field(description="What it misses of the target.")
    rejection: str = Field(description='Where and why it was dropped. "": it was not.')
    is_new: bool | None = Field(description="To the catalog and in the campaign. Unset: not compared yet.")
    decomposes_into: str
    reference: str = Field(description="The phases that its hull distance counts against.")
    starting_material: str
    made_by: str
    cif: str = Field(description='Relaxed, if it has been. "": left out, or no crystal.')


class CandidatePage(BaseModel):
    """Some candidates of a campaign."""

    candidates: list[WholeCandidate]
    has_more: bool = Field(description="Whether more follow: ask again with a larger `skip`.")


class CampaignTools:
    """Tools about campaigns, which live on the mesh and go on when nobody looks."""

    def __init__(self, open_mesh: OpenMesh) -> None:
        self._open_mesh = open_mesh

    async def design(
        self,
        *,
        target: Annotated[
            Wishes | None, Field(description="What the material shall be. Give this or `in_words`, not both.")
        ] = None,
        in_words: Annotated[
            str,
            Field(
                max_length=4000,
                description='The same in plain words: "a lithium oxide with a gap of 2-4 eV". Fixed rules '
                "read it, so check `understood_target`.",
            ),
        ] = "",
        name: Annotated[str, Field(max_length=200, description="What to call it.")] = "",
        hits_wanted: Annotated[int, Field(ge=1, le=1000, description="Stop once so many are found.")] = 10,
        max_candidates: Annotated[
            int, Field(ge=1, le=100_000, description="Stop once so many crystals were generated.")
        ] = 1000,
        max_minutes: Annotated[
            FiniteFloat, Field(gt=0, le=10_080, description="Stop after so long at work.")
        ] = 60.0,
        seed: Annotated[int, Field(ge=0, le=2**53 - 1, description="Another seed, other candidates.")] = 0,
        request_id: Annotated[
            str,
            Field(max_length=128, description="Your key for this call: used again, it starts no second one."),
        ] = "",
    ) -> StartedCampaign:
        """Start a campaign that searches for new materials with the properties that are wanted.

        It retrieves known materials near the target, generates candidates from them, checks, predicts,
        relaxes, scores and ranks them, round by round, until enough hits are found or the budget is spent.
        Minutes to hours: it answers at once with an id, and goes on by itself on the mesh. Use it instead
        of calling the other tools in a loop. A range of energy_above_hull_ev_per_atom says how stable hits
        must be; without one, at most 0.1.
        """
        async with self._open_mesh() as mesh:
            campaign = await mesh.campaigns.create(
                _target(target, in_words),
                request_id=request_id or None,
                name=name,
                hits=hits_wanted,
                max_candidates=max_candidates,
                max_seconds=60 * max_minutes,
                seed=seed,
            )
        budget = campaign.spec.budget
        return StartedCampaign(
            campaign_id=campaign.id,
            name=campaign.name,
            understood_target=_in_words(campaign),
            state=campaign.state,
            hits_wanted=campaign.spec.hits,
            max_candidates=budget.max_candidates,
            max_minutes=None if budget.max_seconds is None else finite(budget.max_seconds / 60),
            how_to_follow=f'campaign_status with campaign_id "{campaign.id}" and wait_seconds 60, again '
            "until has_ended; then campaign_candidates. cancel_campaign stops it, and what it found stays.",
        )

    async def campaign_status(
        self,
        context: Context,
        *,
        campaign_id: Annotated[
            str, Field(max_length=128, description='As design answered it. "": the newest campaign.')
        ] = "",
        wait_seconds: Annotated[
            FiniteFloat, Field(ge=0, le=600, description="Wait so long for its end, and answer then at last.")
        ] = 0.0,
    ) -> CampaignStatus:
        """How far a campaign is: state, hits, the funnel of candidates, and the best of them.

        Use it with wait_seconds rather than again and again; it answers early when the campaign ends.
        """
        async with self._open_mesh() as mesh:
            campaign = await _campaign(mesh, campaign_id)
            if wait_seconds and not campaign.has_ended:
                await _wait(mesh, campaign, wait_seconds, context)
                campaign = await mesh.campaigns.get(campaign.id)
            best, _ = await _listed(mesh, campaign.id, "ranked", 0, _BEST)
        progress = campaign.progress
        return CampaignStatus(
            campaign_id=campaign.id,
            name=campaign.name,
            state=campaign.state,
            standing=campaign.standing[:_MOST_CHARACTERS],
            has_ended=campaign.has_ended,
            stop_reason=campaign.stop_reason,
            hits=progress.hits,
            hits_wanted=campaign.spec.hits,
            candidates_generated=progress.candidates,
            rounds=progress.rounds,
            seconds_at_work=round(progress.seconds, 1),
            funnel=[
                StageCount(stage=each.stage, entered=each.entered, passed=each.passed, rejected=each.rejected)
                for each in progress.stages
            ],
            best_candidates=[_summary(each) for each in best],
        )

    async def campaign_candidates(
        self,
        *,
        campaign_id: CampaignId,
        which: Annotated[
            Choice, Field(description="ranked: all that came through, hits among them, the best first.")
        ] = "ranked",
        limit: Annotated[int, Field(ge=1, le=20, description="Candidates at most.")] = 5,
        skip: Annotated[int, Field(ge=0, le=100_000, description="Leave out so many of the first.")] = 0,
        with_cif: Annotated[bool, Field(description="False leaves out the crystals, which are long.")] = True,
    ) -> CandidatePage:
        """Candidates of a campaign with their crystals and the evidence for them.

        Use it once a campaign has hits, also while it runs; ranks may still change then. With `rejected`
        it tells where and why candidates were dropped.
        """
        async with self._open_mesh() as mesh:
            candidates, has_more = await _listed(mesh, campaign_id, which, skip, limit)
        return CandidatePage(
            candidates=[_whole(each, with_cif=with_cif) for each in candidates], has_more=has_more
        )

    async def cancel_campaign(self, context: Context, *, campaign_id: CampaignId) -> CampaignStatus:
        """Stop a campaign for good. What it has found stays; one that has ended is left as it is.

        Use it when the user asks for it, or when what was found is enough.
        """
        async with self._open_mesh() as mesh:
            await mesh.campaigns.cancel(campaign_id)
        return await self.campaign_status(context, campaign_id=campaign_id)


def _target(target: Wishes | None, in_words: str) -> TargetLike | str:
    if in_words.strip():
        if target is not None and not target.is_empty:
            raise InvalidFieldError("give `target` or `in_words`, not both", field="target")
        return in_words
    if target is None or target.is_empty:
        raise InvalidFieldError("give `target` or `in_words`: what shall the material be?", field="target")
    return target.to_target()


def _in_words(campaign: Campaign) -> str:
    wanted = campaign.spec.to_dict()["target"]
    return "; ".join(f"{name}: {_part(part)}" for name, part in wanted.items())[:_MOST_CHARACTERS]


def _part(part: object) -> str:
    if not isinstance(part, list | tuple):
        return str(part)
    if len(part) == 2 and any(isinstance(bound, float | int | None) for bound in part):
        low, high = ("" if bound is None else f"{bound:g}" for bound in part)
        return f"{low}..{high}"
    return ", ".join(map(str, part))


async def _campaign(mesh: AsyncMesh, campaign_id: str) -> Campaign:
    if campaign_id:
        return await mesh.campaigns.get(campaign_id)
    async with aclosing(mesh.campaigns.list(page_size=1)) as campaigns:
        async for campaign in campaigns:
            return campaign
    raise ResourceNotFoundError("there is no campaign yet; design starts one", resource="campaign")


async def _wait(mesh: AsyncMesh, campaign: Campaign, seconds: float, context: Context) -> None:
    """Return when the campaign has ended or the time is over, and report its events meanwhile."""
    watch = mesh.campaigns.watch(campaign.id, after_sequence=campaign.last_sequence)
    async with Progress(context, campaign.spec.hits, "hits").reported() as progress:
        with anyio.move_on_after(seconds):
            async with aclosing(watch) as events:
                async for event in events:
                    await progress.note(str(event)[:_MOST_CHARACTERS])


async def _listed(
    mesh: AsyncMesh, campaign_id: str, which: Choice, skip: int, limit: int
) -> tuple[list[CampaignCandidate], bool]:
    """Some candidates, and whether more follow."""
    states: dict[Choice, tuple[CandidateStateName, ...]] = {"hits": ("hit",), "rejected": ("rejected",)}
    listing = mesh.campaigns.candidates(
        campaign_id, states=states.get(which, ()), pareto_front_only=which == "pareto_front"
    )
    found: list[CampaignCandidate] = []
    position = 0
    async with aclosing(listing):
        async for candidate in listing:
            if position >= skip + limit:
                return found, True
            if position >= skip:
                found.append(candidate)
            position += 1
    return found, False


def _summary(candidate: CampaignCandidate) -> CandidateSummary:
    fit = candidate.target_fit
    return CandidateSummary(
        candidate_id=candidate.id,
        rank=candidate.rank,
        is_hit=candidate.is_hit,
        formula=candidate.formula,
        score=None if fit is None else finite(fit.score, 4),
        energy_above_hull_ev_per_atom=finite(candidate.energy_above_hull_ev_per_atom),
        properties=values_of(candidate.properties),
    )


def _whole(candidate: CampaignCandidate, *, with_cif: bool) -> WholeCandidate:
    distance, fit, made = candidate.hull_distance, candidate.target_fit, candidate.generated
    return WholeCandidate(
        **_summary(candidate).model_dump(),
        state=candidate.state,
        round=candidate.round,
        on_pareto_front=candidate.on_pareto_front,
        misses=[] if fit is None else list(fit.misses),
        rejection="" if candidate.rejection is None else str(candidate.rejection)[:_MOST_CHARACTERS],
        is_new=None if candidate.novelty is None else candidate.novelty.is_new,
        decomposes_into="" if distance is None else distance.decomposition_text,
        reference="" if distance is None else distance.reference.name,
        starting_material="" if candidate.starting_material is None else str(candidate.starting_material),
        made_by="" if made is None else str(made.origin),
        cif=candidate.cif if with_cif else "",
    )
