from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_common.crystal.structure import Crystal, FloatArray
from crystalmesh_common.runtime import errors
from crystalmesh_relaxation.dynamics.task import DynamicsOptions, DynamicsReport, DynamicsTask, Ensemble
from crystalmesh_relaxation.engine import Evaluation
from tests.conftest import block, silicon, sodium_chloride
from tests.relaxation.dynamics.springs import Springs, followed, rattled, reported

NVE = DynamicsOptions(steps=300, ensemble=Ensemble.NVE, frame_interval_steps=0)


def test_energy_is_conserved_and_reported_so() -> None:
    """NVE on springs drifts by less than 0.1 meV per atom and ps, at the temperature of equipartition."""
    report = reported(Springs(block(repeat=2)), DynamicsTask(block(repeat=2), NVE))
    assert (report.stable, report.steps) == (True, 300)
    assert abs(report.energy_drift_mev_per_atom_per_ps) < 0.1
    # Half of what the start had goes into the springs.
    assert report.mean_temperature_kelvin == pytest.approx(150, rel=0.2)


def test_a_leak_of_energy_is_seen_and_measured() -> None:
    """Forces that lag behind their energy by a loss of 1 meV per atom and fs drift by a thousand a ps."""

    class Leaking(Springs):
        losses = 0

        def evaluate(
            self, crystals: object, quantities: object
        ) -> list[Evaluation | errors.CrystalMeshError]:
            Leaking.losses += 1
            found = self.evaluation(crystals[0])  # type: ignore[index]
            return [replace(found, energy_ev=found.energy_ev - 0.001 * found.n_atoms * Leaking.losses)]

    report = reported(Leaking(sodium_chloride()), DynamicsTask(sodium_chloride(), NVE))
    assert report.energy_drift_mev_per_atom_per_ps == pytest.approx(-1000, rel=0.01)


def test_frames_come_at_their_interval() -> None:
    """From step 0 on, each with positions, velocities and energies that belong together."""
    options = replace(NVE, steps=10, frame_interval_steps=4)
    springs = Springs(silicon())
    frames, _ = followed(springs, DynamicsTask(silicon(), options))
    assert [frame.step for frame in frames] == [0, 4, 8]
    for frame in frames:
        assert frame.velocities_angstrom_per_fs.shape == (2, 3)
        assert frame.potential_energy_ev == springs.evaluation(frame.crystal).energy_ev
        assert frame.kinetic_energy_ev > 0
    assert frames[0].temperature_kelvin == pytest.approx(300)


def end_of(crystal: Crystal, options: DynamicsOptions) -> FloatArray:
    return reported(Springs(silicon()), DynamicsTask(crystal, options)).final.frac_coords


@pytest.mark.parametrize("ensemble", Ensemble)
def test_a_seed_decides_a_trajectory(ensemble: Ensemble) -> None:
    """The same seed and id give the same end, bit for bit; another seed or another id gives another."""
    options = DynamicsOptions(steps=40, ensemble=ensemble)
    ends = [end_of(silicon(), options) for _ in range(2)]
    np.testing.assert_array_equal(*ends)
    assert np.abs(ends[0] - end_of(silicon(), replace(options, seed=1))).max() > 1e-4
    assert np.abs(ends[0] - end_of(silicon("another"), options)).max() > 1e-4


def test_a_cell_of_one_atom_stands_still() -> None:
    """One atom has no motion within its crystal: a stable run at 0 K, whatever was asked for."""
    copper = Crystal(1.8 * (1 - np.eye(3)), np.array([29]), np.zeros((1, 3)), "Cu")
    for ensemble in Ensemble:
        report = reported(Springs(copper), DynamicsTask(copper, replace(NVE, ensemble=ensemble, steps=20)))
        assert report.stable, report.instability
        assert report.mean_temperature_kelvin == 0
        assert report.bonds_kept_fraction == 1
        np.testing.assert_allclose(report.final.frac_coords, copper.frac_coords, atol=1e-12)


def test_springs_that_push_are_an_explosion() -> None:
    """A run that gains energy without end stops early, and says what it saw."""
    report = reported(Springs(block(repeat=2), stiffness=-5), DynamicsTask(block(repeat=2), NVE))
    assert not report.stable
    assert report.steps < 300
    assert "ran away" in report.instability or "collided" in report.instability


def test_a_step_too_long_for_the_bonds_is_an_explosion() -> None:
    """Ten femtoseconds on stiff springs heat the crystal until it is stopped."""
    hasty = replace(NVE, time_step_fs=10)
    report = reported(Springs(silicon(), stiffness=400), DynamicsTask(silicon(), hasty))
    assert "the temperature ran away" in report.instability


