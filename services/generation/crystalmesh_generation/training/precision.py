"""How precisely a training computes."""

from __future__ import annotations

import torch

from crystalmesh_generation.training.experiment import MachineConfig


def low_precision(machine: MachineConfig, device: torch.device) -> bool:
    """Whether matrices are multiplied in bfloat16.

    `auto` does so on GPUs and on CPUs with matrix units. On others it is slower: 100 GF/s a core against 150.
    """
    if machine.precision == "auto":
        return device.type == "cuda" or bool(torch.cpu._is_amx_tile_supported())  # noqa: SLF001 -- nothing public says so
    return machine.precision == "bfloat16"
