"""An evaluator as seen from the service."""

from __future__ import annotations

from crystalmesh_common.runtime.children.process import ChildProcess
from crystalmesh_relaxation.engine import PotentialInfo
from crystalmesh_relaxation.evaluators import messages
from crystalmesh_relaxation.evaluators.messages import Batch, Outcome, Start


class EvaluatorProcess(ChildProcess):
    """A process that evaluates batches, one at a time. For one thread at a time."""

    module = "crystalmesh_relaxation.evaluators"
    name = "evaluator"

    def __init__(self, start: Start) -> None:
        threads = str(start.threads)
        super().__init__(
            messages.start_to_bytes(start), {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        )

    def load(self) -> list[PotentialInfo]:
        """Start it and wait until it has loaded its potentials; raises what loading raised."""
        return messages.infos_from_bytes(self._start())

    def evaluate(self, batch: Batch) -> list[Outcome]:
        """One outcome per crystal, in order; raises ChildLostError as `ChildProcess` does."""
        bodies = self._outcomes(messages.batch_to_bytes(batch), len(batch.crystals))
        return [
            messages.outcome_from_bytes(body, len(crystal))
            for body, crystal in zip(bodies, batch.crystals, strict=True)
        ]
