"""What happens in a campaign, event by event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crystalmesh.agent.v1 import campaign_event_pb2, run_pb2
from crystalmesh_client.campaign_candidates import (
    CampaignCandidate,
    CandidateRejection,
    Novelty,
    StageName,
    StartingMaterial,
    TargetFit,
    campaign_candidate_from,
    novelty_from,
    rejection_from,
    stage_name,
    starting_material_from,
    target_fit_from,
    values_from,
)
from crystalmesh_client.campaign_specs import CampaignSpec, campaign_spec_from, generator_name
from crystalmesh_client.campaigns import (
    CampaignProgress,
    Pause,
    RunStateName,
    StopReasonName,
    TokenUsage,
    ending,
    moment,
    pause_from,
    progress_from,
    state_name,
    stop_reason_name,
    usage_from,
)
from crystalmesh_client.json_forms import fields_form
from crystalmesh_client.notebook import html_table
from crystalmesh_client.properties import SHORT_NAMES, PropertyValue
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.statuses import from_status


@dataclass(frozen=True, eq=False, kw_only=True)
class CampaignEvent:
    """One thing that happened. By itself: of a kind that this client does not know."""

    campaign_id: str
    sequence: int  # 1 for the first, without gaps
    time: datetime = field(repr=False)  # by the server's clock; order is by `sequence`
    kind: str = field(repr=False)  # "candidate_hit"
    message: campaign_event_pb2.CampaignEvent = field(repr=False)

    def __str__(self) -> str:
        """What happened, in words."""
        return self.kind.replace("_", " ")

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return fields_form(self)

    def _repr_html_(self) -> str:
        return html_table(("event", f"{self.sequence} of {self.campaign_id}"), (self.kind, str(self)))


@dataclass(frozen=True, eq=False, kw_only=True)
class CampaignCreated(CampaignEvent):
    """The campaign was created. Always the first."""

    spec: CampaignSpec = field(repr=False)

    def __str__(self) -> str:
        return f"created: {self.spec.name}"


@dataclass(frozen=True, eq=False, kw_only=True)
class RunStarted(CampaignEvent):
    """A worker took it up, for the first time or after a restart."""

    worker: str
    restarted: bool

    def __str__(self) -> str:
        return f"{'taken up again' if self.restarted else 'started'} by {self.worker or 'a worker'}"


@dataclass(frozen=True, eq=False, kw_only=True)
class StageStarted(CampaignEvent):
    """A stage began with a batch of candidates."""

    stage: StageName
    round: int
    candidates: int

    def __str__(self) -> str:
        return f"round {self.round}: {self.stage} {self.candidates}"


@dataclass(frozen=True)
class PlannedBatch:
    """A number of candidates to make in one way."""

    starting_material: StartingMaterial | None
    generator: str
    temperature: float | None
    candidates: int
    edit: str  # in words; empty: left to the generator

    def __str__(self) -> str:
        start = f" from {self.starting_material}" if self.starting_material else ""
        return f"{self.candidates} by {self.generator.replace('_', ' ')}{start}" + (
            f", {self.edit}" if self.edit else ""
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class CampaignPlanned(CampaignEvent):
    """The planner decided what comes next; without batches it chose to stop."""

    round: int
    planner: str
    model: str  # the language model behind it; empty: none
    decision: str
    rationale: str
    fallback_reason: str  # why the built-in planner decided instead; empty: it did not
    usage: TokenUsage | None  # None: no language model was called
    batches: tuple[PlannedBatch, ...]

    def __str__(self) -> str:
        plan = self.decision or "; ".join(map(str, self.batches)) or "stop"
        instead = f" (built-in planner: {self.fallback_reason})" if self.fallback_reason else ""
        return f"round {self.round}: {plan}{instead}"


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateEvent(CampaignEvent):
    """Something happened to one candidate."""

    candidate_id: str


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateGenerated(CandidateEvent):
    """A candidate was made; the crystal is in `message`."""

    round: int
    formula: str
    starting_material: StartingMaterial | None

    def __str__(self) -> str:
        start = f" from {self.starting_material}" if self.starting_material else ""
        return f"{self.candidate_id}: {self.formula or 'a crystal'}{start}"


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateRejected(CandidateEvent):
    """A candidate, or text that is no crystal, was dropped."""

    rejection: CandidateRejection
    error: CrystalMeshError | None  # what a service answered, if that was why

    def __str__(self) -> str:
        return f"{self.candidate_id}: {self.rejection}"


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateScreened(CandidateEvent):
    """A candidate's properties were predicted before relaxation."""

    properties: Mapping[str, PropertyValue]
    out_of_domain: bool

    def __str__(self) -> str:
        return f"{self.candidate_id}: {_in_words(self.properties) or 'screened'}"


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateRelaxed(CandidateEvent):
    """A candidate was relaxed; the crystal is in `message`."""

    converged: bool
    steps: int
    energy_ev_per_atom: float
    model: str

    def __str__(self) -> str:
        outcome = "relaxed" if self.converged else "not converged"
        return f"{self.candidate_id}: {outcome} in {self.steps} steps, {self.energy_ev_per_atom:.4f} eV/atom"


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateScored(CandidateEvent):
    """A candidate was placed against the hull."""

    energy_above_hull_ev_per_atom: float
    reference: str
    properties: Mapping[str, PropertyValue]

    def __str__(self) -> str:
        return f"{self.candidate_id}: {self.energy_above_hull_ev_per_atom:.4f} eV/atom above the hull"


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateRanked(CandidateEvent):
    """A candidate came through all stages."""

    novelty: Novelty
    target_fit: TargetFit

    def __str__(self) -> str:
        misses = f": {'; '.join(self.target_fit.misses)}" if self.target_fit.misses else ""
        return f"{self.candidate_id}: score {self.target_fit.score:.3f}{misses}"


