"""A predictor as seen from the service: started, asked, and started again when it dies."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import structlog

from crystalmesh_common.runtime.errors import ModelFailedError
from crystalmesh_property.convert import Outcome
from crystalmesh_property.serving.prediction import LoadedModel
from crystalmesh_property.serving.predictors import messages
from crystalmesh_property.serving.predictors.messages import Batch, Kind, Start

_log = structlog.get_logger(__name__)


class PredictorLostError(ModelFailedError):
    """The process died over a batch: killed, out of memory, or crashed by a crystal."""


class PredictorProcess:
    """A process that predicts for batches, one at a time. For one thread at a time."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None

    def load(self) -> list[LoadedModel]:
        """Start it and wait until it has loaded its models; raises what kept it from starting."""
        threads = str(self._start.threads)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "crystalmesh_property.serving.predictors"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Matrices of a graph are 3 by 3; threads of numpy's linear algebra would only spin.
            env={
                **os.environ,
                "OMP_NUM_THREADS": threads,
                "MKL_NUM_THREADS": threads,
                "OPENBLAS_NUM_THREADS": "1",
            },
            # Not in the terminal's group: the service drains after Ctrl-C, and needs it for that.
            start_new_session=True,
        )
        self._send(Kind.START, messages.start_to_bytes(self._start))
        kind, body = self._receive()
        if kind is Kind.FAILED:
            self.close()
            raise messages.error_from_bytes(body)
        return messages.models_from_bytes(body)

    def predict(self, batch: Batch) -> list[Outcome]:
        """One outcome per crystal, in order.

        When the process dies, the next batch is given to a new one. A single crystal is tried twice; for a
        larger batch, PredictorLostError is raised at once, so that its crystals can be tried one by one.
        """
        try:
            return self._predict(batch)
        except PredictorLostError:
            if len(batch.crystals) > 1:
                raise
        try:
            return self._predict(batch)
        except PredictorLostError:
            raise PredictorLostError(
                "the process that runs the model died over this crystal, twice; more of it is in the log"
            ) from None

    def close(self) -> None:
        """End it; it finishes the batch that it has."""
        if self._process is not None:
            self._ended(self._process)

    def _predict(self, batch: Batch) -> list[Outcome]:
        if self._process is None:
            self.load()
        self._send(Kind.BATCH, messages.batch_to_bytes(batch))
        outcomes: list[Outcome] = []
        for _ in batch.crystals:
            kind, body = self._receive()
            if kind is Kind.FAILED:
                raise messages.error_from_bytes(body)
            outcomes.append(messages.outcome_from_bytes(body))
        return outcomes

    def _send(self, kind: Kind, body: bytes) -> None:
        process = self._running()
        assert process.stdin is not None  # noqa: S101 -- we asked for a pipe
        try:
            messages.write(process.stdin, (kind, body))
        except BrokenPipeError:
            raise self._lost() from None

    def _receive(self) -> tuple[Kind, bytes]:
        process = self._running()
        assert process.stdout is not None  # noqa: S101 -- we asked for a pipe
        try:
            return messages.read(process.stdout)
        except EOFError:
            raise self._lost() from None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise PredictorLostError("the process that runs the model was closed")
        return self._process

    def _lost(self) -> PredictorLostError:
        process = self._running()
        status = self._ended(process)
        _log.error("predictor_lost", pid=process.pid, status=status)
        return PredictorLostError(f"the process that runs the model died (status {status})")

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        """Close the pipes to it, which ends it, and wait for that; its exit status."""
        self._process = None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what it did not read any more
                    pipe.close()
        return process.wait()
