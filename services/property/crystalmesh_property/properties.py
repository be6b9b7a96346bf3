"""What is predicted: names as in the API, units in the names, and on which scale errors are counted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class Property(StrEnum):
    """A property of a crystal, named as in `crystalmesh.crystal.v1.Property`."""

    FORMATION_ENERGY = "formation_energy_ev_per_atom"
    BAND_GAP = "band_gap_ev"
    ENERGY_ABOVE_HULL = "energy_above_hull_ev_per_atom"
    BULK_MODULUS = "bulk_modulus_gpa"
    SHEAR_MODULUS = "shear_modulus_gpa"
    MAGNETIZATION = "magnetization_mu_b_per_cubic_angstrom"


@dataclass(frozen=True)
class Scale:
    """Where a property is learnt and judged: as it is, or as its logarithm to base 10."""

    logarithmic: bool = False
    smallest: float | None = None
    """No crystal has less; None where there is no bound."""

    def inward(self, values: FloatArray) -> FloatArray:
        """Values on this scale; NaN stays NaN, and what has no logarithm becomes NaN."""
        if not self.logarithmic:
            return values
        positive = np.where(values > 0, values, np.nan)
        logarithms: FloatArray = np.log10(positive)
        return logarithms

    def outward(self, values: FloatArray) -> FloatArray:
        """Values in the property's unit, never below the bound."""
        values = np.power(10.0, values) if self.logarithmic else values
        return values if self.smallest is None else np.maximum(values, self.smallest)

    def bounded(self, values: FloatArray) -> FloatArray:
        """Values on this scale, never below the bound."""
        if self.logarithmic or self.smallest is None:
            return values
        return np.maximum(values, self.smallest)


SCALES: dict[Property, Scale] = {
    Property.FORMATION_ENERGY: Scale(),
    Property.BAND_GAP: Scale(smallest=0.0),
    Property.ENERGY_ABOVE_HULL: Scale(smallest=0.0),
    Property.BULK_MODULUS: Scale(logarithmic=True),
    Property.SHEAR_MODULUS: Scale(logarithmic=True),
    Property.MAGNETIZATION: Scale(smallest=0.0),
}

OTHER_COLUMNS: dict[Property, tuple[str, ...]] = {
    Property.MAGNETIZATION: ("magnetization_mu_b_per_a3",),
}
"""What tables call a property that the API calls otherwise."""
