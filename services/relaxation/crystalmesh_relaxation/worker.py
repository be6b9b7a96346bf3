"""Potentials as the runner's worker: evaluations, and tasks of many evaluations, in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError, ModelFailedError
from crystalmesh_common.runtime.runner import Answer, Finished, Unfinished
from crystalmesh_relaxation.engine import Evaluation, Network, PotentialInfo, Quantity, estimated_edges
from crystalmesh_relaxation.evaluators.messages import Batch
from crystalmesh_relaxation.evaluators.process import EvaluatorProcess
from crystalmesh_relaxation.procedure import Task

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WorkKey:
    """What items must have in common to share a batch."""

    model: str
    network: Network
    quantities: frozenset[Quantity]


Item = Crystal | Task[object]


class PotentialWorker:
    """Evaluates crystals, and takes tasks one step further."""

    def __init__(self, evaluator: EvaluatorProcess, potentials: Sequence[PotentialInfo]) -> None:
        self._evaluator = evaluator
        # The widest, so that no network's batch is larger than it seems.
        self._cutoff_angstrom = max(info.cutoff_angstrom for info in potentials)

    def cost(self, item: Item) -> float:
        return estimated_edges(_crystal(item), self._cutoff_angstrom)

    def run(self, key: WorkKey, items: Sequence[Item]) -> Sequence[Answer[object]]:
        crystals = [_crystal(item) for item in items]
        outcomes = self._evaluator.evaluate(Batch(key.model, key.network, key.quantities, crystals))
        return [answer(item, outcome) for item, outcome in zip(items, outcomes, strict=True)]

    def close(self) -> None:
        self._evaluator.close()


def _crystal(item: Item) -> Crystal:
    return item if isinstance(item, Crystal) else item.crystal


def answer(item: Item, outcome: Evaluation | CrystalMeshError) -> Answer[object]:
    if isinstance(item, Crystal):
        return outcome
    try:
        result = item.advance(outcome)
    except Exception as error:  # noqa: BLE001 -- raised, it would run the batch again, and tasks remember
        _log.error("task_failed", exc_info=error)
        return ModelFailedError("working on this crystal failed; the operator finds the cause in the log")
    frames = item.take_frames()
    return Unfinished(frames) if result is None else Finished(result, frames)
