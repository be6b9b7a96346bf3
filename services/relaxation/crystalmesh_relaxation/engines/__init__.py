"""The potentials that this service can run, one file a backend."""

from __future__ import annotations

import os
from collections.abc import Mapping

from crystalmesh_relaxation.engine import Network, Potential, PotentialInfo
from crystalmesh_relaxation.engines.chgnet_info import chgnet_info
from crystalmesh_relaxation.settings import RelaxationSettings


def describe(settings: RelaxationSettings) -> PotentialInfo:
    """The potential that `settings` ask for, without loading it."""
    return chgnet_info(settings.device)


def device_count(settings: RelaxationSettings) -> int:
    """How many threads evaluate: as set, else one a core on CPUs and one for a GPU."""
    if settings.workers:
        return settings.workers
    return min(4, os.cpu_count() or 1) if settings.device == "cpu" else 1


def load(settings: RelaxationSettings) -> Mapping[Network, Potential]:
    """Load it for the calling thread, once per network; seconds, because it imports torch."""
    import torch  # noqa: PLC0415 -- seconds

    from crystalmesh_relaxation.engines.chgnet import CHGNetPotential  # noqa: PLC0415 -- imports torch
    from crystalmesh_relaxation.engines.chgnet_fast.potential import FastCHGNetPotential  # noqa: PLC0415

    cores = os.cpu_count() or 1
    torch.set_num_threads(settings.threads or max(1, cores // device_count(settings)))
    return {
        Network.REFERENCE: CHGNetPotential(settings.device),
        Network.FAST: FastCHGNetPotential(settings.device),
    }
