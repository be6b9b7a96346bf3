"""`python -m crystalmesh_relaxation.evaluators`: evaluate what comes on standard input, until it ends."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import IO

import structlog

from crystalmesh_common.runtime.errors import CrystalMeshError, ModelFailedError, OutOfMemoryError
from crystalmesh_common.runtime.logs import configure_logs
from crystalmesh_relaxation import engines
from crystalmesh_relaxation.engine import Network
from crystalmesh_relaxation.engines.model_files import ModelFiles
from crystalmesh_relaxation.engines.specs import parse_spec
from crystalmesh_relaxation.evaluators import messages
from crystalmesh_relaxation.evaluators.messages import Kind

_log = structlog.get_logger(__name__)


def main() -> int:
    """0 once the service has closed the pipe, 1 when the potentials could not be loaded."""
    # The service decides when we end; a Ctrl-C in its terminal is meant for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    incoming, outgoing = sys.stdin.buffer, _claim_standard_output()
    try:
        _, body = messages.read(incoming)
        start = messages.start_from_bytes(body)
        configure_logs(start.service, level=start.log_level, form=start.log_format)
        try:
            loaded = _load(start)
        except Exception as error:  # noqa: BLE001 -- whatever a model raises, the service is told
            _log.error("model_not_loaded", exc_info=error)
            messages.write(outgoing, Kind.FAILED, messages.error_to_bytes(_loading_error(error)))
            return 1
        infos = [networks[Network.REFERENCE].info for networks in loaded.values()]
        messages.write(outgoing, Kind.LOADED, messages.infos_to_bytes(infos))
        while True:
            _, body = messages.read(incoming)
            _answer(outgoing, loaded, messages.batch_from_bytes(body))
    except (EOFError, BrokenPipeError):
        return 0


def _claim_standard_output() -> IO[bytes]:
    """A pipe to the service that nobody else writes to: what libraries print goes to the log instead."""
    own = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return os.fdopen(own, "wb")


def _load(start: messages.Start) -> dict[str, engines.Networks]:
    import torch  # noqa: PLC0415 -- seconds; the pipe is ours before

    torch.set_num_threads(start.threads)
    files = ModelFiles(Path(start.model_folder), allow_downloads=start.allow_downloads)
    return dict(engines.load([parse_spec(text) for text in start.models], start.device, files))


def _loading_error(error: Exception) -> CrystalMeshError:
    if isinstance(error, CrystalMeshError):
        return error
    return ModelFailedError(f"the potential could not be loaded: {error}")


def _answer(outgoing: IO[bytes], loaded: dict[str, engines.Networks], batch: messages.Batch) -> None:
    potential = loaded[batch.model][batch.network]
    try:
        outcomes = potential.evaluate(batch.crystals, batch.quantities)
    except Exception as error:  # noqa: BLE001 -- whatever a model raises is the outcome of its batch
        messages.write(outgoing, Kind.FAILED, messages.error_to_bytes(_batch_error(error)))
        return
    for outcome in outcomes:
        messages.write(outgoing, Kind.OUTCOME, messages.outcome_to_bytes(outcome))


def _batch_error(error: Exception) -> CrystalMeshError:
    if isinstance(error, CrystalMeshError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemoryError("the device ran out of memory on this item")
    _log.error("batch_failed", exc_info=error)
    return ModelFailedError("the model failed on this item; the operator finds the cause in the log")


if __name__ == "__main__":
    sys.exit(main())
