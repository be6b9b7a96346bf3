"""What a planner is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from crystalmesh.agent.v1.campaign_candidate_pb2 import RejectionReason, StartingMaterial
from crystalmesh.agent.v1.campaign_event_pb2 import PlannedBatch
from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec
from crystalmesh.agent.v1.run_pb2 import PlannerCall
from crystalmesh.crystal.v1.property_pb2 import Property
from crystalmesh.generation.v1.generation_pb2 import Generator


@dataclass(frozen=True)
class StartingPoint:
    """A crystal that new ones may start from."""

    material: StartingMaterial
    elements: frozenset[int]  # atomic numbers
    values: Mapping[Property.ValueType, float]  # what is known of it
    promise: float  # before anything is tried, in [0, 1]: similarity in the retrieval, or a candidate's score


@dataclass(frozen=True)
class Trial:
    """A planned batch and what came of it."""

    batch: PlannedBatch
    candidates: int  # that were made
    ranked: int  # that came through all stages
    hits: int
    best_score: float  # 0 where none was ranked
    cpu_seconds: float  # a deterministic estimate
    rejections: Mapping[RejectionReason.ValueType, int]


@dataclass(frozen=True)
class Situation:
    """Where a campaign is before a round. The same one is planned for in the same way."""

    spec: CampaignSpec
    round: int
    candidates_wanted: int  # of this round
    starting_points: Sequence[StartingPoint]
    generators: Sequence[Generator.ValueType]  # that are served
    trials: Sequence[Trial]  # of settled rounds, in order
    hits: int
    planner_tokens_left: int


@dataclass(frozen=True)
class Plan:
    """What a round makes. The counts of the batches add up to what is wanted; no batches: stop."""

    call: PlannerCall
    batches: Sequence[PlannedBatch]


class Planner(Protocol):
    """Decides what each round of a campaign makes."""

    @property
    def name(self) -> str:
        """As specs name it."""

    async def plan(self, situation: Situation) -> Plan:
        """What the round makes. Raises InvalidFieldError where no generator can make anything."""
