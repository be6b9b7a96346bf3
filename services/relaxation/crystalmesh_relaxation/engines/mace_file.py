"""Reading a MACE file, which runs code that is in it: only one whose checksum the operator has stated."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from crystalmesh_common.runtime.errors import DataCorruptError, ModelFailedError

_SAFE_LOADING = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def read_network(path: Path, sha256: str, device: str) -> torch.nn.Module:
    """The network of a MACE file, in single precision on `device`, in evaluation mode.

    Raises ModelFailedError when there is no such file, when MACE is not installed and when the file holds
    something else, and DataCorruptError when its checksum is another: then nothing of it was run.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelFailedError(f"cannot read the MACE file {path}: {error.strerror}") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise DataCorruptError(f"{path} is not the file that was asked for: its SHA-256 is {digest}")
    with mace_imported():
        # The bytes that were checked, not the file, which may be another by now.
        network = _unpickled(content, path)
    return network.float().to(device).eval().requires_grad_(requires_grad=False)


@contextmanager
def mace_imported() -> Iterator[None]:
    """Import MACE, and keep to this block what it does to the process.

    It makes torch read pickles everywhere, and torch has much to say of the TorchScript that it uses.
    """
    before = os.environ.get(_SAFE_LOADING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            importlib.import_module("mace.modules")  # seconds, and only installed where it is asked for
            yield
        except ImportError as error:
            raise ModelFailedError(
                f"MACE is not installed ({error.msg}): pip install 'crystalmesh-relaxation[mace]'"
            ) from None
        finally:
            if before is None:
                os.environ.pop(_SAFE_LOADING, None)


def _unpickled(content: bytes, path: Path) -> torch.nn.Module:
    try:
        network = torch.load(io.BytesIO(content), map_location="cpu", weights_only=False)
    except Exception as error:  # whatever code in a file raises
        raise ModelFailedError(f"{path} cannot be read as a MACE file: {error}") from error
    # MACE has networks of dipoles, too, which are no potentials.
    if not (isinstance(network, torch.nn.Module) and hasattr(network, "atomic_energies_fn")):
        raise ModelFailedError(f"{path} holds no MACE potential but a {type(network).__name__}")
    return network
