from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1 import dynamics_pb2
from crystalmesh.relaxation.v1.dynamics_pb2 import RunMolecularDynamicsRequest
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import from_status
from crystalmesh_relaxation import convert_dynamics
from crystalmesh_relaxation.dynamics.task import DynamicsFrame, DynamicsOptions, DynamicsReport, Ensemble
from crystalmesh_relaxation.engine import PotentialInfo, Quantity
from crystalmesh_relaxation.engines.chgnet_info import chgnet_info
from crystalmesh_relaxation.models import Models
from tests.conftest import silicon

CHGNET = chgnet_info("cpu")


def models(*potentials: PotentialInfo) -> Models:
    known = Models([potential.name for potential in potentials])
    known.loaded(potentials)
    return known


def request_of(**fields: Any) -> RunMolecularDynamicsRequest:
    crystals = [CrystalInput(crystal=crystal_to_proto(silicon()))]
    return RunMolecularDynamicsRequest(**({"crystals": crystals, "steps": 10} | fields))


def order(request: RunMolecularDynamicsRequest, *potentials: PotentialInfo) -> convert_dynamics.DynamicsOrder:
    return convert_dynamics.dynamics_order(request, models(*(potentials or (CHGNET,))), Limits())


def test_what_is_not_given_has_the_defaults_of_the_api() -> None:
    """Langevin at 300 K, 1 fs, friction 0.01, no pressure, a frame each 100 steps, seed 0."""
    found = order(request_of())
    assert found.options == DynamicsOptions(steps=10)
    assert found.options.ensemble is Ensemble.NVT_LANGEVIN
    assert (found.options.time_step_fs, found.options.temperature_kelvin) == (1, 300)
    assert (found.options.friction_per_fs, found.options.pressure_gpa) == (0.01, 0)
    assert (found.options.frame_interval_steps, found.options.seed) == (100, 0)
    assert (found.potential, found.ids) == (CHGNET, ["Si"])


def test_what_is_given_is_taken() -> None:
    """Every field arrives, zeros included."""
    given = {
        "time_step_fs": 2.0,
        "temperature_kelvin": 0.0,
        "friction_per_fs": 0.5,
        "pressure_gpa": -3.0,
        "frame_interval_steps": 0,
        "seed": 2**64 - 1,
    }
    found = order(request_of(ensemble=dynamics_pb2.ENSEMBLE_NPT, **given))
    assert found.options == DynamicsOptions(steps=10, ensemble=Ensemble.NPT, **given)  # type: ignore[arg-type]
    assert Quantity.STRESS in found.options.quantities


def test_every_ensemble_of_the_api_is_known() -> None:
    """None is refused, and only UNSPECIFIED shares its meaning."""
    known = [order(request_of(ensemble=value)).options.ensemble for value in dynamics_pb2.Ensemble.values()]
    assert set(known) == set(Ensemble)
    assert len(known) == len(Ensemble) + 1


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"steps": 0}, errors.InvalidFieldError, "steps"),
        ({"steps": 10_000_001}, errors.InvalidFieldError, "steps"),
        ({"time_step_fs": 0.0}, errors.InvalidFieldError, "time_step_fs"),
        ({"time_step_fs": 10.1}, errors.InvalidFieldError, "time_step_fs"),
        ({"time_step_fs": math.nan}, errors.InvalidFieldError, "time_step_fs"),
        ({"temperature_kelvin": -1.0}, errors.InvalidFieldError, "temperature_kelvin"),
        ({"temperature_kelvin": 20_001.0}, errors.InvalidFieldError, "temperature_kelvin"),
        ({"temperature_kelvin": math.nan}, errors.InvalidFieldError, "temperature_kelvin"),
        ({"friction_per_fs": 0.0}, errors.InvalidFieldError, "friction_per_fs"),
        ({"friction_per_fs": math.inf}, errors.InvalidFieldError, "friction_per_fs"),
        ({"pressure_gpa": math.nan}, errors.InvalidFieldError, "pressure_gpa"),
        ({"ensemble": 9}, errors.UnknownEnumValueError, "ensemble"),
        ({"crystals": []}, errors.EmptyBatchError, "crystals"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_named(
    fields: dict[str, Any], error: type[errors.CrystalMeshError], field: str
) -> None:
    """A wrong request fails whole, with the field that is wrong."""
    with pytest.raises(error) as raised:
        order(request_of(**fields))
    assert raised.value.details["field"] == field


def test_a_model_that_lacks_what_the_ensemble_needs() -> None:
    """Without stress there is no NPT, and without forces no dynamics at all."""
    from dataclasses import replace

    stressless = replace(CHGNET, quantities=frozenset({Quantity.ENERGY, Quantity.FORCES}))
    assert order(request_of(), stressless).potential is stressless
    with pytest.raises(errors.UnsupportedQuantityError, match="stress"):
        order(request_of(ensemble=dynamics_pb2.ENSEMBLE_NPT), stressless)
    forceless = replace(CHGNET, quantities=frozenset({Quantity.ENERGY}))
    with pytest.raises(errors.UnsupportedQuantityError, match="forces"):
        order(request_of(), forceless)


def test_a_frame_is_written_whole() -> None:
    """Velocities row by row, and each energy in its place."""
    velocities = np.arange(6.0).reshape(2, 3)
    frame = DynamicsFrame(7, silicon(), velocities, -4.0, 0.5, 321.0)
    response = convert_dynamics.dynamics_response("Si", 3, frame)
    assert (response.crystal_id, response.index, response.frame.step) == ("Si", 3, 7)
    assert list(response.frame.velocities_angstrom_per_fs) == [0, 1, 2, 3, 4, 5]
    assert (response.frame.potential_energy_ev, response.frame.kinetic_energy_ev) == (-4.0, 0.5)
    assert response.frame.temperature_kelvin == 321
    assert response.frame.crystal.id == "Si"


@pytest.mark.parametrize("instability", ["", "sites 0 (Si) and 1 (Si) collided"])
def test_a_report_is_written_whole(instability: str) -> None:
    """A run is stable where nothing broke, and every number of it arrives."""
    report = DynamicsReport(9, instability, 1.5, 290.0, 2.2, 0.75, silicon())
    message = convert_dynamics.dynamics_response("Si", 0, report).report
    assert (message.steps, message.stable, message.instability) == (9, not instability, instability)
    assert (message.energy_drift_mev_per_atom_per_ps, message.mean_temperature_kelvin) == (1.5, 290.0)
    assert (message.shortest_distance_angstrom, message.bonds_kept_fraction) == (2.2, 0.75)
    assert list(message.final.atomic_numbers) == [14, 14]


def test_a_failure_is_written_as_its_status() -> None:
    """A crystal's error travels inside its outcome."""
    response = convert_dynamics.dynamics_response("Si", 0, errors.IsolatedAtomError("alone", site=3))
    assert isinstance(from_status(response.error), errors.IsolatedAtomError)
