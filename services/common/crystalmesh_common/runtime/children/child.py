"""A child process from the inside: loads once, then works on what comes on standard input, until it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import IO

import structlog

from crystalmesh_common.runtime.children import pipes
from crystalmesh_common.runtime.children.pipes import Kind
from crystalmesh_common.runtime.errors import CrystalMeshError, ModelFailedError, OutOfMemoryError

_log = structlog.get_logger(__name__)

Work = Callable[[bytes], Iterable[bytes]]
"""From a batch to the outcome of each of its items, in order."""


def serve(load: Callable[[bytes], tuple[bytes, Work]], *, models: str, memory: str) -> int:
    """0 once the service has closed the pipe, 1 when nothing could be loaded.

    `load` gets what there is to load and answers what was loaded, and the work on batches. `models` and
    `memory` are what error messages call them: "the potential", "the device".
    """
    # The service decides when we end; a Ctrl-C in its terminal is meant for it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    incoming, outgoing = sys.stdin.buffer, _claim_standard_output()
    try:
        _, body = pipes.read(incoming)
        try:
            loaded, work = load(body)
        except Exception as error:  # noqa: BLE001 -- whatever a model raises, the service is told
            _log.error("model_not_loaded", exc_info=error)
            told = (
                error
                if isinstance(error, CrystalMeshError)
                else ModelFailedError(f"{models} could not be loaded: {error}")
            )
            pipes.write(outgoing, (Kind.FAILED, pipes.error_to_bytes(told)))
            return 1
        pipes.write(outgoing, (Kind.LOADED, loaded))
        while True:
            _, body = pipes.read(incoming)
            _answer(outgoing, work, body, memory)
    except (EOFError, BrokenPipeError):
        return 0


def _claim_standard_output() -> IO[bytes]:
    """A pipe to the service that nobody else writes to: what libraries print goes to the log instead."""
    own = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return os.fdopen(own, "wb")


def _answer(outgoing: IO[bytes], work: Work, batch: bytes, memory: str) -> None:
    try:
        outcomes = list(work(batch))
    except Exception as error:  # noqa: BLE001 -- whatever a model raises is the outcome of its batch
        pipes.write(outgoing, (Kind.FAILED, pipes.error_to_bytes(_batch_error(error, memory))))
        return
    pipes.write(outgoing, *((Kind.OUTCOME, outcome) for outcome in outcomes))


def _batch_error(error: Exception, memory: str) -> CrystalMeshError:
    if isinstance(error, CrystalMeshError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemoryError(f"{memory} ran out of memory on this item")
    _log.error("batch_failed", exc_info=error)
    return ModelFailedError("the model failed on this item; the operator finds the cause in the log")
