from __future__ import annotations

import numpy as np
import pytest

from crystalmesh_relaxation.mechanics.birch_murnaghan import fit_birch_murnaghan
from crystalmesh_relaxation.relaxing.motion import GPA_IN_EV_PER_CUBIC_ANGSTROM

KNOWN = [
    (40.0, -10.5, 90.0, 4.2),
    (11.8, -4.1, 180.0, 5.5),
    (200.0, -80.0, 3.0, 8.0),
    (17.0, 2.0, 400.0, 2.0),
]


def energies_of(volumes: np.ndarray, v0: float, e0: float, modulus_gpa: float, slope: float) -> np.ndarray:
    """The equation as the textbooks print it."""
    squeezed = (v0 / volumes) ** (2 / 3)
    modulus = modulus_gpa * GPA_IN_EV_PER_CUBIC_ANGSTROM
    return e0 + 9 * v0 * modulus / 16 * (
        (squeezed - 1) ** 3 * slope + (squeezed - 1) ** 2 * (6 - 4 * squeezed)
    )


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("points", [5, 11])
def test_the_parameters_of_an_exact_curve_are_found(
    known: tuple[float, float, float, float], points: int
) -> None:
    """Energies of the equation give back its four parameters, wherever the minimum lies among them."""
    volumes = known[0] * np.linspace(0.93, 1.12, points)
    curve = fit_birch_murnaghan(volumes, energies_of(volumes, *known))
    found = (
        curve.volume_cubic_angstrom,
        curve.energy_ev,
        curve.bulk_modulus_gpa,
        curve.bulk_modulus_derivative,
    )
    assert found == pytest.approx(known, rel=1e-5)
    assert curve.has_minimum
    assert curve.residual_ev == pytest.approx(0, abs=1e-9)


def test_others_find_the_same_curve() -> None:
    """On energies with noise pymatgen and ASE, which iterate, end where we do."""
    from ase.eos import EquationOfState
    from pymatgen.analysis.eos import EOS

    volumes = 41.0 * np.linspace(0.9, 1.1, 11)
    noise = 1e-3 * np.cos(7.0 * np.arange(11.0) ** 2)
    energies = energies_of(volumes, *KNOWN[0]) + noise
    ours = fit_birch_murnaghan(volumes, energies)
    pymatgen = EOS("birch_murnaghan").fit(volumes, energies)
    v0, e0, modulus = EquationOfState(volumes, energies, eos="birchmurnaghan").fit()
    assert ours.volume_cubic_angstrom == pytest.approx(pymatgen.v0, rel=1e-4)
    assert ours.energy_ev == pytest.approx(pymatgen.e0, abs=1e-5)
    assert ours.bulk_modulus_gpa == pytest.approx(float(pymatgen.b0_GPa), rel=1e-3)
    assert ours.bulk_modulus_derivative == pytest.approx(pymatgen.b1, rel=1e-2)
    assert ours.volume_cubic_angstrom == pytest.approx(v0, rel=1e-4)
    assert ours.energy_ev == pytest.approx(e0, abs=1e-5)
    assert ours.bulk_modulus_gpa == pytest.approx(modulus / GPA_IN_EV_PER_CUBIC_ANGSTROM, rel=1e-3)


def test_the_residual_is_what_is_left() -> None:
    """It is the root mean square of what the curve misses."""
    volumes = np.linspace(35.0, 45.0, 9)
    zigzag = 0.01 * (-1.0) ** np.arange(9)
    curve = fit_birch_murnaghan(volumes, energies_of(volumes, *KNOWN[0]) + zigzag)
    assert curve.residual_ev == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("sign", [-1.0, 0.0])
def test_where_nothing_is_lowest_there_is_no_minimum(sign: float) -> None:
    """A hill and a plain are described at their lowest point, with a modulus that is not positive."""
    volumes = np.linspace(30.0, 50.0, 11)
    curve = fit_birch_murnaghan(volumes, sign * (volumes ** (-2 / 3) - 0.09) ** 2)
    assert not curve.has_minimum
    assert curve.bulk_modulus_gpa <= 0
    assert curve.volume_cubic_angstrom in (pytest.approx(30.0), pytest.approx(50.0))
