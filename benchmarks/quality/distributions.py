"""How far the distributions of generated crystals are from those of the test set, as in CDVAE.

Wasserstein distances of the density in g/cm³ and of the number of distinct elements, between the valid
samples and the test set. CDVAE draws 1,000 of the valid ones; here all count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

from crystalmesh_common.crystal.composition import density_g_per_cubic_centimeter
from crystalmesh_common.crystal.structure import Crystal


@dataclass(frozen=True)
class DistributionDistances:
    """Wasserstein distances, 0 where the distributions are one; NaN without crystals."""

    density_g_per_cubic_centimeter: float
    elements: float


def distribution_distances(valid: Sequence[Crystal], test: Sequence[Crystal]) -> DistributionDistances:
    """The distances between valid samples and the test set."""
    if not (valid and test):
        return DistributionDistances(float("nan"), float("nan"))
    densities = ([density_g_per_cubic_centimeter(crystal) for crystal in part] for part in (valid, test))
    elements = ([len(np.unique(crystal.numbers)) for crystal in part] for part in (valid, test))
    return DistributionDistances(
        float(wasserstein_distance(*densities)), float(wasserstein_distance(*elements))
    )
