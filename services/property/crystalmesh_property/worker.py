"""Predictors as the runner's worker: the crystals of all callers who ask for the same, in one batch."""

from __future__ import annotations

from collections.abc import Sequence

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.property.v1.prediction_pb2 import Prediction
from crystalmesh_common.runtime.runner import Answer, Runner
from crystalmesh_property.serving.prediction import Plan
from crystalmesh_property.serving.predictors.messages import Batch
from crystalmesh_property.serving.predictors.process import PredictorProcess

CHARACTERS_PER_ATOM = 60.0
"""About, in text that lists atoms; only the size of batches depends on it."""

PredictionRunner = Runner[Plan, CrystalInput, Prediction]


class PredictionWorker:
    """Gives crystals as they came to a process, which reads, checks and predicts; None without models."""

    def __init__(self, process: PredictorProcess | None) -> None:
        self._process = process

    def cost(self, item: CrystalInput) -> float:
        """Atoms, about."""
        characters = len(item.cif_text) + len(item.poscar_text)
        return max(1.0, len(item.crystal.atomic_numbers) + characters / CHARACTERS_PER_ATOM)

    def run(self, key: Plan, items: Sequence[CrystalInput]) -> Sequence[Answer[Prediction]]:
        if self._process is None:
            raise RuntimeError("there are no models, so no plan was made")
        return self._process.predict(Batch(key, items))

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
