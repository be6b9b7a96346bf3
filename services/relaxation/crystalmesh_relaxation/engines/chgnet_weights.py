"""What both ways of evaluating CHGNet share: its weights, loaded quietly, and its memory errors."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import torch
from chgnet.model.model import CHGNet

from crystalmesh_common.runtime.errors import OutOfMemoryError

_LOADING = threading.Lock()


def load_chgnet(device: str) -> CHGNet:
    """CHGNet 0.3.0 on `device`, in evaluation mode; a new object each time."""
    # It announces itself on standard output, which is one for all threads.
    with _LOADING, redirect_stdout(io.StringIO()):
        model = CHGNet.load(model_name="0.3.0", use_device=device, verbose=False)
    model.eval()
    return model


@contextmanager
def memory_errors_typed() -> Iterator[None]:
    """Raise OutOfMemoryError where torch runs out of memory, on any device."""
    try:
        yield
    except RuntimeError as error:
        # torch has a class for this on GPUs only.
        if "not enough memory" in str(error) or isinstance(error, torch.OutOfMemoryError):
            raise OutOfMemoryError("the device ran out of memory on this item") from error
        raise
