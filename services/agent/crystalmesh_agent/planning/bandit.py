"""The built-in planner: a bandit that is paid in hits per CPU second."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from crystalmesh.agent.v1.run_pb2 import PlannerCall
from crystalmesh_agent.planning.beliefs import Beliefs
from crystalmesh_agent.planning.choices import (
    Choice,
    batches_of,
    choices,
    draws,
    generator_name,
    shares,
    summary,
)
from crystalmesh_agent.planning.planner import Plan, Situation

BANDIT = "bandit"

_SHARE_OF_A_POINT = 3
"""One batch in so many of a round starts from the same point, at most, where there are points enough."""
_TOLD = 3


class Bandit:
    """Finds out by trying what brings hits soon.

    Thompson sampling: for each batch a world is drawn that the trials allow, and the choice that pays best in
    it is taken. While little is known, worlds differ and so do the choices.
    """

    @property
    def name(self) -> str:
        return BANDIT

    async def plan(self, situation: Situation) -> Plan:
        """What the round makes. Raises InvalidFieldError where no generator can make anything."""
        return await asyncio.to_thread(_plan, situation)  # late in a long campaign it takes a while


def _plan(situation: Situation) -> Plan:
    arms = list(choices(situation))
    beliefs = Beliefs(situation, arms)
    counts = shares(situation)
    batches = batches_of(_chosen(arms, beliefs, situation, len(counts)), counts)
    call = PlannerCall(planner=BANDIT, decision=summary(batches), rationale=_reasons(arms, beliefs))
    return Plan(call, batches)


def _chosen(arms: Sequence[Choice], beliefs: Beliefs, situation: Situation, batches: int) -> Sequence[Choice]:
    """A choice for each batch, none twice while there are others, and not all from one starting point."""
    chance = draws(situation, BANDIT)
    points = len(situation.starting_points) or 1
    most = max(-(-batches // points), -(-batches // _SHARE_OF_A_POINT))
    taken: Counter[int] = Counter()
    open_to_choice = np.ones(len(arms), dtype=bool)
    chosen: list[Choice] = []
    for _ in range(batches):
        if not open_to_choice.any():
            open_to_choice[:] = True
        best = int(np.where(open_to_choice, beliefs.world(chance), -1.0).argmax())
        chosen.append(arms[best])
        open_to_choice[best] = False
        point = id(arms[best].point)
        taken[point] += 1
        if taken[point] >= most:
            open_to_choice &= [id(arm.point) != point for arm in arms]
    return chosen


def _reasons(arms: Sequence[Choice], beliefs: Beliefs) -> str:
    """What is believed of generators and starting points, in words."""
    generators: dict[str, float] = {}
    points: dict[str, float] = {}
    for arm, pay in zip(arms, beliefs.expected().tolist(), strict=True):
        generator = generator_name(arm.generator).replace("_", " ")
        generators[generator] = max(pay, generators.get(generator, 0.0))
        if arm.point is not None:
            formula = arm.point.material.formula
            points[formula] = max(pay, points.get(formula, 0.0))
    said = f"Hits and near-hits expected of 100 candidates, at best: {_ranked(generators)}."
    return f"{said} Best starting points: {_ranked(points)}." if points else said


def _ranked(pays: Mapping[str, float]) -> str:
    best = sorted(pays.items(), key=lambda each: (-each[1], each[0]))[:_TOLD]
    return ", ".join(f"{name} {100 * pay:.2g}" for name, pay in best)
