from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ase.data import atomic_masses

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import IsolatedAtomError
from crystalmesh_relaxation.engine import Evaluation, Quantity
from crystalmesh_relaxation.mechanics.force_constants import measuring_force_constants
from crystalmesh_relaxation.mechanics.phonons import PhononOptions, Phonons, compute_phonons
from crystalmesh_relaxation.mechanics.supercell import Repeats, supercell
from tests.conftest import block, iron, silicon, sodium_chloride
from tests.relaxation.mechanics.laboratory import (
    Evaluate,
    chgnet,
    lopsided,
    morse,
    outcome_of,
    result_of,
    springs,
)

THZ = 15.6333
SPRING = 10.0
LIGHT, HEAVY = (float(atomic_masses[number]) for number in (11, 17))
AS_IT_IS = PhononOptions(relax_first=False, displacement_angstrom=0.001)


def chain(spacing: float) -> Crystal:
    """Sodium and chlorine by turns on a line along x, far from the next line."""
    cell = np.diag([2 * spacing, 8.0, 8.0])
    return Crystal(cell, np.array([11, 17]), np.array([[0.0, 0, 0], [0.5, 0, 0]]), "chain")


def phonons_of(crystal: Crystal, evaluate: Evaluate, options: PhononOptions = AS_IT_IS) -> Phonons:
    return result_of(compute_phonons(crystal, options), evaluate)


def brute_force(crystal: Crystal, evaluate: Evaluate, step: float) -> np.ndarray:
    """Force constants (3n, 3n) with every atom moved."""
    size = 3 * len(crystal)
    constants = np.zeros((size, size))
    for row in range(size):
        move = np.zeros(size)
        move[row] = step
        shift = move.reshape(-1, 3) @ np.linalg.inv(crystal.cell)
        forces = []
        for sign in (1, -1):
            outcome = evaluate(replace(crystal, frac_coords=crystal.frac_coords + sign * shift))
            assert isinstance(outcome, Evaluation)
            forces.append(outcome.forces_ev_per_angstrom.ravel())
        constants[row] = (forces[1] - forces[0]) / (2 * step)
    return constants


def test_a_chain_of_two_kinds_of_atoms() -> None:
    """One mode: both atoms against each other on two springs; all else moves freely."""
    found = phonons_of(chain(2.0), springs(SPRING, 2.0, cutoff=3.0))
    optical = THZ * math.sqrt(2 * SPRING * (1 / LIGHT + 1 / HEAVY))
    assert found.frequencies_thz == pytest.approx([0, 0, 0, 0, 0, optical], abs=0.02)
    assert found.dynamically_stable


def test_a_supercell_holds_the_waves_that_fit_into_it() -> None:
    """Twice as long, the chain shows the edge of its zone: one kind of atoms at rest, the other moving."""
    options = replace(AS_IT_IS, repeats=(2, 1, 1))
    found = phonons_of(chain(2.0), springs(SPRING, 2.0, cutoff=3.0), options)
    moving = [1 / HEAVY, 1 / LIGHT, 1 / LIGHT + 1 / HEAVY]
    expected = [0.0] * 9 + [THZ * math.sqrt(2 * SPRING * inverse) for inverse in moving]
    assert found.frequencies_thz == pytest.approx(expected, abs=0.02)
    assert len(found.crystal) == 4
    np.testing.assert_allclose(found.crystal.cell[0], [8.0, 0, 0])


def test_a_squeezed_chain_buckles() -> None:
    """Shorter than its springs, it has two unstable modes across, of known frequency, that go downhill."""
    potential = springs(SPRING, 2.0, cutoff=3.0)
    found = phonons_of(chain(1.8), potential)
    across = THZ * math.sqrt(2 * SPRING * (0.2 / 1.8) * (1 / LIGHT + 1 / HEAVY))
    assert not found.dynamically_stable
    assert [mode.frequency_thz for mode in found.unstable_modes] == pytest.approx([-across] * 2, abs=0.02)
    for mode in found.unstable_modes:
        assert np.linalg.norm(mode.displacements) == pytest.approx(1)
        np.testing.assert_allclose(mode.displacements[:, 0], 0, atol=1e-3)
        # About the centre of mass, so the light one moves further.
        shares = np.linalg.norm(mode.displacements, axis=1)
        assert shares[0] / shares[1] == pytest.approx(HEAVY / LIGHT, rel=1e-3)
        buckled = found.crystal.cart_coords + 0.1 * mode.displacements
        moved = replace(found.crystal, frac_coords=buckled @ np.linalg.inv(found.crystal.cell))
        assert potential(moved).energy_ev < potential(found.crystal).energy_ev - 1e-4


def test_what_counts_as_unstable_is_set() -> None:
    """Modes above minus the tolerance are no instability, and the worst comes first."""
    potential = springs(SPRING, 2.0, cutoff=3.0)
    worst = phonons_of(chain(1.8), potential, replace(AS_IT_IS, repeats=(2, 1, 1)))
    frequencies = [mode.frequency_thz for mode in worst.unstable_modes]
    assert frequencies == sorted(frequencies)
    assert len(frequencies) == 6
    tolerant = replace(AS_IT_IS, instability_tolerance_thz=50.0)
    assert phonons_of(chain(1.8), potential, tolerant).dynamically_stable


