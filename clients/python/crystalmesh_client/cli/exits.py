"""What exit codes mean, the same for every command."""

from __future__ import annotations

from crystalmesh_common.runtime.errors import (
    AuthenticationError,
    CallCancelledError,
    CrystalMeshError,
    DeadlineExceededError,
    ExhaustedError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
    UnimplementedError,
)

OK = 0
FAILED = 1  # a fault of ours, or a reason without a code of its own
USAGE = 2  # wrong flags or settings
BAD_INPUT = 3  # a crystal or request is wrong, or some crystals of a batch failed
UNREACHABLE = 4  # no mesh is running, or it is not ready
REFUSED = 5  # the token is missing or wrong
BUSY = 6  # out of queue, time or memory: a retry may help
NO_HIT = 7  # a campaign ended, and nothing that it found fulfils the target
INTERRUPTED = 130  # Ctrl-C

_CODES: tuple[tuple[type[CrystalMeshError], int], ...] = (
    (AuthenticationError, REFUSED),
    (UnavailableError, UNREACHABLE),
    (ExhaustedError, BUSY),
    (DeadlineExceededError, BUSY),
    (CallCancelledError, INTERRUPTED),
    (InvalidRequestError, BAD_INPUT),
    (PreconditionError, BAD_INPUT),
    (NotFoundError, BAD_INPUT),
    (UnimplementedError, FAILED),
)


def exit_code(error: CrystalMeshError) -> int:
    """The exit code that stands for `error`."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)
