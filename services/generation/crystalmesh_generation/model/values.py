"""How a property's values are brought to the scale that a regression head learns on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

_NEVER_NEGATIVE = ("band_gap_ev", "energy_above_hull_ev_per_atom", "bulk_modulus_gpa", "shear_modulus_gpa")


@dataclass(frozen=True)
class PropertyScale:
    """Mean and standard deviation of a property in the training set, by its name in the API."""

    name: str
    mean: float
    spread: float

    def value(self, standardized: Tensor) -> Tensor:
        """In the property's unit."""
        values = standardized * self.spread + self.mean
        return values.clamp(min=0.0) if self.name in _NEVER_NEGATIVE else values

    def standardized(self, values: Tensor) -> Tensor:
        """In standard deviations from the mean."""
        return (values - self.mean) / self.spread
