"""A crystal repeated along its lattice vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crystalmesh_common.crystal.structure import Crystal

Repeats = tuple[int, int, int]


def supercell(crystal: Crystal, repeats: Repeats) -> Crystal:
    """The crystal repeated along a, b and c, cell by cell, c running fastest; each has its sites in order."""
    corners = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    moments = crystal.magnetic_moments
    return replace(
        crystal,
        cell=crystal.cell * np.array(repeats)[:, None],
        numbers=np.tile(crystal.numbers, len(corners)),
        frac_coords=((crystal.frac_coords + corners) / repeats).reshape(-1, 3),
        magnetic_moments=None if moments is None else np.tile(moments, len(corners)),
    )
