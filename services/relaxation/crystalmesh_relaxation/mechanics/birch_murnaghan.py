"""The third-order Birch-Murnaghan equation of state, fitted to energies at some volumes.

The equation is a polynomial of third degree in V^(-2/3) and nothing else, so that its best fit is a linear
least-squares problem: one solution, no first guess, no iteration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial

from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_relaxation.relaxing.motion import GPA_IN_EV_PER_CUBIC_ANGSTROM

_COMPRESSIONS = (-0.5, 1.0)
"""From three times the middle volume to a third of it: beyond, a minimum is of the polynomial alone."""


@dataclass(frozen=True)
class BirchMurnaghan:
    """A curve of energy against volume, described at its minimum."""

    volume_cubic_angstrom: float
    energy_ev: float
    bulk_modulus_gpa: float
    bulk_modulus_derivative: float
    residual_ev: float  # root mean square
    has_minimum: bool  # else it is described at the lowest of the fitted points


def fit_birch_murnaghan(volumes: FloatArray, energies: FloatArray) -> BirchMurnaghan:
    """The curve nearest to energies (m,) in eV at m volumes in Å³, at least four of them different."""
    middle = float(volumes.mean())
    # Counted from the middle: powers of V^(-2/3) itself are all but parallel.
    compressions = (middle / volumes) ** (2 / 3) - 1
    curve: Polynomial = Polynomial.fit(compressions, energies, 3).convert()
    residual = float(np.sqrt(np.mean((curve(compressions) - energies) ** 2)))
    minimum = _minimum(curve)
    compression = float(compressions[energies.argmin()]) if minimum is None else minimum
    volume = middle * (1 + compression) ** (-3 / 2)
    second, third = _volume_derivatives(curve, compression, volume)
    return BirchMurnaghan(
        volume_cubic_angstrom=volume,
        energy_ev=float(curve(compression)),
        bulk_modulus_gpa=volume * second / GPA_IN_EV_PER_CUBIC_ANGSTROM,
        bulk_modulus_derivative=-1 - volume * third / second if second else math.nan,
        residual_ev=residual,
        has_minimum=minimum is not None,
    )


def _minimum(curve: Polynomial) -> float | None:
    """Where the curve has its one minimum, if it has one anywhere near."""
    slope = curve.deriv()
    smallest, largest = _COMPRESSIONS
    roots = np.asarray(slope.roots(), dtype=np.complex128)
    places = [float(root.real) for root in roots if root.imag == 0 and smallest < root.real < largest]
    return next((place for place in places if slope.deriv()(place) > 0), None)


def _volume_derivatives(curve: Polynomial, compression: float, volume: float) -> tuple[float, float]:
    """The second and third derivative of the energy with respect to volume."""
    first, second, third = (float(curve.deriv(order)(compression)) for order in (1, 2, 3))
    # Of the compression with respect to volume: y = V^(-2/3) times a constant.
    y = 1 + compression
    once, twice, thrice = (
        -2 / 3 * y / volume,
        10 / 9 * y / volume**2,
        -80 / 27 * y / volume**3,
    )
    return (
        second * once**2 + first * twice,
        third * once**3 + 3 * second * once * twice + first * thrice,
    )
