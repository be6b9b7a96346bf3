"""A crystal's structure as 61 numbers: order parameters of its coordination shells, the mean over its sites.

The numbers of matminer's `CrystalNNFingerprint.from_preset("ops")` (Zimmermann and Jain, RSC Adv. 10, 6063,
2020), from the same parts of pymatgen: how likely each coordination number from 1 to 24 is by CrystalNN, and
how much each shell of up to 12 resembles the motifs that are known for its number, times that likelihood.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.crystal.symmetry import symmetry_of
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidCrystalError

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

MAX_ATOMS = 200
STRUCTURE_LENGTH = 61
_LARGEST_SHELL = 24
_SAME_SITE_ANGSTROM = 1e-3
_MAX_NEIGHBOURS = 50_000.0
"""So many take seconds; only needles have more within the longest diagonal of their cell."""
_MOTIFS: Mapping[int, Sequence[str]] = {
    1: ("sgl_bd",),
    2: ("L-shaped", "water-like", "bent 120 degrees", "bent 150 degrees", "linear"),
    3: ("trigonal planar", "trigonal non-coplanar", "T-shaped"),
    4: (
        "square co-planar",
        "tetrahedral",
        "rectangular see-saw-like",
        "see-saw-like",
        "trigonal pyramidal",
    ),
    5: ("pentagonal planar", "square pyramidal", "trigonal bipyramidal"),
    6: ("hexagonal planar", "octahedral", "pentagonal pyramidal"),
    7: ("hexagonal pyramidal", "pentagonal bipyramidal"),
    8: ("body-centered cubic", "hexagonal bipyramidal"),
    9: ("q2", "q4", "q6"),
    10: ("q2", "q4", "q6"),
    11: ("q2", "q4", "q6"),
    12: ("cuboctahedral", "q2", "q4", "q6"),
}


def structure_fingerprint(crystal: Crystal) -> FloatArray:
    """The mean of its sites' order parameters, (61,).

    Sites that are equivalent by symmetry within 0.001 Å are computed once. About 0.1 s a crystal. Raises a
    CrystalError where there is no fingerprint: what is no sane crystal, or has no neighbours to tell of.
    """
    check_crystal(crystal, max_atoms=MAX_ATOMS)
    _check_shape(crystal)
    sites, counts = _distinct_sites(crystal)
    structure = to_structure(crystal)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of radii that pymatgen does not know
        try:
            rows = [_of_site(structure, int(site)) for site in sites]
        except (ValueError, RuntimeError, ArithmeticError, IndexError, KeyError) as error:
            reason = " ".join(str(error).split())[:80]
            raise InvalidCrystalError(f"no order parameters: {type(error).__name__}: {reason}") from error
    return np.average(rows, axis=0, weights=counts)


def _check_shape(crystal: Crystal) -> None:
    """CrystalNN looks as far as the longest diagonal where it finds no shell nearer."""
    signs = np.array([[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    farthest = float(np.linalg.norm(signs @ crystal.cell, axis=1).max())
    if len(crystal) / crystal.volume * 4 / 3 * np.pi * farthest**3 > _MAX_NEIGHBOURS:
        raise InvalidCrystalError("the cell is too long and thin for order parameters", field="cell_angstrom")


def _distinct_sites(crystal: Crystal) -> tuple[Any, Any]:
    """One site of each orbit, and how many sites it stands for."""
    try:
        orbits: Sequence[int] = symmetry_of(crystal, symprec=_SAME_SITE_ANGSTROM).orbits
    except CrystalMeshError:
        orbits = range(len(crystal))
    return np.unique(np.array(orbits), return_counts=True)


def _of_site(structure: Structure, site: int) -> list[float]:
    shells = _neighbours().get_nn_data(structure, site)
    row: list[float] = []
    for size in range(1, _LARGEST_SHELL + 1):
        likelihood = shells.cn_weights.get(size, 0.0)
        row.append(likelihood)
        motifs = _order_parameters().get(size, ())
        if not likelihood:
            row.extend(0.0 for _ in motifs)
            continue
        sites = [structure[site], *(neighbour["site"] for neighbour in shells.cn_nninfo[size])]
        around = list(range(1, len(sites)))
        for motif in motifs:
            (value,) = motif.get_order_parameters(sites, 0, indices_neighs=around)
            row.append(likelihood * (value or 0.0))
    return row


@lru_cache(maxsize=1)
def _neighbours() -> Any:
    from pymatgen.core.local_env import CrystalNN  # noqa: PLC0415 -- half a second

    return CrystalNN()  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def _order_parameters() -> Mapping[int, Sequence[Any]]:
    """By size of the shell. Each is an object of its own: computed together, some come out differently."""
    from pymatgen.core.local_env import CN_OPT_PARAMS, LocalStructOrderParams  # noqa: PLC0415

    found: dict[int, list[Any]] = {}
    for size, motifs in _MOTIFS.items():
        for motif in motifs:
            known: Any = CN_OPT_PARAMS.get(size, {}).get(motif, [motif])
            chosen = dict(known[1]) if len(known) > 1 else None
            found.setdefault(size, []).append(LocalStructOrderParams([known[0]], parameters=[chosen]))
    return found
