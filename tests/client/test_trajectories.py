from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import units

from crystalmesh.relaxation.v1 import dynamics_pb2, evaluation_pb2, relaxation_pb2
from crystalmesh_client import Failed, Relaxation, RelaxationFrame
from crystalmesh_client.dynamics import dynamics_frame_from, dynamics_report_from
from crystalmesh_client.results import relaxation_from
from crystalmesh_client.trajectories import (
    dynamics_trajectories,
    relaxation_frame_from,
    relaxation_trajectories,
)
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import IsolatedAtomError
from tests.conftest import silicon, sodium_chloride

EVALUATION = evaluation_pb2.Evaluation(
    energy_ev=-10.0,
    energy_ev_per_atom=-5.0,
    forces_ev_per_angstrom=[0.3, 0.0, 0.4, -0.3, 0.0, -0.4],
    stress_gpa=np.eye(3).ravel().tolist(),
    model="a-model",
)


def frame(crystal: Crystal, step: int) -> RelaxationFrame:
    message = relaxation_pb2.TrajectoryFrame(
        step=step, crystal=crystal_to_proto(crystal), evaluation=EVALUATION
    )
    return relaxation_frame_from(message, crystal)


def end(crystal: Crystal, steps: int) -> Relaxation:
    message = relaxation_pb2.Relaxation(
        crystal=crystal_to_proto(crystal), steps=steps, initial=EVALUATION, final=EVALUATION
    )
    return relaxation_from(message, crystal)


def steps_of(stream: Sequence[RelaxationFrame | Relaxation | Failed]) -> dict[str, list[int]]:
    return {
        outcome.id: [] if isinstance(outcome, Failed) else [frame.step for frame in outcome]
        for outcome in relaxation_trajectories(stream)
    }


def test_frames_of_many_crystals_are_told_apart() -> None:
    """Frames come in turn, and each trajectory has those of its crystal; one that failed has none."""
    one, other = silicon(), sodium_chloride()
    stream = [
        frame(one, 0),
        frame(other, 0),
        Failed("lone", IsolatedAtomError("alone")),
        frame(one, 1),
        end(other, 0),
        end(one, 1),
    ]
    assert steps_of(stream) == {"lone": [], "NaCl": [0], "Si": [0, 1]}


def test_a_trajectory_ends_where_the_relaxation_did() -> None:
    """The end is the last frame, also where no frame was due at its step, and is there once."""
    one = silicon()
    assert steps_of([frame(one, 0), frame(one, 5), end(one, 7)]) == {"Si": [0, 5, 7]}
    assert steps_of([frame(one, 0), frame(one, 5), end(one, 5)]) == {"Si": [0, 5]}
    assert steps_of([end(one, 3)]) == {"Si": [3]}


def test_a_crystal_that_began_again_has_one_way() -> None:
    """After the loss of a server the frames from before it do not count."""
    one = silicon()
    stream = [frame(one, 0), frame(one, 1), frame(one, 0), frame(one, 1), frame(one, 2), end(one, 2)]
    assert steps_of(stream) == {"Si": [0, 1, 2]}


def test_a_trajectory_goes_through_a_file(tmp_path: Path) -> None:
    """Extended XYZ keeps cells, steps, energies and forces of all frames."""
    one = silicon()
    (trajectory,) = relaxation_trajectories(
        [frame(one, 0), frame(replace(one, cell=1.1 * one.cell), 1), end(one, 2)]
    )
    assert not isinstance(trajectory, Failed)
    trajectory.write(tmp_path / "way.extxyz")
    read = ase.io.read(tmp_path / "way.extxyz", index=":")
    assert [atoms.info["step"] for atoms in read] == [0, 1, 2]
    np.testing.assert_allclose(read[1].cell.array, 1.1 * one.cell)
    assert read[0].get_potential_energy() == -10.0
    np.testing.assert_allclose(read[0].get_forces()[0], [0.3, 0.0, 0.4])


def test_a_frame_of_dynamics_has_velocities_in_ases_units() -> None:
    """ASE finds the kinetic energy that belongs to the velocities."""
    crystal = sodium_chloride()
    message = dynamics_pb2.DynamicsFrame(
        step=100,
        crystal=crystal_to_proto(crystal),
        velocities_angstrom_per_fs=[0.01, 0.0, 0.0, 0.0, 0.02, 0.0],
        potential_energy_ev=-7.0,
    )
    dynamics_frame = dynamics_frame_from(message, crystal)
    atoms = dynamics_frame.to_ase()
    np.testing.assert_allclose(
        atoms.get_velocities() * units.fs, dynamics_frame.velocities_angstrom_per_fs, atol=1e-12
    )
    # m v² / 2 with 1 u (Å/fs)² = 103.6427 eV
    assert atoms.get_kinetic_energy() == pytest.approx(
        103.6427 / 2 * (22.98977 * 0.01**2 + 35.45 * 0.02**2), rel=1e-4
    )
    assert atoms.get_potential_energy() == -7.0
    assert atoms.info["step"] == 100


def test_a_run_ends_in_its_report() -> None:
    """Frames and report are one trajectory; a notebook shows why a run cannot be believed, and safely."""
    crystal = sodium_chloride("<salt>")
    moment = dynamics_frame_from(dynamics_pb2.DynamicsFrame(crystal=crystal_to_proto(crystal)), crystal)
    report = dynamics_report_from(
        dynamics_pb2.DynamicsReport(
            steps=7, instability="atoms 0 and 1 collided", final=crystal_to_proto(crystal)
        ),
        crystal,
    )
    (trajectory,) = dynamics_trajectories([moment, report])
    assert not isinstance(trajectory, Failed)
    assert (trajectory.id, trajectory.frames, trajectory.end) == ("<salt>", (moment,), report)
    np.testing.assert_array_equal(moment.velocities_angstrom_per_fs, np.zeros((2, 3)))
    shown = report._repr_html_()
    assert "no: atoms 0 and 1 collided" in shown
    assert "<salt>" not in shown
