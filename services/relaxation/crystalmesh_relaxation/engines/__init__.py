"""The potentials that this service can run, one file a backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crystalmesh_relaxation.engine import Network, Potential
from crystalmesh_relaxation.engines.specs import Backend, ModelSpec

Networks = Mapping[Network, Potential]
"""A potential by the code that evaluates it."""


def load(specs: Sequence[ModelSpec], device: str) -> Mapping[str, Networks]:
    """Load potentials for the calling thread, by name; seconds, because it imports torch."""
    return {spec.name: _load_one(spec, device) for spec in specs}


def _load_one(spec: ModelSpec, device: str) -> Networks:
    match spec.backend:
        case Backend.CHGNET:
            from crystalmesh_relaxation.engines.chgnet import CHGNetPotential  # noqa: PLC0415 -- torch
            from crystalmesh_relaxation.engines.chgnet_fast.potential import (  # noqa: PLC0415
                FastCHGNetPotential,
            )

            return {
                Network.REFERENCE: CHGNetPotential(device),
                Network.FAST: FastCHGNetPotential(device),
            }
