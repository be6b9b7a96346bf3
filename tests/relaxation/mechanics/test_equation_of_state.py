from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError, IsolatedAtomError
from crystalmesh_relaxation.engine import Evaluation
from crystalmesh_relaxation.mechanics.equation_of_state import EquationOfStateOptions, fit_equation_of_state
from tests.relaxation.mechanics.laboratory import copper, lopsided, morse, outcome_of, result_of


def of_volume(energy: Callable[[float], float], *, push: float = 0.0) -> Callable[[Crystal], Evaluation]:
    """A potential that knows the volume alone; with a push, its atoms never come to rest."""

    def evaluate(crystal: Crystal) -> Evaluation:
        forces = np.zeros((len(crystal), 3))
        forces[0, 0] = push
        return Evaluation(
            len(crystal),
            energy(crystal.volume),
            forces_ev_per_angstrom=forces,
            stress_gpa=np.zeros((3, 3)),
        )

    return evaluate


def bowl(volume: float) -> float:
    """Lowest where copper begins, curved as by a bulk modulus of 100 GPa or so."""
    return 0.03 * (volume - copper().volume) ** 2


def test_the_modulus_is_the_curvature_of_the_energy() -> None:
    """V E'' by finite differences about the minimum, without a relaxation, is the fitted bulk modulus."""
    result = result_of(
        fit_equation_of_state(copper(), EquationOfStateOptions(max_volume_strain=0.02)), morse()
    )
    assert result.reliable, result.unreliable_reason

    def pressure_gpa(ratio: float) -> float:
        stress = morse()(replace(result.crystal, cell=result.crystal.cell * ratio ** (1 / 3))).stress_gpa
        return -float(np.trace(stress)) / 3

    slope = (pressure_gpa(0.999) - pressure_gpa(1.001)) / 0.002
    assert result.curve.bulk_modulus_gpa == pytest.approx(slope, rel=0.01)
    assert result.curve.volume_cubic_angstrom == pytest.approx(result.crystal.volume, rel=1e-3)
    assert abs(pressure_gpa(1.0)) < 0.05


@pytest.mark.parametrize("points", [5, 8])
def test_the_volumes_are_spread_evenly_about_the_first(points: int) -> None:
    """As many points as asked for, from the largest compression to the largest stretch."""
    options = EquationOfStateOptions(relax_first=False, max_volume_strain=0.2, points=points)
    result = result_of(fit_equation_of_state(copper(), options), morse())
    ratios = [point.volume_cubic_angstrom / copper().volume for point in result.points]
    np.testing.assert_allclose(ratios, np.linspace(0.8, 1.2, points))
    np.testing.assert_array_equal(result.crystal.cell, copper().cell)


def test_atoms_come_to_rest_in_each_cell_unless_told_otherwise() -> None:
    """Where symmetry does not hold the atoms, letting them move lowers the energy of every cell."""
    settled, kept = (
        result_of(
            fit_equation_of_state(
                lopsided(),
                EquationOfStateOptions(relax_first=False, points=5, keep_fractional_coordinates=keep),
            ),
            morse(),
        )
        for keep in (False, True)
    )
    gains = [k.energy_ev - s.energy_ev for s, k in zip(settled.points, kept.points, strict=True)]
    assert min(gains) > 1e-4


def test_a_smooth_bowl_is_reliable() -> None:
    """Nothing speaks against a fit of energies that have a minimum in the middle."""
    result = result_of(fit_equation_of_state(copper(), EquationOfStateOptions()), of_volume(bowl))
    assert (result.reliable, result.unreliable_reason) == (True, "")
    assert result.residual_ev_per_atom == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("energy", "reason"),
    [
        (lambda volume: bowl(volume - 4.0), "the minimum lies outside"),
        (lambda volume: -bowl(volume), "minimum"),
        (lambda volume: 0.0 * volume, "the curve has no minimum"),
        (lambda volume: bowl(volume) + 0.03 * (volume > 12.0), "one smooth curve"),
    ],
    ids=["outside", "hill", "plain", "step"],
)
def test_what_speaks_against_a_fit_is_told(energy: Callable[[float], float], reason: str) -> None:
    """Each kind of energies that are no bowl makes the fit unreliable, and says so in words."""
    result = result_of(fit_equation_of_state(copper(), EquationOfStateOptions()), of_volume(energy))
    assert not result.reliable
    assert reason in result.unreliable_reason


def test_atoms_that_never_rest_are_told() -> None:
    """A relaxation that did not converge, at first or at a volume, makes the fit unreliable."""
    restless = of_volume(bowl, push=0.02)
    first = result_of(
        fit_equation_of_state(copper(), EquationOfStateOptions(keep_fractional_coordinates=True)), restless
    )
    assert first.unreliable_reason == "the first relaxation did not converge (step limit)"
    at_volumes = result_of(
        fit_equation_of_state(copper(), EquationOfStateOptions(relax_first=False, points=5)), restless
    )
    assert at_volumes.unreliable_reason.count("did not come to rest at") == 5


def test_a_volume_that_cannot_be_evaluated_is_the_crystals_failure() -> None:
    """An error on the way is what the fit ends with."""

    def short_sighted(crystal: Crystal) -> Evaluation | CrystalMeshError:
        if crystal.volume > 12.5:
            return IsolatedAtomError("an atom is alone")
        return of_volume(bowl)(crystal)

    outcome = outcome_of(fit_equation_of_state(copper(), EquationOfStateOptions()), short_sighted)
    assert isinstance(outcome, IsolatedAtomError)
