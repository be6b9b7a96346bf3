"""What the trials of a campaign say of every choice: what it pays, what it costs, and how much of it is left.

What a choice pays is taken for a product of what its parts contribute, so that one trial teaches something
of all choices that share a part with it. Repeats (crystals that the campaign or the catalog has) are no
trials of what a choice pays but of how much it has left: the latest ones say how many of its next crystals
will be new.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from math import prod

import numpy as np
import numpy.typing as npt

from crystalmesh.agent.v1.campaign_candidate_pb2 import RejectionReason, StartingMaterial
from crystalmesh.agent.v1.campaign_event_pb2 import PlannedBatch
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.planning.choices import Choice
from crystalmesh_agent.planning.effects import Effects, Part, Prior, Yield
from crystalmesh_agent.planning.planner import Situation, StartingPoint, Trial

FloatArray = npt.NDArray[np.float64]

_NEAR_HIT = 0.2
"""What the best score of a batch without hits is paid, in hits. Before the first hit it is all there is to
learn from, and paid in full."""
_FIRST_PAY = 0.1
"""Per candidate, before anything is known."""
_GENERATOR_PAY = {Generator.GENERATOR_LANGUAGE_MODEL: 0.3}
"""Beside substitution: what the shipped model's share of stable, unique and new crystals is (benchmark
`generation`). A campaign soon learns better."""
_PROMISE_POWER = 2.0
_LEAST_PROMISE = 0.05
_STRENGTHS = {"all": 0.5, "point": 1.0, "elements": 2.0, "generator": 2.0, "temperature": 6.0, "edit": 3.0}
"""How many hits outweigh what is believed at first, by the kind of part."""
_COST_STRENGTH = 4.0
"""How many usual candidates outweigh the belief that all cost the same."""
_FRESH, _KEPT = 3.0, 0.7
"""New crystals that a choice is believed to have made before its first trial, and the weight that a trial
keeps at each later one of the same."""
_REPEATS = (RejectionReason.REJECTION_REASON_DUPLICATE, RejectionReason.REJECTION_REASON_KNOWN)


@dataclass(frozen=True)
class Arm:
    """The parts that beliefs of a choice are made of."""

    paying: Sequence[Part]
    costing: tuple[Part, ...]
    lasting: tuple[Hashable, ...]  # what can be used up: the point by a generator, and also with an edit


Trials = Sequence[tuple[Arm, Trial]]


class Beliefs:
    """What the trials of a situation say of choices."""

    def __init__(self, situation: Situation, choices: Iterable[Choice]) -> None:
        self._points = {_key(point.material): point for point in situation.starting_points}
        promises = [_promise(point) for point in situation.starting_points]
        self._usual_promise = sum(promises) / len(promises) if promises else 1.0
        trials = [
            (_arm(self._choice_of(trial.batch)), trial) for trial in situation.trials if _made(trial) > 0
        ]
        self._pay = Effects(self._pay_prior, _payments(trials))
        arms = [_arm(choice) for choice in choices]
        used, costs = _used(trials), _costs(trials)

        @cache  # what differs by temperature alone has the same worth
        def worth(lasting: tuple[Hashable, ...], costing: tuple[Part, ...]) -> float:
            return _share_left(lasting, used) / prod(costs.means(costing))

        self._worth = np.array([worth(arm.lasting, arm.costing) for arm in arms])
        places: dict[Part, int] = {}
        for part in chain.from_iterable(arm.paying for arm in arms):
            places.setdefault(part, len(places))
        self._parts = list(places)
        self._of_arms = np.array([[places[part] for part in arm.paying] for arm in arms]).T  # (parts, arms)

    def world(self, chance: random.Random) -> FloatArray:
        """A world that the trials allow: what each choice pays in it, for the usual cost of a candidate."""
        return self._pays(self._pay.draws(self._parts, chance))

    def expected(self) -> FloatArray:
        """The same on average."""
        return self._pays(self._pay.means(self._parts))

    def _pays(self, contributions: Sequence[float]) -> FloatArray:
        pays: FloatArray = np.array(contributions)[self._of_arms].prod(axis=0) * self._worth
        return pays

    def _choice_of(self, batch: PlannedBatch) -> Choice:
        point = None
        if batch.HasField("starting_material"):
            # One that is no longer started from still tells of generators, temperatures and edits.
            gone = StartingPoint(batch.starting_material, frozenset(), {}, 0.0)
            point = self._points.get(_key(batch.starting_material), gone)
        temperature = batch.temperature if batch.HasField("temperature") else None
        return Choice(point, batch.generator, temperature, batch.edit)

    def _pay_prior(self, part: Part) -> Prior:
        kind, *rest = part
        strength = _STRENGTHS[kind]
        if kind == "all":
            return Prior(_FIRST_PAY, strength)
        if kind == "generator":
            return Prior(_GENERATOR_PAY.get(rest[0], 1.0), strength)
        point = self._points.get(rest[0]) if kind == "point" else None
        if point is None:
            return Prior(strength=strength)
        return Prior((_promise(point) / self._usual_promise) ** _PROMISE_POWER, strength)


def _arm(choice: Choice) -> Arm:
    point, generator = choice.point, choice.generator
    key = None if point is None else _key(point.material)
    return Arm(
        paying=[
            ("all",),
            ("point", key),
            ("elements", None if point is None else point.elements),
            ("generator", generator),
            ("temperature", generator, choice.temperature),
            ("edit", choice.edit),
        ],
        costing=(("generator", generator), ("point", key)),
        lasting=((key, generator), (key, generator, choice.edit)),
    )


def _payments(trials: Trials) -> Iterable[Yield]:
    """What was paid for candidates that were new."""
    near = _NEAR_HIT if any(trial.hits for _, trial in trials) else 1.0
    for arm, trial in trials:
        yield Yield(arm.paying, trial.hits or near * trial.best_score, _made(trial) - _repeats(trial))


def _costs(trials: Trials) -> Effects:
    """What candidates cost beside the usual one."""
    made = sum(_made(trial) for _, trial in trials)
    usual = sum(trial.cpu_seconds for _, trial in trials) / made if made else 0.0
    return Effects(
        lambda _: Prior(strength=_COST_STRENGTH),
        (Yield(arm.costing, trial.cpu_seconds / usual, _made(trial)) for arm, trial in trials if usual),
    )


def _used(trials: Trials) -> Mapping[Hashable, tuple[float, float]]:
    """Of all that can be used up: how many crystals were new and how many made, the latest counting most."""
    used: dict[Hashable, tuple[float, float]] = {}
    for arm, trial in trials:
        made = _made(trial)
        for key in arm.lasting:
            new_before, made_before = used.get(key, (0.0, 0.0))
            used[key] = _KEPT * new_before + made - _repeats(trial), _KEPT * made_before + made
    return used


def _share_left(lasting: Sequence[Hashable], used: Mapping[Hashable, tuple[float, float]]) -> float:
    """The share of a choice's next crystals that will be new."""
    share = 1.0
    for key in lasting:
        new, made = used.get(key, (0.0, 0.0))
        share = (_FRESH * share + new) / (_FRESH + made)
    return share


def _made(trial: Trial) -> int:
    """How many candidates were tried for; that a service failed says nothing of a choice."""
    failed = trial.rejections.get(RejectionReason.REJECTION_REASON_SERVICE_ERROR, 0)
    return max(trial.candidates, trial.batch.candidate_count) - failed


def _repeats(trial: Trial) -> int:
    return min(_made(trial), sum(trial.rejections.get(reason, 0) for reason in _REPEATS))


def _key(material: StartingMaterial) -> tuple[str, str]:
    return material.catalog, material.material_id


def _promise(point: StartingPoint) -> float:
    return max(_LEAST_PROMISE, point.promise)
