"""`python -m crystalmesh_property.serving.predictors`: predict for what comes on standard input."""

from __future__ import annotations

import os
import signal
import sys
from typing import IO, TYPE_CHECKING

import structlog

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError, ModelFailedError, OutOfMemoryError
from crystalmesh_common.runtime.intake import read_input
from crystalmesh_common.runtime.logs import configure_logs
from crystalmesh_property.convert import Outcome, prediction_message
from crystalmesh_property.serving.predictors import messages
from crystalmesh_property.serving.predictors.messages import Kind

if TYPE_CHECKING:
    from crystalmesh_property.serving.predictor import Predictor

_log = structlog.get_logger(__name__)


def main() -> int:
    """0 once the service has closed the pipe, 1 when nothing could be loaded here."""
    # The service decides when we end; a Ctrl-C in its terminal is meant for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    incoming, outgoing = sys.stdin.buffer, _claim_standard_output()
    try:
        _, body = messages.read(incoming)
        start = messages.start_from_bytes(body)
        configure_logs(start.service, level=start.log_level, form=start.log_format)
        try:
            predictor = _load(start)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the service is told
            _log.error("predictor_not_started", exc_info=error)
            messages.write(outgoing, (Kind.FAILED, messages.error_to_bytes(_loading_error(error))))
            return 1
        messages.write(outgoing, (Kind.LOADED, messages.models_to_bytes(predictor.infos)))
        while True:
            _, body = messages.read(incoming)
            _answer(outgoing, predictor, messages.batch_from_bytes(body), start.atoms_per_crystal)
    except (EOFError, BrokenPipeError):
        return 0


def _claim_standard_output() -> IO[bytes]:
    """A pipe to the service that nobody else writes to: what libraries print goes to the log instead."""
    own = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return os.fdopen(own, "wb")


def _load(start: messages.Start) -> Predictor:
    import torch  # noqa: PLC0415 -- seconds; the pipe is ours before

    from crystalmesh_common.runtime.devices import require_device  # noqa: PLC0415 -- torch
    from crystalmesh_property.serving.predictor import Predictor  # noqa: PLC0415 -- torch

    torch.set_num_threads(start.threads)
    require_device(start.device)
    return Predictor.load(start.folders, start.device)


def _loading_error(error: Exception) -> CrystalMeshError:
    if isinstance(error, CrystalMeshError):
        return error
    return ModelFailedError(f"the models could not be loaded: {error}")


def _answer(outgoing: IO[bytes], predictor: Predictor, batch: messages.Batch, max_atoms: int) -> None:
    try:
        outcomes = _outcomes(predictor, batch, max_atoms)
    except Exception as error:  # noqa: BLE001 -- whatever a model raises is the outcome of its batch
        messages.write(outgoing, (Kind.FAILED, messages.error_to_bytes(_batch_error(error))))
        return
    messages.write(outgoing, *((Kind.OUTCOME, messages.outcome_to_bytes(outcome)) for outcome in outcomes))


def _outcomes(predictor: Predictor, batch: messages.Batch, max_atoms: int) -> list[Outcome]:
    """What becomes of each crystal: what is wrong with it, or what the models say."""
    read = [read_input(crystal, "", max_atoms=max_atoms) for crystal in batch.crystals]
    crystals = [crystal for crystal in read if isinstance(crystal, Crystal)]
    predictions = iter(predictor.predict(crystals, batch.plan) if crystals else ())
    found = [next(predictions) if isinstance(each, Crystal) else each for each in read]
    return [each if isinstance(each, CrystalMeshError) else prediction_message(each) for each in found]


def _batch_error(error: Exception) -> CrystalMeshError:
    if isinstance(error, CrystalMeshError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemoryError("the server ran out of memory on this item")
    _log.error("batch_failed", exc_info=error)
    return ModelFailedError("the model failed on this item; the operator finds the cause in the log")


if __name__ == "__main__":
    sys.exit(main())
