"""A made-up world to plan in: starting points of different worth, and wells of crystals that run dry."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from crystalmesh.agent.v1.campaign_candidate_pb2 import RejectionReason, StartingMaterial
from crystalmesh.agent.v1.campaign_event_pb2 import PlannedBatch
from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.planning.planner import Planner, Situation, StartingPoint, Trial

LANGUAGE_MODEL = Generator.GENERATOR_LANGUAGE_MODEL
SUBSTITUTION = Generator.GENERATOR_IONIC_SUBSTITUTION
ELEMENTS = (3, 8, 11, 12, 15, 16, 17, 19, 20, 26, 35)


def point(number: int, elements: Sequence[int] = (11, 17), promise: float = 0.5) -> StartingPoint:
    """A starting point; equal numbers are the same material."""
    material = StartingMaterial(catalog="some", material_id=f"m-{number}", formula=f"Na{number + 2}Cl")
    return StartingPoint(material, frozenset(elements), {}, promise)


def situation(**parts: object) -> Situation:
    """A first round with three starting points and both generators, but for what is given."""
    usual: dict[str, object] = {
        "spec": CampaignSpec(seed=3),
        "round": 1,
        "candidates_wanted": 12,
        "starting_points": [point(0), point(1, (3, 8)), point(2, (11, 35))],
        "generators": [LANGUAGE_MODEL, SUBSTITUTION],
        "trials": [],
        "hits": 0,
        "planner_tokens_left": 1_000_000,
    }
    return Situation(**(usual | parts))  # type: ignore[arg-type]


@dataclass
class World:
    """Hit rates, costs and wells that planners do not see, drawn by a seed."""

    seed: int
    points: list[StartingPoint] = field(default_factory=list)

    def __post_init__(self) -> None:
        chance = self._chance = random.Random(self.seed)  # noqa: S311 -- no secret
        self._worth: dict[str, float] = {}
        for number in range(24):
            worth = chance.lognormvariate(0, 1.2)
            promise = min(1.0, max(0.0, 0.5 + 0.1 * (worth - 1) + chance.gauss(0, 0.15)))
            self.points.append(point(number, chance.sample(ELEMENTS, 2), promise))
            self._worth[f"m-{number}"] = worth
        better, worse = chance.sample([LANGUAGE_MODEL, SUBSTITUTION], 2)
        self._generator = {better: 1.0, worse: 0.3}
        self._edits = {element: chance.lognormvariate(-0.5, 0.7) for element in ELEMENTS}
        self._best_temperature = chance.choice((0.7, 0.9, 1.1))
        self._drawn: Counter[object] = Counter()

    def trial(self, batch: PlannedBatch) -> Trial:
        """What comes of a batch."""
        hits = repeats = 0
        seconds = 0.0
        material = batch.starting_material.material_id
        well = (material, batch.generator, batch.edit)
        dear = 1.5 if batch.generator == LANGUAGE_MODEL else 0.7
        rate = 0.04 * self._worth[material] * self._generator[batch.generator]
        if batch.edit:
            rate *= self._edits[_element(batch.edit)]
        if batch.HasField("temperature"):
            rate *= 1.0 if batch.temperature == self._best_temperature else 0.6
        for _ in range(batch.candidate_count):
            if self._chance.random() < self._drawn[well] / (self._drawn[well] + 8):
                repeats += 1
                seconds += 0.2 * dear
                continue
            self._drawn[well] += 1
            hits += self._chance.random() < min(0.6, rate)
            seconds += dear * self._chance.uniform(0.7, 1.3)
        return Trial(
            batch=batch,
            candidates=batch.candidate_count,
            ranked=batch.candidate_count - repeats,
            hits=hits,
            best_score=0.9 if hits else min(0.45, rate * self._chance.uniform(0, 2)),
            cpu_seconds=seconds,
            rejections={RejectionReason.REJECTION_REASON_DUPLICATE: repeats} if repeats else {},
        )

    async def trials(
        self, planner: Planner, *, seed: int, rounds: int = 1000, cpu_seconds: float = float("inf")
    ) -> list[Trial]:
        """What a planner brings in so many rounds, or before the time is spent."""
        done: list[Trial] = []
        for number in range(1, rounds + 1):
            plan = await planner.plan(
                situation(
                    spec=CampaignSpec(seed=seed),
                    round=number,
                    starting_points=self.points,
                    trials=list(done),
                    hits=sum(trial.hits for trial in done),
                )
            )
            for trial in map(self.trial, plan.batches):
                done.append(trial)
                if sum(each.cpu_seconds for each in done) > cpu_seconds:
                    return done
        return done


def _element(edit: str) -> int:
    from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS

    return ATOMIC_NUMBERS[edit.removeprefix("replace ")]
