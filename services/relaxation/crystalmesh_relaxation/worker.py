"""Potentials as the runner's worker: evaluations and relaxations in one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.runner import Unfinished
from crystalmesh_relaxation.engine import Evaluation, Network, Potential, Quantity
from crystalmesh_relaxation.relaxing.task import Frame, Relaxation, RelaxationTask


@dataclass(frozen=True)
class WorkKey:
    """What items must have in common to share a batch."""

    network: Network
    quantities: frozenset[Quantity]


Item = Crystal | RelaxationTask
Outcome = Evaluation | Frame | Relaxation
Answer = Outcome | CrystalMeshError | Unfinished[Outcome]


class PotentialWorker:
    """Evaluates crystals, and takes relaxations one step further."""

    def __init__(self, potentials: Mapping[Network, Potential]) -> None:
        self._potentials = potentials

    def cost(self, item: Item) -> float:
        return self._potentials[Network.FAST].cost(_crystal(item))

    def run(self, key: WorkKey, items: Sequence[Item]) -> Sequence[Answer]:
        crystals = [_crystal(item) for item in items]
        outcomes = self._potentials[key.network].evaluate(crystals, key.quantities)
        return [_answer(item, outcome) for item, outcome in zip(items, outcomes, strict=True)]


def _crystal(item: Item) -> Crystal:
    return item.crystal if isinstance(item, RelaxationTask) else item


def _answer(item: Item, outcome: Evaluation | CrystalMeshError) -> Answer:
    if not isinstance(item, RelaxationTask):
        return outcome
    result = item.advance(outcome)
    return Unfinished(item.take_frames()) if result is None else result
