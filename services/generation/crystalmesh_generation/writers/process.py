"""A writer as seen from the service."""

from __future__ import annotations

from crystalmesh_common.runtime.children.process import ChildProcess
from crystalmesh_generation.serving.models import ModelFacts
from crystalmesh_generation.writers import messages
from crystalmesh_generation.writers.messages import Batch, Outcome, Start


class WriterProcess(ChildProcess):
    """A process that writes samples, a slice at a time. For one thread at a time."""

    module = "crystalmesh_generation.writers"
    name = "writer"

    def __init__(self, start: Start) -> None:
        threads = str(start.threads)
        # Cells are 3 by 3; threads of numpy's linear algebra would only spin.
        alone = {"OPENBLAS_NUM_THREADS": "1"}
        super().__init__(
            messages.start_to_bytes(start),
            {
                "OMP_NUM_THREADS": threads,
                "MKL_NUM_THREADS": threads,
                "TOKENIZERS_PARALLELISM": "false",
                **alone,
            },
        )

    def load(self) -> list[ModelFacts]:
        """Start it and wait until it has loaded its models; raises what kept it from starting."""
        return messages.models_from_bytes(self._start())

    def work(self, batch: Batch) -> list[Outcome]:
        """What has come of each sample of a batch in one slice, in order.

        Raises ChildLostError when the process dies, with all that it had; the next batch gets a new one.
        """
        bodies = self._asked(messages.batch_to_bytes(batch), len(batch.keys))
        return [messages.outcome_from_bytes(body) for body in bodies]
