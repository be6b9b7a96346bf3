"""What there is to know of CHGNet without importing it, which takes seconds."""

from __future__ import annotations

from importlib.metadata import version

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import UnsupportedElementError
from crystalmesh_relaxation.engine import PotentialInfo, Quantity

NAME = "chgnet-0.3.0"
# The training set MPtrj has these 89 elements; for Po, At, Rn, Fr and Ra the network has weights that
# were never trained.
KNOWN_ELEMENTS = tuple(z for z in range(1, 95) if z not in {84, 85, 86, 87, 88})


def check_elements(crystal: Crystal) -> None:
    """Raise UnsupportedElementError unless CHGNet was trained on every element of the crystal."""
    unknown = sorted(set(crystal.numbers.tolist()).difference(KNOWN_ELEMENTS))
    if unknown:
        raise UnsupportedElementError(
            f"{NAME} was not trained on atomic number {', '.join(map(str, unknown))}", elements=unknown
        )


def chgnet_info(device: str) -> PotentialInfo:
    """CHGNet 0.3.0 on `device`."""
    return PotentialInfo(
        name=NAME,
        version=version("chgnet"),
        license="BSD-3-Clause",
        description=(
            "CHGNet 0.3.0 (Deng et al., Nat. Mach. Intell. 5, 1031, 2023), trained on MPtrj (PBE and PBE+U, "
            "2022). Its energies carry the MP2020 corrections and compare with Materials Project energies."
        ),
        atomic_numbers=KNOWN_ELEMENTS,
        quantities=frozenset(Quantity),
        device=device,
        cutoff_angstrom=6.0,
    )
