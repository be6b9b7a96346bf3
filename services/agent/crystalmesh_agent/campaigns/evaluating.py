"""The stages that cost the most: a candidate is relaxed, placed against the hull, and looked up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, RejectionReason, StageModel
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent, CandidateRelaxed, CandidateScored
from crystalmesh.agent.v1.campaign_pb2 import CampaignStage
from crystalmesh.crystal.v1.property_pb2 import Property, PropertyValue, SourceKind, ValueSource
from crystalmesh.property.v1.prediction_pb2 import Prediction
from crystalmesh.relaxation.v1.relaxation_pb2 import Relaxation, StopReason
from crystalmesh.retrieval.v1.match_pb2 import Matches
from crystalmesh.stability.v1.hull_pb2 import HullDistance
from crystalmesh_agent.campaigns.prospects import AFTER_STEPS, ProspectFinder, Prospects
from crystalmesh_agent.campaigns.rejections import failure, rejection
from crystalmesh_agent.campaigns.structures import crystal_of
from crystalmesh_agent.campaigns.together import together
from crystalmesh_agent.campaigns.wishes import geometry_values
from crystalmesh_agent.campaigns.workplace import Workplace
from crystalmesh_client.relax_options import RelaxOptions
from crystalmesh_client.results import Failed
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    AuthenticationError,
    CallCancelledError,
    CrystalMeshError,
    NotFoundError,
    UnimplementedError,
)

_RELAX = CampaignStage.CAMPAIGN_STAGE_RELAX
_SCORE = CampaignStage.CAMPAIGN_STAGE_SCORE
_NOVELTY = CampaignStage.CAMPAIGN_STAGE_NOVELTY

_NEARLY_STABLE_EV_PER_ATOM = 0.1
"""What lies further than this above what is asked has no place among the ranked."""

_FATAL = (AuthenticationError, CallCancelledError, NotFoundError, UnimplementedError)
"""What no candidate is to blame for: the campaign cannot go on."""

_MAX_STEPS = 160
"""In which 95 % of those converge that ever do; a longer one holds back the verdict on all after it."""

_ENDS = {
    StopReason.STOP_REASON_STEP_LIMIT: "did not converge in {steps} steps",
    StopReason.STOP_REASON_TIME_LIMIT: "did not converge in time",
    StopReason.STOP_REASON_UNPHYSICAL: "fell apart after {steps} steps",
}


class Evaluating:
    """Takes candidates through the potential; any number at once, each in a task of its own."""

    def __init__(self, workplace: Workplace) -> None:
        self._spec = workplace.spec
        self._journal = workplace.journal
        self._mesh = workplace.mesh
        self._patience = workplace.patience
        self._clocks = workplace.clocks
        self._wishes = workplace.wishes
        self._finder = ProspectFinder(workplace)

    async def evaluate(self, candidate: CampaignCandidate) -> Matches | None:
        """The materials of the catalog that the relaxed crystal is; None when it was dropped on the way.

        Takes up where an earlier worker left it: what is recorded is not computed again.
        """
        if not candidate.HasField("relaxation") and not await self._relaxed(candidate.id):
            return None
        relaxed = self._journal.candidates[candidate.id]
        crystal = crystal_of(relaxed.relaxation.crystal, candidate.id)
        if not relaxed.HasField("hull_distance") and not await self._scored(crystal):
            return None
        return await self._looked_up(crystal)

    async def _relaxed(self, candidate_id: str) -> bool:
        generated = self._journal.candidates[candidate_id].generated.crystal
        crystal = crystal_of(generated, candidate_id)
        with self._clocks.at(_RELAX):
            try:
                prospects = await self._finder.prospects(crystal)
                relaxation = await self._relax(crystal, prospects)
            except CrystalMeshError as error:
                return await self._failed(candidate_id, _RELAX, error)
        events = [_relaxed_event(candidate_id, relaxation)]
        if prospects and relaxation.stop_reason == StopReason.STOP_REASON_ENERGY_LIMIT:
            events.append(_too_far(candidate_id, prospects, relaxation))
        elif not relaxation.converged:
            events.append(_not_relaxed(candidate_id, relaxation))
        await self._journal.append(*events)
        return relaxation.converged

    async def _relax(self, crystal: Crystal, prospects: Prospects | None) -> Relaxation:
        options = RelaxOptions(
            max_steps=_MAX_STEPS,
            energy_limit_ev_per_atom=prospects.limit_ev_per_atom if prospects else None,
            energy_limit_after_steps=AFTER_STEPS,
        )
        model = self._spec.models.potential
        return await self._patience.ask("relaxation", lambda: self._mesh.relax(crystal, model, options))

    async def _scored(self, crystal: Crystal) -> bool:
        with self._clocks.at(_SCORE):
            try:
                distance, predicted = await together(self._distance(crystal), self._predicted(crystal))
            except CrystalMeshError as error:
                return await self._failed(crystal.id, _SCORE, error)
        values = _best_of_each([*_of_hull(distance), *geometry_values(crystal), *predicted])
        scored = CandidateScored(candidate_id=crystal.id, hull_distance=distance, properties=values)
        events = [CampaignEvent(candidate_scored=scored)]
        above, wanted = distance.energy_above_hull_ev_per_atom, self._wishes.max_energy_above_hull_ev_per_atom
        too_far = above > wanted + _NEARLY_STABLE_EV_PER_ATOM
        if too_far:
            message = f"{above:.3f} eV/atom above the hull, asked for at most {wanted:g}"
            reason = RejectionReason.REJECTION_REASON_UNSTABLE
            events.append(rejection(crystal.id, _SCORE, reason, message))
        await self._journal.append(*events)
        return not too_far

    async def _distance(self, crystal: Crystal) -> HullDistance:
        return await self._patience.ask("relaxation", lambda: self._mesh.score(crystal, self._spec.reference))

    async def _predicted(self, crystal: Crystal) -> Sequence[PropertyValue]:
        found = await self._patience.ask(
            "property", lambda: self._mesh.predict([crystal], self._spec.models.property)
        )
        outcome: Prediction | Failed = found[crystal.id]
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome.values

    async def _looked_up(self, crystal: Crystal) -> Matches | None:
        with self._clocks.at(_NOVELTY):
            found = await self._patience.ask(
                "retrieval", lambda: self._mesh.matches([crystal], self._spec.catalog)
            )
        outcome = found[crystal.id]
        if isinstance(outcome, Failed):
            await self._failed(crystal.id, _NOVELTY, outcome.error)
            return None
        return outcome

    async def _failed(
        self, candidate_id: str, stage: CampaignStage.ValueType, error: CrystalMeshError
    ) -> bool:
        if isinstance(error, _FATAL):
            raise error
        await self._journal.append(failure(candidate_id, stage, error))
        return False


def _relaxed_event(candidate_id: str, relaxation: Relaxation) -> CampaignEvent:
    for evaluation in (relaxation.initial, relaxation.final):
        evaluation.ClearField("forces_ev_per_angstrom")
    model = StageModel(stage=_RELAX, model=relaxation.final.model)
    relaxed = CandidateRelaxed(candidate_id=candidate_id, relaxation=relaxation, model=model)
    return CampaignEvent(candidate_relaxed=relaxed)


def _too_far(candidate_id: str, prospects: Prospects, relaxation: Relaxation) -> CampaignEvent:
    final = relaxation.final.energy_ev / len(relaxation.crystal.atomic_numbers)
    message = (
        f"{final - prospects.hull_ev_per_atom:.2f} eV/atom above the hull after {relaxation.steps} steps,"
        f" asked for at most {prospects.wanted_ev_per_atom:g}"
    )
    return rejection(candidate_id, _RELAX, RejectionReason.REJECTION_REASON_UNSTABLE, message)


def _not_relaxed(candidate_id: str, relaxation: Relaxation) -> CampaignEvent:
    words = _ENDS.get(relaxation.stop_reason, "did not converge").format(steps=relaxation.steps)
    return rejection(candidate_id, _RELAX, RejectionReason.REJECTION_REASON_NOT_RELAXED, words)


def _of_hull(distance: HullDistance) -> Iterable[PropertyValue]:
    source = ValueSource(kind=SourceKind.SOURCE_KIND_POTENTIAL, name=distance.model)
    for wanted, value in (
        (Property.PROPERTY_ENERGY_ABOVE_HULL_EV_PER_ATOM, distance.energy_above_hull_ev_per_atom),
        (Property.PROPERTY_FORMATION_ENERGY_EV_PER_ATOM, distance.formation_energy_ev_per_atom),
    ):
        yield PropertyValue(property=wanted, value=value, unit="eV/atom", source=source)


def _best_of_each(values: Iterable[PropertyValue]) -> list[PropertyValue]:
    """The first of each property: what comes first is trusted more."""
    best: dict[Property.ValueType, PropertyValue] = {}
    for value in values:
        best.setdefault(value.property, value)
    return [best[wanted] for wanted in sorted(best)]