@dataclass(frozen=True, eq=False, kw_only=True)
class CandidateHit(CampaignEvent):
    """A candidate turned out to be a hit; it is ranked as at that moment."""

    candidate: CampaignCandidate
    hits: int  # so far, this one included

    def __str__(self) -> str:
        known = _in_words(self.candidate.properties)
        return f"hit {self.hits}: {self.candidate.formula} ({self.candidate.id})" + (
            f", {known}" if known else ""
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class RoundFinished(CampaignEvent):
    """A round is over."""

    round: int
    progress: CampaignProgress = field(repr=False)
    improved: bool  # another hit, or a better best candidate

    def __str__(self) -> str:
        so_far = f"hits so far {self.progress.hits}, candidates {self.progress.candidates:,}"
        return f"round {self.round} is over: {so_far}{'' if self.improved else ', nothing better'}"


@dataclass(frozen=True, eq=False, kw_only=True)
class RunPaused(CampaignEvent):
    """The campaign waits for a service."""

    pause: Pause

    def __str__(self) -> str:
        why = "" if self.pause.error is None else f": {self.pause.error}"
        return f"paused, waits for {self.pause.service}{why}"


@dataclass(frozen=True, eq=False, kw_only=True)
class RunResumed(CampaignEvent):
    """The campaign goes on."""

    service: str  # that is back

    def __str__(self) -> str:
        return f"goes on, {self.service} is back"


@dataclass(frozen=True, eq=False, kw_only=True)
class CampaignFinished(CampaignEvent):
    """The campaign ended. Always the last."""

    state: RunStateName
    stop_reason: StopReasonName
    failure: CrystalMeshError | None  # why it could not go on
    progress: CampaignProgress = field(repr=False)

    def __str__(self) -> str:
        return ending(self.state, self.stop_reason, self.failure)


def campaign_event_from(message: campaign_event_pb2.CampaignEvent) -> CampaignEvent:
    """The typed form of a message; of a kind that this client does not know, a bare CampaignEvent."""
    kind = message.WhichOneof("event")
    common: dict[str, Any] = {
        "campaign_id": message.campaign_id,
        "sequence": message.sequence,
        "time": moment(message.time),
        "kind": kind or "unknown",
        "message": message,
    }
    if kind is None or kind not in _READERS:
        return CampaignEvent(**common)
    cls, read = _READERS[kind]
    return cls(**common, **read(getattr(message, kind)))


def _planned(message: campaign_event_pb2.CampaignPlanned) -> dict[str, Any]:
    call: run_pb2.PlannerCall = message.call
    return {
        "round": message.round,
        "planner": call.planner,
        "model": call.model,
        "decision": call.decision,
        "rationale": call.rationale,
        "fallback_reason": call.fallback_reason,
        "usage": usage_from(call.usage) if call.HasField("usage") else None,
        "batches": tuple(map(_batch, message.batches)),
    }


def _batch(message: campaign_event_pb2.PlannedBatch) -> PlannedBatch:
    return PlannedBatch(
        starting_material=_start(message),
        generator=generator_name(message.generator),
        temperature=message.temperature if message.HasField("temperature") else None,
        candidates=message.candidate_count,
        edit=message.edit,
    )


def _start(
    message: campaign_event_pb2.PlannedBatch | campaign_event_pb2.CandidateGenerated,
) -> StartingMaterial | None:
    return (
        starting_material_from(message.starting_material) if message.HasField("starting_material") else None
    )


def _rejected(message: campaign_event_pb2.CandidateRejected) -> dict[str, Any]:
    return {
        "candidate_id": message.candidate_id,
        "rejection": rejection_from(message.rejection),
        "error": from_status(message.error) if message.HasField("error") else None,
    }


def _relaxed(message: campaign_event_pb2.CandidateRelaxed) -> dict[str, Any]:
    relaxation = message.relaxation
    return {
        "candidate_id": message.candidate_id,
        "converged": relaxation.converged,
        "steps": relaxation.steps,
        "energy_ev_per_atom": relaxation.final.energy_ev_per_atom,
        "model": message.model.model or relaxation.final.model,
    }


def _finished(message: campaign_event_pb2.CampaignFinished) -> dict[str, Any]:
    return {
        "state": state_name(message.state),
        "stop_reason": stop_reason_name(message.stop_reason),
        "failure": from_status(message.failure) if message.HasField("failure") else None,
        "progress": progress_from(message.progress),
    }


def _in_words(properties: Mapping[str, PropertyValue]) -> str:
    return ", ".join(f"{SHORT_NAMES.get(name, name)} {value.rounded}" for name, value in properties.items())


_READERS: Mapping[str, tuple[type[CampaignEvent], Callable[[Any], dict[str, Any]]]] = {
    "created": (CampaignCreated, lambda it: {"spec": campaign_spec_from(it.spec)}),
    "started": (RunStarted, lambda it: {"worker": it.worker, "restarted": it.restarted}),
    "stage_started": (
        StageStarted,
        lambda it: {"stage": stage_name(it.stage), "round": it.round, "candidates": it.candidate_count},
    ),
    "planned": (CampaignPlanned, _planned),
    "candidate_generated": (
        CandidateGenerated,
        lambda it: {
            "candidate_id": it.candidate_id,
            "round": it.round,
            "formula": it.generated.validity.formula,
            "starting_material": _start(it),
        },
    ),
    "candidate_rejected": (CandidateRejected, _rejected),
    "candidate_screened": (
        CandidateScreened,
        lambda it: {
            "candidate_id": it.candidate_id,
            "properties": values_from(it.screening.values),
            "out_of_domain": it.screening.out_of_domain,
        },
    ),
    "candidate_relaxed": (CandidateRelaxed, _relaxed),
    "candidate_scored": (
        CandidateScored,
        lambda it: {
            "candidate_id": it.candidate_id,
            "energy_above_hull_ev_per_atom": it.hull_distance.energy_above_hull_ev_per_atom,
            "reference": it.hull_distance.reference.name,
            "properties": values_from(it.properties),
        },
    ),
    "candidate_ranked": (
        CandidateRanked,
        lambda it: {
            "candidate_id": it.candidate_id,
            "novelty": novelty_from(it.novelty),
            "target_fit": target_fit_from(it.target_fit),
        },
    ),
    "candidate_hit": (
        CandidateHit,
        lambda it: {"candidate": campaign_candidate_from(it.candidate), "hits": it.hits},
    ),
    "round_finished": (
        RoundFinished,
        lambda it: {"round": it.round, "progress": progress_from(it.progress), "improved": it.improved},
    ),
    "paused": (RunPaused, lambda it: {"pause": pause_from(it)}),
    "resumed": (RunResumed, lambda it: {"service": it.service}),
    "finished": (CampaignFinished, _finished),
}
