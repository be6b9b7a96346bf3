from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_relaxation.mechanics.elasticity import (
    Elasticity,
    ElasticityOptions,
    compute_elasticity,
    fit_stiffness,
)
from crystalmesh_relaxation.mechanics.equation_of_state import EquationOfStateOptions, fit_equation_of_state
from crystalmesh_relaxation.mechanics.stiffness import Moduli, is_stable, strain_matrix
from crystalmesh_relaxation.relaxing.motion import GPA_IN_EV_PER_CUBIC_ANGSTROM
from tests.conftest import silicon, sodium_chloride
from tests.relaxation.mechanics.laboratory import (
    Evaluate,
    chgnet,
    copper,
    lopsided,
    morse,
    result_of,
    springs,
)

SMALL = ElasticityOptions(max_normal_strain=0.002, max_shear_strain=0.004)


def elasticity_of(crystal: Crystal, evaluate: Evaluate, options: ElasticityOptions = SMALL) -> Elasticity:
    return result_of(compute_elasticity(crystal, options), evaluate)


def cubic(c11: float, c12: float, c44: float) -> np.ndarray:
    """The stiffness of a cubic crystal whose axes are x, y and z."""
    stiffness = np.diag([c11 - c12] * 3 + [c44] * 3)
    stiffness[:3, :3] += c12
    return stiffness


def test_the_stiffness_gives_the_energy_of_any_strain() -> None:
    """Without symmetry, all 21 constants: half e·C·e per volume is the energy of whatever small strain."""
    found = elasticity_of(lopsided(), morse(), replace(SMALL, keep_fractional_coordinates=True))
    rest = found.crystal
    assert found.relaxation_converged
    for strain in 1e-3 * np.random.default_rng(3).uniform(-1, 1, (6, 6)):
        up, down = (
            morse()(replace(rest, cell=rest.cell @ (np.eye(3) + strain_matrix(sign * strain)))).energy_ev
            for sign in (1, -1)
        )
        stored = (up + down) / 2 - morse()(rest).energy_ev
        told = strain @ found.stiffness_gpa @ strain / 2 * rest.volume * GPA_IN_EV_PER_CUBIC_ANGSTROM
        assert told == pytest.approx(stored, rel=0.02)


def test_a_pair_potential_keeps_cauchys_relation() -> None:
    """At rest on centres of symmetry, pairs alone give C12 = C44, whatever they are; the rest is zero."""
    found = elasticity_of(copper(), morse())
    c11, c12, c44 = found.stiffness_gpa[[0, 0, 3], [0, 1, 3]]
    np.testing.assert_allclose(found.stiffness_gpa, cubic(c11, c12, c44), atol=0.01)
    assert c44 == pytest.approx(c12, rel=0.01)
    assert c11 > c12 > 0
    assert found.mechanically_stable
    assert found.residual_gpa < 0.02 * c11 * SMALL.max_normal_strain


def test_it_turns_with_the_crystal() -> None:
    """The tensor is in the frame of the crystal; what does not depend on directions stays."""
    cosine, sine = math.cos(0.7), math.sin(0.7)
    turn = np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    straight = elasticity_of(copper(), morse())
    turned = elasticity_of(replace(copper(), cell=copper().cell @ turn), morse())
    assert abs(turned.stiffness_gpa[0, 0] - straight.stiffness_gpa[0, 0]) > 5
    assert turned.moduli.bulk_hill == pytest.approx(straight.moduli.bulk_hill, rel=1e-3)
    assert turned.moduli.shear_voigt == pytest.approx(straight.moduli.shear_voigt, rel=1e-3)
    assert turned.moduli.shear_reuss == pytest.approx(straight.moduli.shear_reuss, rel=1e-3)


def test_atoms_that_give_way_soften_the_crystal() -> None:
    """Diamond on springs along its bonds resists shear while its atoms are held, and not when they move."""
    bonds = springs(10.0, silicon().cell[0, 1] * math.sqrt(3) / 2, cutoff=3.0)
    settled = elasticity_of(silicon(), bonds)
    held = elasticity_of(silicon(), bonds, replace(SMALL, keep_fractional_coordinates=True))
    c12 = held.stiffness_gpa[0, 1]
    np.testing.assert_allclose(held.stiffness_gpa, cubic(c12, c12, c12), atol=0.01 * c12)
    np.testing.assert_allclose(settled.stiffness_gpa, cubic(c12, c12, 0.0), atol=0.01 * c12)
    assert settled.unsettled_strains == 0