def test_an_enormous_force_throws_no_atom_anywhere() -> None:
    """Where one force would send an atom across the sky, the run ends where the crystal still is."""
    forces = np.array([[1e20, 0, 0], [-1e20, 0, 0]])
    report = DynamicsTask(silicon(), NVE).advance(Evaluation(2, 0.0, forces))
    assert isinstance(report, DynamicsReport)
    assert (report.steps, report.stable) == (0, False)
    assert "the temperature ran away" in report.instability
    np.testing.assert_array_equal(report.final.frac_coords, silicon().frac_coords)


def test_atoms_that_collide_at_the_start_are_reported_there() -> None:
    """A crystal with two atoms 0.3 Å apart ends at step 0, with their sites named."""
    close = replace(silicon(), frac_coords=np.array([[0, 0, 0], [0.05, 0.05, 0.0]]))
    report = reported(Springs(close), DynamicsTask(close, NVE))
    assert (report.steps, report.stable) == (0, False)
    assert report.instability.startswith("sites 0 (Si) and 1 (Si) collided")
    assert report.shortest_distance_angstrom < 0.5


@pytest.mark.parametrize(("pressure_gpa", "word"), [(300.0, "collapsed"), (-300.0, "blew up")])
def test_a_cell_that_goes_is_reported(pressure_gpa: float, word: str) -> None:
    """A pressure that the crystal has nothing against ends the run once the cell is far from its start."""
    options = DynamicsOptions(steps=5000, ensemble=Ensemble.NPT, pressure_gpa=pressure_gpa)
    soft = Springs(block(repeat=2), bulk_modulus_gpa=1)
    report = reported(soft, DynamicsTask(block(repeat=2), options))
    assert f"the cell {word}" in report.instability or "collided" in report.instability


def test_the_shortest_distance_is_that_of_the_whole_run() -> None:
    """It is shorter than at the start and at the end, and no longer than in any frame."""
    from crystalmesh_common.crystal.distances import shortest_distance

    start = block(repeat=2)
    options = DynamicsOptions(steps=200, frame_interval_steps=1, temperature_kelvin=600)
    frames, report = followed(Springs(start), DynamicsTask(start, options))
    assert not isinstance(report, errors.CrystalMeshError)
    shortest = min(shortest_distance(frame.crystal) for frame in frames)
    assert report.shortest_distance_angstrom == pytest.approx(shortest, abs=1e-9)


def test_an_atom_that_is_drawn_away_loses_its_bonds() -> None:
    """Springs to the far side of a hole break one bond of four; springs to its own site keep all."""
    start = silicon()
    options = DynamicsOptions(steps=400, temperature_kelvin=0, friction_per_fs=0.1)
    assert reported(Springs(start), DynamicsTask(start, options)).bonds_kept_fraction == 1
    away = replace(start, frac_coords=np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]))
    report = reported(Springs(away, stiffness=1), DynamicsTask(start, options))
    assert report.stable, report.instability
    assert report.bonds_kept_fraction == 0.75


def test_what_a_potential_cannot_evaluate_at_the_start_is_an_error() -> None:
    """An isolated atom has no run; neither has a crystal on which the model gives no numbers."""
    alone = errors.IsolatedAtomError("site 0 has no neighbour")
    assert DynamicsTask(silicon(), NVE).advance(alone) is alone
    nothing = Evaluation(2, float("nan"), np.zeros((2, 3)))
    assert isinstance(DynamicsTask(silicon(), NVE).advance(nothing), errors.ModelFailedError)


def test_what_it_cannot_evaluate_on_the_way_is_an_instability() -> None:
    """Atoms that lost their neighbours end the run with a report of the steps before."""
    springs = Springs(silicon())
    failures = (errors.IsolatedAtomError("site 0 is alone"), Evaluation(2, 0.0, np.full((2, 3), np.inf)))
    for failure in failures:
        task = DynamicsTask(silicon(), NVE)
        for _ in range(5):
            assert task.advance(springs.evaluation(task.crystal)) is None
        report = task.advance(failure)
        assert report is not None
        assert not isinstance(report, errors.CrystalMeshError)
        assert (report.steps, report.stable) == (5, False)
        assert report.instability.startswith("the potential failed: ")


def test_what_says_nothing_of_the_run_stays_an_error() -> None:
    """Memory that ran out is no instability of the crystal."""
    task = DynamicsTask(silicon(), NVE)
    task.advance(Springs(silicon()).evaluation(task.crystal))
    assert isinstance(task.advance(errors.OutOfMemoryError("none left")), errors.OutOfMemoryError)


def test_the_crystal_keeps_its_name() -> None:
    """The final crystal has the id and the elements that came."""
    report = reported(Springs(silicon()), DynamicsTask(rattled(silicon(), "mine", seed=1), NVE))
    assert report.final.id == "mine"
    assert report.final.numbers.tolist() == [14, 14]
