"""The weights that both ways of evaluating CHGNet share, loaded quietly."""

from __future__ import annotations

import io
import threading
from contextlib import redirect_stdout

from chgnet.model.model import CHGNet

from crystalmesh_relaxation.engines.chgnet_info import Release

_LOADING = threading.Lock()


def load_chgnet(device: str, release: Release) -> CHGNet:
    """A release of CHGNet on `device`, in evaluation mode; a new object each time."""
    # It announces itself on standard output, which is one for all threads.
    with _LOADING, redirect_stdout(io.StringIO()):
        model = CHGNet.load(model_name=release.model_name, use_device=device, verbose=False)
    model.eval()
    return model