def test_a_crystal_that_gives_way_is_told() -> None:
    """Simple cubic packing resists no shear: it is not stable, and what takes a compliance is no number."""
    packing = Crystal(2.7 * np.eye(3), np.array([29]), np.zeros((1, 3)))
    options = replace(SMALL, relax_first=False, keep_fractional_coordinates=True)
    found = elasticity_of(packing, morse(), options)
    assert not found.mechanically_stable
    assert math.isfinite(found.moduli.bulk_voigt)
    assert math.isnan(found.moduli.bulk_reuss)
    assert math.isnan(found.moduli.shear_hill)
    np.testing.assert_array_equal(found.crystal.cell, packing.cell)


def test_a_stress_that_was_there_does_no_harm() -> None:
    """Stresses on a line that misses the origin give its slope; what is off the line is the residual."""
    stiffness = cubic(100.0, 60.0, 40.0)
    strains = np.concatenate([amount * np.eye(6) for amount in (-0.01, -0.005, 0.005, 0.01)])
    stresses = strains @ stiffness + np.arange(6.0)
    found, residual = fit_stiffness(strains, stresses)
    np.testing.assert_allclose(found, stiffness, atol=1e-9)
    assert residual == pytest.approx(0, abs=1e-9)
    stresses[:6, :3] += 0.1  # even in the strain: no slope explains it
    stresses[-6:, :3] += 0.1
    found, residual = fit_stiffness(strains, stresses)
    np.testing.assert_allclose(found, stiffness, atol=1e-9)
    assert residual == pytest.approx(0.05 / math.sqrt(2), rel=1e-6)


def test_the_averages_are_pymatgens() -> None:
    """Every average of a stiffness without symmetry is what pymatgen makes of it."""
    from pymatgen.analysis.elasticity import ElasticTensor

    noise = 8 * np.random.default_rng(5).uniform(-1, 1, (6, 6))
    stiffness = cubic(170.0, 90.0, 50.0) + noise + noise.T
    ours, theirs = Moduli.of(stiffness), ElasticTensor.from_voigt(stiffness)
    assert is_stable(stiffness)
    for mine, other in (
        (ours.bulk_voigt, theirs.k_voigt),
        (ours.bulk_reuss, theirs.k_reuss),
        (ours.bulk_hill, theirs.k_vrh),
        (ours.shear_voigt, theirs.g_voigt),
        (ours.shear_reuss, theirs.g_reuss),
        (ours.shear_hill, theirs.g_vrh),
        (ours.young, theirs.y_mod / 1e9),
        (ours.poisson_ratio, theirs.homogeneous_poisson),
        (ours.universal_anisotropy, theirs.universal_anisotropy),
    ):
        assert mine == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("crystal", [silicon(), sodium_chloride(), copper()], ids=lambda crystal: crystal.id)
def test_chgnets_cubic_crystals_are_cubic_and_their_two_bulk_moduli_agree(crystal: Crystal) -> None:
    """Three constants to within 2 %; the bulk modulus is that of the equation of state to within a fifth.

    Closer they do not come: CHGNet's curvature changes by so much from one percent of volume to the next.
    """
    found = elasticity_of(crystal, chgnet, ElasticityOptions())
    stiffness = found.stiffness_gpa
    mean = cubic(
        float(stiffness[:3, :3].trace() / 3),
        float((stiffness[0, 1] + stiffness[0, 2] + stiffness[1, 2]) / 3),
        float(stiffness[3:, 3:].trace() / 3),
    )
    np.testing.assert_allclose(stiffness, mean, atol=0.02 * stiffness.max())
    assert found.relaxation_converged
    assert found.mechanically_stable
    volumes = EquationOfStateOptions(max_volume_strain=0.02)
    curve = result_of(fit_equation_of_state(crystal, volumes), chgnet).curve
    assert found.moduli.bulk_hill == pytest.approx(curve.bulk_modulus_gpa, rel=0.2)


def test_silicon_is_softer_where_its_atoms_may_move() -> None:
    """CHGNet's silicon has an internal strain: C44 with atoms held is well above that with atoms at rest."""
    settled = elasticity_of(silicon(), chgnet, ElasticityOptions())
    held = elasticity_of(silicon(), chgnet, ElasticityOptions(keep_fractional_coordinates=True))
    assert held.stiffness_gpa[3, 3] > 1.1 * settled.stiffness_gpa[3, 3]
    assert held.stiffness_gpa[0, 0] == pytest.approx(settled.stiffness_gpa[0, 0], rel=0.05)
