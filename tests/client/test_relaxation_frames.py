from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest

from crystalmesh_client import (
    AsyncMesh,
    DynamicsFrame,
    DynamicsOptions,
    DynamicsReport,
    Failed,
    Mesh,
    Relaxation,
    RelaxationFrame,
    RelaxOptions,
)
from crystalmesh_common.runtime.errors import InvalidFieldError, IsolatedAtomError
from tests.conftest import iron, lone_atom, silicon, sodium_chloride

SOON = RelaxOptions(max_force_ev_per_angstrom=0.02)


def test_a_relaxation_can_be_watched(mesh: Mesh, tmp_path: Path) -> None:
    """Frames lead from the crystal as it came to where it ended, step by step, each with its energy."""
    trajectory = mesh.relaxation.relax_frames(silicon(shift=0.03), SOON)
    assert trajectory.end.converged
    steps = [frame.step for frame in trajectory]
    assert steps == list(range(trajectory.end.steps + 1))
    first, last = trajectory.frames[0], trajectory.frames[-1]
    np.testing.assert_allclose(first.crystal.frac_coords, silicon(shift=0.03).frac_coords)
    np.testing.assert_array_equal(last.crystal.frac_coords, trajectory.end.crystal.frac_coords)
    assert last.energy_ev_per_atom < first.energy_ev_per_atom
    assert last.max_force_ev_per_angstrom is not None
    assert last.max_force_ev_per_angstrom <= 0.02
    trajectory.write(tmp_path / "way.extxyz")
    assert len(ase.io.read(tmp_path / "way.extxyz", index=":")) == len(trajectory)


def test_frames_of_a_batch_come_before_its_outcomes(mesh: Mesh) -> None:
    """Each crystal has frames every so many steps, and then one outcome; one that fails has no frames."""
    crystals = [silicon(shift=0.03), lone_atom(), sodium_chloride(a=5.8)]
    ended: set[str] = set()
    steps: dict[str, list[int]] = {}
    for item in mesh.relaxation.relax_frames_many(crystals, SOON, every=3):
        assert item.id not in ended
        if isinstance(item, RelaxationFrame):
            steps.setdefault(item.id, []).append(item.step)
        else:
            ended.add(item.id)
            assert isinstance(item, Failed if item.id == "lone" else Relaxation)
    assert ended == {"Si", "NaCl", "lone"}
    assert set(steps) == {"Si", "NaCl"}
    assert all(step % 3 == 0 for of_one in steps.values() for step in of_one)


async def test_watching_from_asyncio(async_mesh: AsyncMesh) -> None:
    """The async client says the same, and raises what is wrong with a crystal."""
    trajectory = await async_mesh.relaxation.relax_frames(silicon(shift=0.03), SOON, every=4)
    assert trajectory.frames[-1].step == trajectory.end.steps
    with pytest.raises(IsolatedAtomError):
        await async_mesh.relaxation.relax_frames(lone_atom())


def test_a_run_of_dynamics_is_followed(mesh: Mesh) -> None:
    """Frames come at their steps and conserve energy, and the report says that nothing broke."""
    options = DynamicsOptions(steps=20, ensemble="nve", time_step_fs=0.5, frame_interval_steps=5, seed=1)
    trajectory = mesh.relaxation.run_dynamics(silicon(), options)
    report = trajectory.end
    assert (report.stable, report.instability, report.steps) == (True, "", 20)
    assert [frame.step for frame in trajectory] == [0, 5, 10, 15, 20]
    totals = [frame.potential_energy_ev + frame.kinetic_energy_ev for frame in trajectory]
    assert max(totals) - min(totals) < 0.01
    assert report.shortest_distance_angstrom == pytest.approx(2.36, abs=0.3)
    assert trajectory.frames[0].temperature_kelvin > 0


def test_equal_seeds_make_equal_runs(mesh: Mesh) -> None:
    """The seed decides the velocities."""

    def velocities(seed: int) -> np.ndarray:
        options = DynamicsOptions(steps=1, frame_interval_steps=1, seed=seed)
        return mesh.relaxation.run_dynamics(iron(), options).frames[0].velocities_angstrom_per_fs

    np.testing.assert_array_equal(velocities(3), velocities(3))
    assert not np.allclose(velocities(3), velocities(4))


async def test_a_batch_of_runs(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """Every crystal has one report or says why not; no frames when none are wanted."""
    crystals = [silicon(), replace(iron(), magnetic_moments=None), lone_atom()]
    options = DynamicsOptions(steps=2, frame_interval_steps=0)
    items = list(mesh.relaxation.run_dynamics_many(crystals, options))
    items += [item async for item in async_mesh.relaxation.run_dynamics_many(crystals, options)]
    assert sorted(item.id for item in items) == ["Fe", "Fe", "Si", "Si", "lone", "lone"]
    for item in items:
        assert not isinstance(item, DynamicsFrame)
        assert isinstance(item, Failed if item.id == "lone" else DynamicsReport)


def test_steps_are_the_servers_to_judge(mesh: Mesh) -> None:
    """A run of no steps is refused whole, by field."""
    with pytest.raises(InvalidFieldError) as failed:
        mesh.relaxation.run_dynamics(silicon(), DynamicsOptions(steps=0))
    assert failed.value.details["field"] == "steps"
