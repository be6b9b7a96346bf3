"""A predictor as seen from the service."""

from __future__ import annotations

from crystalmesh_common.runtime.children.process import ChildProcess
from crystalmesh_property.convert import Outcome
from crystalmesh_property.serving.prediction import LoadedModel
from crystalmesh_property.serving.predictors import messages
from crystalmesh_property.serving.predictors.messages import Batch, Start


class PredictorProcess(ChildProcess):
    """A process that predicts for batches, one at a time. For one thread at a time."""

    module = "crystalmesh_property.serving.predictors"
    name = "predictor"

    def __init__(self, start: Start) -> None:
        threads = str(start.threads)
        # Matrices of a graph are 3 by 3; threads of numpy's linear algebra would only spin.
        alone = {"OPENBLAS_NUM_THREADS": "1"}
        super().__init__(
            messages.start_to_bytes(start),
            {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, **alone},
        )

    def load(self) -> list[LoadedModel]:
        """Start it and wait until it has loaded its models; raises what kept it from starting."""
        return messages.models_from_bytes(self._start())

    def predict(self, batch: Batch) -> list[Outcome]:
        """One outcome per crystal, in order; raises ChildLostError as `ChildProcess` does."""
        bodies = self._outcomes(messages.batch_to_bytes(batch), len(batch.crystals))
        return [messages.outcome_from_bytes(body) for body in bodies]
