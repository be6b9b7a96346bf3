"""Campaigns: searches for materials that live on the server, and how far they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from google.protobuf.timestamp_pb2 import Timestamp

from crystalmesh.agent.v1 import campaign_pb2, run_pb2
from crystalmesh_client.campaign_candidates import CampaignCandidate, StageName, stage_name
from crystalmesh_client.campaign_specs import CampaignSpec, campaign_spec_from, seconds_of
from crystalmesh_client.json_forms import fields_form, json_form
from crystalmesh_client.notebook import html_grid, html_table
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.statuses import from_status

RunStateName = Literal["unspecified", "queued", "running", "paused", "finished", "cancelled", "failed"]
"""Where a campaign is in its life; "paused": it waits for a service, and goes on by itself."""

StopReasonName = Literal[
    "unspecified",
    "hits",
    "candidate_budget",
    "time_budget",
    "evaluation_budget",
    "no_progress",
    "cancelled",
    "failed",
]
"""Why a campaign ended; "hits": enough of them."""

_STATES: Mapping[int, RunStateName] = {
    run_pb2.RunState.Value(f"RUN_STATE_{name.upper()}"): name for name in get_args(RunStateName)
}
_STATE_NUMBERS = {name: number for number, name in _STATES.items()}
_STOP_REASONS: Mapping[int, StopReasonName] = {
    campaign_pb2.CampaignStopReason.Value(f"CAMPAIGN_STOP_REASON_{name.upper()}"): name
    for name in get_args(StopReasonName)
}
_ENDINGS: Mapping[StopReasonName, str] = {
    "hits": "enough hits were found",
    "candidate_budget": "all candidates of the budget were generated",
    "time_budget": "the time of the budget is over",
    "evaluation_budget": "all evaluations of the budget were made",
    "no_progress": "too many rounds in a row improved nothing",
    "cancelled": "it was cancelled",
    "failed": "it could not go on",
}
_ENDED = ("finished", "cancelled", "failed")


@dataclass(frozen=True)
class Pause:
    """What a campaign waits for."""

    service: str  # "relaxation"
    error: CrystalMeshError | None  # what it answered last
    message: run_pb2.RunPaused = field(repr=False, compare=False)


@dataclass(frozen=True)
class TokenUsage:
    """What calls of a language model took."""

    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None  # None: the server knows no price


@dataclass(frozen=True)
class StageProgress:
    """The candidates of one stage; of "retrieve", materials."""

    stage: StageName
    entered: int
    passed: int
    rejected: int
    busy_seconds: float

    @property
    def waiting(self) -> int:
        """Those that are in it now."""
        return self.entered - self.passed - self.rejected

    @property
    def yield_fraction(self) -> float | None:
        """How many of those that left it went on; None while none has left it."""
        left = self.passed + self.rejected
        return self.passed / left if left else None


@dataclass(frozen=True)
class CampaignProgress:
    """How far a campaign is."""

    rounds: int
    stages: tuple[StageProgress, ...]  # the funnel, in order
    hits: int
    candidates: int  # generated
    evaluations: int  # of the potential
    seconds: float  # at work
    planner_usage: TokenUsage
    best_candidate_id: str  # empty: none is ranked

    @property
    def funnel(self) -> str:
        """How many came through each stage: "generate 40 › validate 31 › …"."""
        return " › ".join(f"{each.stage} {each.passed}" for each in self.stages if each.entered)


@dataclass(frozen=True, eq=False)
class Campaign:
    """One search for materials, as it was when the server answered."""

    id: str
    spec: CampaignSpec = field(repr=False)
    state: RunStateName
    stop_reason: StopReasonName  # "unspecified" while it has not ended
    failure: CrystalMeshError | None  # why it could not go on, when "failed"
    pause: Pause | None  # what it waits for, when "paused"
    progress: CampaignProgress = field(repr=False)
    last_sequence: int  # of its last event
    created: datetime | None = field(repr=False)
    started: datetime | None = field(repr=False)  # None: work has not begun
    ended: datetime | None = field(repr=False)  # None: not yet
    message: campaign_pb2.Campaign = field(repr=False)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.spec.name

    @property
    def has_ended(self) -> bool:
        """Whether nothing will happen any more."""
        return self.state in _ENDED

    @property
    def hits(self) -> int:
        """Hits so far."""
        return self.progress.hits

    @property
    def standing(self) -> str:
        """Where it is, in words: "paused, waits for relaxation", "finished: enough hits were found"."""
        if self.state == "paused" and self.pause is not None:
            why = "" if self.pause.error is None else f" ({self.pause.error})"
            return f"paused, waits for {self.pause.service}{why}"
        return ending(self.state, self.stop_reason, self.failure)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return fields_form(self)

    def _repr_html_(self) -> str:
        progress = self.progress
        rows = [
            ("campaign", self.id),
            ("looks for", self.name),
            ("state", self.standing),
            ("hits", f"{progress.hits} of {self.spec.hits}"),
            ("candidates", f"{progress.candidates:,} in {progress.rounds} rounds"),
            ("at work", f"{progress.seconds:.0f} s, {progress.evaluations:,} evaluations"),
        ]
        stages = [
            (each.stage, str(each.entered), str(each.passed), str(each.rejected), percent(each))
            for each in progress.stages
        ]
        return html_table(*rows) + html_grid(("stage", "entered", "passed", "rejected", "yield"), stages)


@dataclass(frozen=True, eq=False)
class CampaignResults:
    """A campaign and its ranked candidates, hits first. Iterates over them."""

    campaign: Campaign
    candidates: tuple[CampaignCandidate, ...]  # by rank

    @property
    def hits(self) -> list[CampaignCandidate]:
        """The candidates that fulfil all that was asked."""
        return [each for each in self.candidates if each.is_hit]

    @property
    def pareto_front(self) -> list[CampaignCandidate]:
        """Those that no other is better than in one wish without being worse in another."""
        return [each for each in self.candidates if each.on_pareto_front]

    def __len__(self) -> int:
        return len(self.candidates)

    def __getitem__(self, position: int) -> CampaignCandidate:
        return self.candidates[position]

    def __iter__(self) -> Iterator[CampaignCandidate]:
        return iter(self.candidates)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {"campaign": self.campaign.to_dict(), "candidates": json_form(self.candidates)}

    def _repr_html_(self) -> str:
        head = ("rank", "candidate", "formula", "hit", "score", "above hull eV/atom")
        rows = [
            (
                str(each.rank),
                each.id,
                each.formula,
                "yes" if each.is_hit else "",
                "" if each.target_fit is None else f"{each.target_fit.score:.3f}",
                each.known("energy_above_hull_ev_per_atom"),
            )
            for each in self
        ]
        return self.campaign._repr_html_() + html_grid(head, rows)


def ending(state: RunStateName, stop_reason: StopReasonName, failure: CrystalMeshError | None) -> str:
    """A state with its reason, in words."""
    if stop_reason == "unspecified":
        return state
    why = _ENDINGS[stop_reason] if failure is None else str(failure)
    return "cancelled" if state == "cancelled" else f"{state}: {why}"


def percent(stage: StageProgress) -> str:
    """The yield of a stage for people; empty while there is none."""
    return "" if stage.yield_fraction is None else f"{100 * stage.yield_fraction:.0f}%"


def campaign_from(message: campaign_pb2.Campaign) -> Campaign:
    """The typed form of a message."""
    return Campaign(
        id=message.id,
        spec=campaign_spec_from(message.spec),
        state=state_name(message.state),
        stop_reason=stop_reason_name(message.stop_reason),
        failure=from_status(message.failure) if message.HasField("failure") else None,
        pause=pause_from(message.pause) if message.HasField("pause") else None,
        progress=progress_from(message.progress),
        last_sequence=message.last_sequence,
        created=moment(message.create_time) if message.HasField("create_time") else None,
        started=moment(message.start_time) if message.HasField("start_time") else None,
        ended=moment(message.end_time) if message.HasField("end_time") else None,
        message=message,
    )


def progress_from(message: campaign_pb2.CampaignProgress) -> CampaignProgress:
    """The typed form of a message."""
    return CampaignProgress(
        rounds=message.rounds,
        stages=tuple(
            StageProgress(
                stage=stage_name(each.stage),
                entered=each.entered_count,
                passed=each.passed_count,
                rejected=each.rejected_count,
                busy_seconds=seconds_of(each.busy_time),
            )
            for each in message.stages
        ),
        hits=message.hits,
        candidates=message.candidates,
        evaluations=message.evaluations,
        seconds=seconds_of(message.wall_time),
        planner_usage=usage_from(message.planner_usage),
        best_candidate_id=message.best_candidate_id,
    )


def pause_from(message: run_pb2.RunPaused) -> Pause:
    """The typed form of a message."""
    return Pause(message.service, from_status(message.error) if message.HasField("error") else None, message)


def usage_from(message: run_pb2.TokenUsage) -> TokenUsage:
    """The typed form of a message."""
    cost = message.cost_usd if message.HasField("cost_usd") else None
    return TokenUsage(message.prompt_tokens, message.completion_tokens, cost)


def state_name(number: int) -> RunStateName:
    """The name of a state; "unspecified" for one that this client does not know."""
    return _STATES.get(number, "unspecified")


def state_number(name: str) -> run_pb2.RunState.ValueType | None:
    """The enum value of a state; None for a name that is none."""
    number = _STATE_NUMBERS.get(name)  # type: ignore[call-overload]  # perhaps any text
    return None if number is None else run_pb2.RunState.ValueType(number)


def stop_reason_name(number: int) -> StopReasonName:
    """The name of a reason; "unspecified" for one that this client does not know."""
    return _STOP_REASONS.get(number, "unspecified")


def moment(message: Timestamp) -> datetime:
    """A time by the server's clock, in UTC."""
    return message.ToDatetime(UTC)
