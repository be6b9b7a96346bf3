"""The planner that learns nothing: what planning is worth is told by leaving it out."""

from __future__ import annotations

from crystalmesh.agent.v1.run_pb2 import PlannerCall
from crystalmesh_agent.planning.choices import (
    Choice,
    batches_of,
    draws,
    edits_of,
    shares,
    summary,
    temperatures_of,
    usable_generators,
)
from crystalmesh_agent.planning.planner import Plan, Situation

UNIFORM = "uniform"


class Uniform:
    """Draws starting point, generator, edit and temperature of each batch evenly, whatever trials say."""

    @property
    def name(self) -> str:
        return UNIFORM

    async def plan(self, situation: Situation) -> Plan:
        """What the round makes. Raises InvalidFieldError where no generator can make anything."""
        generators = usable_generators(situation)
        counts = shares(situation)
        chance = draws(situation, UNIFORM)

        def draw() -> Choice:
            point = chance.choice(situation.starting_points) if situation.starting_points else None
            generator = chance.choice(generators)
            edit = chance.choice(edits_of(point, situation.spec.target))
            return Choice(point, generator, chance.choice(temperatures_of(generator)), edit)

        batches = batches_of([draw() for _ in counts], counts)
        call = PlannerCall(planner=UNIFORM, decision=summary(batches), rationale="All is drawn evenly.")
        return Plan(call, batches)
