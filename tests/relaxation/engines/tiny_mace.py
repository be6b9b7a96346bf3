"""A MACE of 25,000 untrained parameters, and its file. Only where mace-torch is installed."""

from __future__ import annotations

import hashlib
import io
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crystalmesh_relaxation.engines.mace_file import mace_imported

ATOMIC_NUMBERS = (11, 14, 17, 18, 26, 29)

needs_mace = pytest.mark.skipif(
    find_spec("mace") is None, reason="mace-torch is not installed: it is an extra of the relaxation service"
)


def tiny_mace(heads: tuple[str, ...] = ("Default",)) -> Any:
    """The network. Its energies mean nothing, but have slopes of a usual size."""
    import torch

    with mace_imported():
        from e3nn import o3
        from mace import modules

        torch.manual_seed(0)
        block = modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
        return modules.ScaleShiftMACE(
            r_max=5.0,
            num_bessel=8,
            num_polynomial_cutoff=5,
            max_ell=2,
            interaction_cls=block,
            interaction_cls_first=block,
            num_interactions=2,
            num_elements=len(ATOMIC_NUMBERS),
            hidden_irreps=o3.Irreps("8x0e+8x1o"),
            MLP_irreps=o3.Irreps("8x0e"),
            atomic_energies=-np.ones((len(heads), len(ATOMIC_NUMBERS))),
            avg_num_neighbors=1.0,  # a twentieth of what is true: more depends on the neighbours
            atomic_numbers=list(ATOMIC_NUMBERS),
            correlation=2,
            gate=torch.nn.functional.silu,
            atomic_inter_scale=[5.0] * len(heads),
            atomic_inter_shift=[0.0] * len(heads),
            heads=list(heads),
        )


def saved(network: object, path: Path) -> str:
    """Write what torch makes of anything; the file's SHA-256."""
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(network, buffer)
    path.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()
