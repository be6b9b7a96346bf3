"""What planned batches brought; the cost is counted in work, not in time, so that it repeats."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState
from crystalmesh.agent.v1.campaign_event_pb2 import CampaignPlanned
from crystalmesh_agent.campaigns.starting_points import is_ranked
from crystalmesh_agent.planning.planner import Trial

# CPU seconds, measured on a core of 2020's servers; what matters are their ratios.
_GENERATING = 0.3
_SCREENING = 0.02
_RELAXING_AN_ATOM_BY_A_STEP = 0.0008
_SCORING = 0.1


def prompt_id_of(round_number: int, batch: int, sample: int) -> str:
    """The name of the prompt for a sample of a batch."""
    return f"{round_number}.{batch}.{sample}"


def batch_of(candidate: CampaignCandidate) -> int:
    """The batch of its round that a candidate was planned in."""
    prompt_id, _, _ = candidate.generated.crystal.id.rpartition("-")
    return int(prompt_id.split(".")[1])


def place_of(prompt_id: str) -> tuple[int, int]:
    """Batch and sample of a prompt: the order within a round."""
    _, batch, sample = prompt_id.split(".")
    return int(batch), int(sample)


def cpu_seconds_of(candidate: CampaignCandidate) -> float:
    """About how long a candidate has kept a core busy."""
    seconds = _GENERATING
    if candidate.HasField("screening"):
        seconds += _SCREENING
    if candidate.HasField("relaxation"):
        evaluations = candidate.relaxation.steps + 1
        atoms = len(candidate.relaxation.crystal.atomic_numbers)
        seconds += _RELAXING_AN_ATOM_BY_A_STEP * atoms * evaluations
    if candidate.HasField("hull_distance"):
        seconds += _SCORING
    return seconds


def trials(
    planned: Mapping[int, CampaignPlanned], candidates: Iterable[CampaignCandidate], settled: Iterable[int]
) -> list[Trial]:
    """The batches of settled rounds in order, each with what it brought."""
    made: dict[tuple[int, int], list[CampaignCandidate]] = defaultdict(list)
    for candidate in candidates:
        if candidate.round:
            made[candidate.round, batch_of(candidate)].append(candidate)
    return [
        _trial(planned[number], position, made[number, position])
        for number in sorted(settled)
        for position in range(len(planned[number].batches))
    ]


def _trial(planned: CampaignPlanned, position: int, made: Sequence[CampaignCandidate]) -> Trial:
    ranked = [candidate for candidate in made if is_ranked(candidate)]
    wanted = planned.batches[position].candidate_count  # what came to nothing cost as much
    return Trial(
        batch=planned.batches[position],
        candidates=len(made),
        ranked=len(ranked),
        hits=sum(candidate.state == CandidateState.CANDIDATE_STATE_HIT for candidate in made),
        best_score=max((candidate.target_fit.score for candidate in ranked), default=0.0),
        cpu_seconds=sum(map(cpu_seconds_of, made)) + _GENERATING * max(0, wanted - len(made)),
        rejections=Counter(
            candidate.rejection.reason for candidate in made if candidate.HasField("rejection")
        ),
    )
