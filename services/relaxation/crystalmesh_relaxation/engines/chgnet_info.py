"""What there is to know of CHGNet without importing it, which takes seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

from crystalmesh_relaxation.engine import PotentialInfo, Quantity


@dataclass(frozen=True)
class Release:
    """Weights that CHGNet's wheel carries. All releases have one network and its cutoffs."""

    name: str
    model_name: str  # what CHGNet calls it
    atomic_numbers: tuple[int, ...]  # of the training set: for others there are weights, untrained
    description: str


_MPTRJ_ELEMENTS = tuple(z for z in range(1, 95) if z not in {84, 85, 86, 87, 88})

CHGNET_0_3_0 = Release(
    "chgnet-0.3.0",
    "0.3.0",
    _MPTRJ_ELEMENTS,
    "CHGNet 0.3.0 (Deng et al., Nat. Mach. Intell. 5, 1031, 2023), trained on MPtrj (PBE and PBE+U, "
    "2022). Its energies carry the MP2020 corrections and compare with Materials Project energies.",
)
CHGNET_R2SCAN = Release(
    "chgnet-r2scan",
    "r2scan",
    # Ytterbium was not trained either: its embedding is that of 0.3.0, its reference energy zero.
    tuple(z for z in _MPTRJ_ELEMENTS if z != 70),
    "CHGNet 0.3.0 fine-tuned on MP-r2SCAN (Huang et al., npj Comput. Mater., 2025). Its energies are "
    "r2SCAN's without corrections: they compare among themselves, never with MP2020-corrected ones.",
)
RELEASES: Mapping[str, Release] = {release.name: release for release in (CHGNET_0_3_0, CHGNET_R2SCAN)}


def chgnet_info(device: str, release: Release = CHGNET_0_3_0) -> PotentialInfo:
    """A release of CHGNet on `device`."""
    return PotentialInfo(
        name=release.name,
        version=version("chgnet"),
        license="BSD-3-Clause",
        description=release.description,
        atomic_numbers=release.atomic_numbers,
        quantities=frozenset(Quantity),
        device=device,
        cutoff_angstrom=6.0,
    )
