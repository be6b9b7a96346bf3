from __future__ import annotations

from typing import Any

import pytest

from crystalmesh.relaxation.v1 import dynamics_pb2
from crystalmesh_client import (
    DynamicsOptions,
    ElasticityOptions,
    EquationOfStateOptions,
    PhononOptions,
)
from crystalmesh_client.relaxation_questions import dynamics_runs, relaxations_with_frames


def test_what_is_not_said_is_the_servers_default() -> None:
    """Fields of options that are None are unset in the request."""
    dynamics = DynamicsOptions(steps=10).to_proto("")
    assert (dynamics.steps, dynamics.ensemble) == (10, dynamics_pb2.ENSEMBLE_NVT_LANGEVIN)
    for field in (
        "time_step_fs",
        "temperature_kelvin",
        "friction_per_fs",
        "pressure_gpa",
        "frame_interval_steps",
    ):
        assert not dynamics.HasField(field)  # type: ignore[arg-type]
    for request in (
        EquationOfStateOptions().to_proto(""),
        ElasticityOptions().to_proto(""),
        PhononOptions().to_proto(""),
    ):
        named = {descriptor.name for descriptor, _ in request.ListFields()}
        assert named == {"relax_first"}


def test_what_is_said_is_in_the_request() -> None:
    """Numbers, ensembles, supercells and models arrive."""
    dynamics = DynamicsOptions(steps=5, ensemble="npt", pressure_gpa=2.0, seed=7).to_proto("m")
    assert (dynamics.ensemble, dynamics.pressure_gpa, dynamics.seed) == (dynamics_pb2.ENSEMBLE_NPT, 2.0, 7)
    assert EquationOfStateOptions(points=7, relax_first=False).to_proto("m").points == 7
    assert ElasticityOptions(keep_fractional_coordinates=True).to_proto("m").keep_fractional_coordinates
    phonons = PhononOptions(supercell=(2, 1, 3)).to_proto("m")
    assert (list(phonons.supercell), phonons.model) == ([2, 1, 3], "m")


@pytest.mark.parametrize("options", [{"ensemble": "nvp"}, {"steps": -1}, {"seed": -1}])
def test_what_no_request_can_hold_is_refused_at_once(options: dict[str, Any]) -> None:
    """A misspelt ensemble and negative counts are ValueErrors before anything is sent."""
    with pytest.raises(ValueError, match=r"nvp|-1|range"):
        dynamics_runs(DynamicsOptions(**{"steps": 1, **options}), "")


def test_frames_come_every_positive_number_of_steps() -> None:
    """Every 0 steps would be no frames, which is what `relax` is for."""
    with pytest.raises(ValueError, match="at least 1"):
        relaxations_with_frames(None, 0, "")
