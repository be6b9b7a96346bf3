"""A campaign as a server would tell it: one hit, one candidate that is none, two dropped, a pause between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from crystalmesh.agent.v1 import campaign_candidate_pb2 as candidates
from crystalmesh.agent.v1 import campaign_event_pb2 as events
from crystalmesh.agent.v1 import campaign_pb2 as campaigns
from crystalmesh.agent.v1 import run_pb2 as runs
from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.generation.v1 import candidate_pb2, generation_pb2
from crystalmesh.property.v1 import prediction_pb2
from crystalmesh.relaxation.v1 import relaxation_pb2
from crystalmesh.stability.v1 import hull_pb2
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.runtime.errors import UnreachableError
from crystalmesh_common.runtime.statuses import to_status
from tests.client.generation.hosting import candidate as generated
from tests.conftest import sodium_chloride

REFERENCE = "mp20-tiny"
HIT, RANKED, DROPPED, UNREADABLE = "c-hit", "c-ranked", "c-dropped", "c-unreadable"

_SHAPES = {HIT: 5.69, RANKED: 5.9}
_STAGE = campaigns.CampaignStage.Value
_START = candidates.StartingMaterial(
    catalog="mp20", catalog_version="3", material_id="mp-22865", formula="KCl", similarity=0.81
)


def value(name: str, number: float, uncertainty: float | None = None) -> property_pb2.PropertyValue:
    """What a model says of a property."""
    return property_pb2.PropertyValue(
        property=property_pb2.Property.Value(f"PROPERTY_{name.upper()}"),
        value=number,
        uncertainty=uncertainty,
        unit="eV",
        source=property_pb2.ValueSource(
            kind=property_pb2.SOURCE_KIND_PREDICTION, name="gap-net", version="2"
        ),
    )


def made(candidate_id: str) -> candidate_pb2.Candidate:
    """Rock salt, as a language model wrote it."""
    return generated(candidate_id, 0, 0).candidate


def relaxation(candidate_id: str) -> relaxation_pb2.Relaxation:
    """How it relaxed."""
    message = relaxation_pb2.Relaxation(
        crystal=crystal_to_proto(sodium_chloride(a=_SHAPES[candidate_id])),
        converged=True,
        stop_reason=relaxation_pb2.STOP_REASON_CONVERGED,
        steps=12,
        max_force_ev_per_angstrom=0.01,
    )
    message.initial.energy_ev_per_atom, message.final.energy_ev_per_atom = -3.2, -3.4
    message.final.model = "chgnet-0.3.0"
    return message


def hull_distance(candidate_id: str) -> hull_pb2.HullDistance:
    """Where it lies."""
    message = hull_pb2.HullDistance(
        energy_above_hull_ev_per_atom=0.012 if candidate_id == HIT else 0.08,
        formation_energy_ev_per_atom=-2.1,
        energy_ev_per_atom=-3.4,
        formula="NaCl",
        competing_entry_count=4,
        model="chgnet-0.3.0",
        self_consistent=True,
    )
    message.decomposition.add(entry_id="mp-1", formula="NaCl", atom_fraction=1.0)
    message.reference.name, message.reference.entry_count = REFERENCE, 40
    return message


def fit(candidate_id: str) -> candidates.TargetFit:
    """How well it fulfils the target."""
    if candidate_id == HIT:
        return candidates.TargetFit(fulfilled=True, score=0.93)
    return candidates.TargetFit(misses=["band gap 1.2 eV, asked for 2 to 6"], score=0.21)


def values(candidate_id: str) -> list[property_pb2.PropertyValue]:
    """What is known of the relaxed crystal."""
    return [
        value("band_gap_ev", 5.1 if candidate_id == HIT else 1.2, 0.2),
        value("energy_above_hull_ev_per_atom", hull_distance(candidate_id).energy_above_hull_ev_per_atom),
    ]


def novelty() -> candidates.Novelty:
    return candidates.Novelty(new_to_catalog=True, first_in_campaign=True, catalog_version="3")


def ranked_candidate(candidate_id: str) -> candidates.CampaignCandidate:
    """All evidence for one that came through all stages."""
    is_hit = candidate_id == HIT
    message = candidates.CampaignCandidate(
        id=candidate_id,
        round=1 if is_hit else 2,
        state=candidates.CANDIDATE_STATE_HIT if is_hit else candidates.CANDIDATE_STATE_RANKED,
        starting_material=_START,
        generated=made(candidate_id),
        screening=prediction_pb2.Prediction(values=[value("band_gap_ev", 4.8, 0.4)]),
        relaxation=relaxation(candidate_id),
        hull_distance=hull_distance(candidate_id),
        properties=values(candidate_id),
        novelty=novelty(),
        target_fit=fit(candidate_id),
        rank=1 if is_hit else 2,
        on_pareto_front=is_hit,
    )
    message.models.add(stage=_STAGE("CAMPAIGN_STAGE_RELAX"), model="chgnet-0.3.0", version="0.4.2")
    return message


def rejection(candidate_id: str) -> candidates.CandidateRejection:
    if candidate_id == UNREADABLE:
        return candidates.CandidateRejection(
            stage=_STAGE("CAMPAIGN_STAGE_GENERATE"),
            reason=candidates.REJECTION_REASON_PARSE_FAILURE,
            message="a cell has three lengths",
        )
    return candidates.CandidateRejection(
        stage=_STAGE("CAMPAIGN_STAGE_SCREEN"),
        reason=candidates.REJECTION_REASON_OFF_TARGET,
        message="band gap 0.3 eV, asked for 2 to 6",
    )


def dropped_candidate(candidate_id: str) -> candidates.CampaignCandidate:
    """One that was dropped; text that is no crystal has nothing but that."""
    return candidates.CampaignCandidate(
        id=candidate_id,
        round=2,
        state=candidates.CANDIDATE_STATE_REJECTED,
        rejection=rejection(candidate_id),
        generated=made(candidate_id) if candidate_id == DROPPED else None,
    )


def all_candidates() -> list[candidates.CampaignCandidate]:
    """In the order of the API: the ranked ones first."""
    return [
        ranked_candidate(HIT),
        ranked_candidate(RANKED),
        dropped_candidate(DROPPED),
        dropped_candidate(UNREADABLE),
    ]


def progress(rounds: int) -> campaigns.CampaignProgress:
    """After the first round, or after both."""
    per_round = {
        1: [(20, 20, 0), (1, 1, 0), (1, 1, 0), (1, 1, 0), (1, 1, 0), (1, 1, 0), (1, 1, 0), (1, 1, 0)],
        2: [(20, 20, 0), (4, 3, 1), (3, 3, 0), (3, 2, 1), (2, 2, 0), (2, 2, 0), (2, 2, 0), (2, 2, 0)],
    }
    message = campaigns.CampaignProgress(
        rounds=rounds, hits=1, candidates=1 if rounds == 1 else 4, evaluations=13 * rounds
    )
    message.wall_time.FromSeconds(20 * rounds)
    message.best_candidate_id = HIT
    message.planner_usage.prompt_tokens = 10
    for stage, (entered, passed, rejected) in enumerate(per_round[rounds], start=1):
        entry = message.stages.add(
            stage=stage, entered_count=entered, passed_count=passed, rejected_count=rejected
        )
        entry.busy_time.FromMilliseconds(700 * rounds)
    return message


def finished(
    reason: str = "NO_PROGRESS", *, state: str = "FINISHED", hits: int = 1, why: str = ""
) -> events.CampaignEvent:
    """The end."""
    message = events.CampaignFinished(
        state=runs.RunState.Value(f"RUN_STATE_{state}"),
        stop_reason=campaigns.CampaignStopReason.Value(f"CAMPAIGN_STOP_REASON_{reason}"),
        progress=progress(2),
    )
    message.progress.hits = hits
    if why:
        message.failure.CopyFrom(to_status(UnreachableError(why)))
    return events.CampaignEvent(finished=message)


def whole() -> list[events.CampaignEvent]:
    """All that happens after the campaign was created, to its end."""
    return [*until_the_pause(), *after_the_pause(), finished()]


def until_the_pause() -> list[events.CampaignEvent]:
    """A round with a hit, and a service that goes down."""
    return [
        events.CampaignEvent(started=runs.RunStarted(worker="tests")),
        _planned(1),
        *_way(HIT, 1),
        events.CampaignEvent(candidate_hit=events.CandidateHit(candidate=ranked_candidate(HIT), hits=1)),
        events.CampaignEvent(
            round_finished=events.RoundFinished(round=1, progress=progress(1), improved=True)
        ),
        events.CampaignEvent(
            paused=runs.RunPaused(
                service="relaxation", error=to_status(UnreachableError("connection refused"))
            )
        ),
    ]


def after_the_pause() -> list[events.CampaignEvent]:
    """A round without one."""
    return [
        events.CampaignEvent(resumed=runs.RunResumed(service="relaxation")),
        _planned(2),
        *_way(RANKED, 2),
        *_dropped(),
        events.CampaignEvent(round_finished=events.RoundFinished(round=2, progress=progress(2))),
    ]


def numbered(campaign_id: str, told: Sequence[events.CampaignEvent]) -> Iterator[events.CampaignEvent]:
    """The events with what every event has."""
    for sequence, event in enumerate(told, start=1):
        event.campaign_id, event.sequence = campaign_id, sequence
        event.time.FromSeconds(1_800_000_000 + sequence)
        yield event


def _planned(round_number: int) -> events.CampaignEvent:
    batch = events.PlannedBatch(
        starting_material=_START,
        generator=generation_pb2.GENERATOR_LANGUAGE_MODEL,
        temperature=0.7,
        candidate_count=2,
        edit="replace K",
    )
    call = runs.PlannerCall(planner="bandit", decision="near potassium chloride")
    return events.CampaignEvent(
        planned=events.CampaignPlanned(round=round_number, call=call, batches=[batch])
    )


def _way(candidate_id: str, round_number: int) -> Iterator[events.CampaignEvent]:
    """From its birth to its rank."""
    model = candidates.StageModel(stage=_STAGE("CAMPAIGN_STAGE_RELAX"), model="chgnet-0.3.0")
    yield events.CampaignEvent(
        candidate_generated=events.CandidateGenerated(
            candidate_id=candidate_id,
            round=round_number,
            starting_material=_START,
            generated=made(candidate_id),
        )
    )
    yield events.CampaignEvent(
        candidate_screened=events.CandidateScreened(
            candidate_id=candidate_id,
            screening=prediction_pb2.Prediction(values=[value("band_gap_ev", 4.8, 0.4)]),
        )
    )
    yield events.CampaignEvent(
        stage_started=events.StageStarted(
            stage=_STAGE("CAMPAIGN_STAGE_RELAX"), round=round_number, candidate_count=1
        )
    )
    yield events.CampaignEvent(
        candidate_relaxed=events.CandidateRelaxed(
            candidate_id=candidate_id, relaxation=relaxation(candidate_id), model=model
        )
    )
    yield events.CampaignEvent(
        candidate_scored=events.CandidateScored(
            candidate_id=candidate_id,
            hull_distance=hull_distance(candidate_id),
            properties=values(candidate_id),
        )
    )
    yield events.CampaignEvent(
        candidate_ranked=events.CandidateRanked(
            candidate_id=candidate_id, novelty=novelty(), target_fit=fit(candidate_id)
        )
    )


def _dropped() -> Iterator[events.CampaignEvent]:
    yield events.CampaignEvent(
        candidate_generated=events.CandidateGenerated(candidate_id=DROPPED, round=2, generated=made(DROPPED))
    )
    for candidate_id in (DROPPED, UNREADABLE):
        yield events.CampaignEvent(
            candidate_rejected=events.CandidateRejected(
                candidate_id=candidate_id, rejection=rejection(candidate_id)
            )
        )
