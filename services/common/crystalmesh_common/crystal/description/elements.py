"""Two numbers of every element that tell bonds from gaps.

They are written out here, so that no release of a library changes a description: models are trained on
those of today.
"""

from __future__ import annotations

import numpy as np

from crystalmesh_common.crystal.elements import MAX_ATOMIC_NUMBER
from crystalmesh_common.crystal.structure import FloatArray

# Pauling's scale from hydrogen on, 0 where there is none.
_PAULING = """
    2.20 0 0.98 1.57 2.04 2.55 3.04 3.44 3.98 0 0.93 1.31 1.61 1.90 2.19 2.58 3.16 0 0.82 1.00 1.36 1.54
    1.63 1.66 1.55 1.83 1.88 1.91 1.90 1.65 1.81 2.01 2.18 2.55 2.96 3.00 0.82 0.95 1.22 1.33 1.60 2.16
    1.90 2.20 2.28 2.20 1.93 1.69 1.78 1.96 2.05 2.10 2.66 2.60 0.79 0.89 1.10 1.12 1.13 1.14 1.13 1.17
    1.20 1.20 1.10 1.22 1.23 1.24 1.25 1.10 1.27 1.30 1.50 2.36 1.90 2.20 2.20 2.28 2.54 2.00 1.62 2.33
    2.02 2.00 2.20 2.20 0.70 0.90 1.10 1.30 1.50 1.38 1.36 1.28 1.30 1.30 1.30 1.30 1.30 1.30 1.30 1.30
    1.30
"""

# Cordero et al., Dalton Trans. 2832 (2008), from hydrogen to curium.
_CORDERO = """
    0.31 0.28 1.28 0.96 0.84 0.73 0.71 0.66 0.57 0.58 1.66 1.41 1.21 1.11 1.07 1.05 1.02 1.06 2.03 1.76
    1.70 1.60 1.53 1.39 1.50 1.42 1.38 1.24 1.32 1.22 1.22 1.20 1.19 1.20 1.20 1.16 2.20 1.95 1.90 1.75
    1.64 1.54 1.47 1.46 1.42 1.39 1.45 1.44 1.42 1.39 1.39 1.38 1.39 1.40 2.44 2.15 2.07 2.04 2.03 2.01
    1.99 1.98 1.98 1.96 1.94 1.92 1.92 1.89 1.90 1.87 1.87 1.75 1.70 1.62 1.51 1.44 1.41 1.36 1.36 1.32
    1.45 1.46 1.48 1.40 1.50 1.50 2.60 2.21 2.15 2.06 2.00 1.96 1.90 1.87 1.80 1.69
"""


def _by_atomic_number(numbers: str, *, beyond: float) -> FloatArray:
    values = [float(number) for number in numbers.split()]
    missing = [beyond] * (MAX_ATOMIC_NUMBER - len(values))
    return np.array([np.nan, *values, *missing])


ELECTRONEGATIVITIES = _by_atomic_number(_PAULING, beyond=0.0)
"""Pauling's electronegativity by atomic number, 0 where there is none."""

COVALENT_RADII_ANGSTROM = _by_atomic_number(_CORDERO, beyond=1.69)
"""Covalent radius by atomic number; beyond curium that of curium."""