@pytest.mark.parametrize(
    ("crystal", "repeats", "moved_atoms"),
    [
        (lopsided(), (1, 1, 1), 4),
        (lopsided(), (1, 1, 2), 4),
        (block(repeat=2), (1, 1, 1), 2),
        (sodium_chloride(), (2, 2, 2), 2),
        (sodium_chloride(), (2, 1, 1), 2),
        (silicon(), (1, 1, 2), 1),
        (iron(), (3, 2, 1), 1),
    ],
    ids=lambda value: getattr(value, "id", str(value)),
)
def test_symmetry_changes_nothing_but_the_work(crystal: Crystal, repeats: Repeats, moved_atoms: int) -> None:
    """Force constants are those of moving every atom of the supercell, with fewer evaluations."""
    evaluations = 0

    def counted(crystal: Crystal) -> Evaluation:
        nonlocal evaluations
        evaluations += 1
        return morse()(crystal)

    found = result_of(measuring_force_constants(crystal, repeats, 0.005), counted)
    assert evaluations == 6 * moved_atoms
    expected = brute_force(supercell(crystal, repeats), morse(), 0.005)
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found.reshape(-1, len(found) // 3, 3).sum(axis=1), 0, atol=1e-9)


def test_a_first_relaxation_is_told_apart_from_none() -> None:
    """The crystal that was shaken is the relaxed one, and a relaxation that did not converge is told."""
    found = phonons_of(lopsided(), morse(), PhononOptions())
    assert found.relaxation_converged
    assert np.abs(morse()(found.crystal).forces_ev_per_angstrom).max() <= 0.001
    assert found.dynamically_stable

    def restless(crystal: Crystal) -> Evaluation:
        return Evaluation(2, 0.0, forces_ev_per_angstrom=np.full((2, 3), 0.01), stress_gpa=np.zeros((3, 3)))

    assert not phonons_of(silicon(), restless, PhononOptions()).relaxation_converged


def test_a_move_that_cannot_be_evaluated_is_the_crystals_failure() -> None:
    """An error on the way is what shaking ends with."""
    outcome = outcome_of(compute_phonons(silicon(), AS_IT_IS), lambda _: IsolatedAtomError("alone"))
    assert isinstance(outcome, IsolatedAtomError)


def test_a_supercell_is_the_same_crystal() -> None:
    """Repeating changes neither density nor energy per atom, and keeps moments with their atoms."""
    whole = supercell(iron(), (2, 1, 3))
    assert len(whole) == 12
    assert whole.volume == pytest.approx(6 * iron().volume)
    assert whole.magnetic_moments is not None
    assert whole.magnetic_moments.tolist() == [2.2] * 12
    binary = supercell(sodium_chloride(), (1, 2, 1))
    assert binary.numbers.tolist() == [11, 17, 11, 17]
    assert morse()(binary).energy_ev == pytest.approx(2 * morse()(sodium_chloride()).energy_ev)


def test_silicon_by_chgnet() -> None:
    """Three modes at zero, three at the frequency that CHGNet's own code gives for the atoms' spring."""
    from crystalmesh_relaxation.engines.chgnet import CHGNetPotential

    found = phonons_of(silicon(), chgnet, PhononOptions(relax_first=False))
    assert found.frequencies_thz[:3] == pytest.approx([0, 0, 0], abs=1e-3)
    forces = []
    for sign in (1, -1):
        move = np.array([[0.0, 0, 0], [sign * 0.01, 0, 0]]) @ np.linalg.inv(silicon().cell)
        moved = replace(silicon(), frac_coords=silicon().frac_coords + move)
        (outcome,) = CHGNetPotential("cpu").evaluate([moved], frozenset({Quantity.ENERGY, Quantity.FORCES}))
        assert isinstance(outcome, Evaluation)
        forces.append(outcome.forces_ev_per_angstrom[1, 0])
    spring = (forces[1] - forces[0]) / 0.02
    optical = THZ * math.sqrt(2 * spring / float(atomic_masses[14]))
    assert found.frequencies_thz[3:] == pytest.approx([optical] * 3, rel=0.02)
    assert 10 < optical < 17
    assert found.dynamically_stable


def test_silicon_after_a_first_relaxation_is_stable() -> None:
    """CHGNet relaxes silicon to a hundredth of the usual threshold, and finds no unstable mode there."""
    found = phonons_of(silicon(shift=0.01), chgnet, PhononOptions())
    assert found.relaxation_converged
    assert found.dynamically_stable
    assert found.frequencies_thz[:3] == pytest.approx([0, 0, 0], abs=1e-3)
    assert found.frequencies_thz[3:] == pytest.approx([12.5] * 3, rel=0.15)
