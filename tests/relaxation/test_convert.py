from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crystalmesh.relaxation.v1 import evaluation_pb2
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import from_status
from crystalmesh_relaxation import convert
from crystalmesh_relaxation.engine import Evaluation, PotentialInfo, Quantity
from crystalmesh_relaxation.engines.chgnet_info import chgnet_info
from crystalmesh_relaxation.models import Models
from tests.conftest import silicon, sodium_chloride
from tests.relaxation.wire import request_of

POTENTIAL = chgnet_info("cpu")


def serving(*potentials: PotentialInfo) -> Models:
    """The models of a server that has loaded these."""
    models = Models([potential.name for potential in potentials])
    models.loaded(potentials)
    return models


def order(request: EvaluateRequest, **limits: int) -> convert.EvaluateOrder:
    return convert.evaluate_order(request, serving(POTENTIAL), Limits(**limits))


def test_an_order_of_everything() -> None:
    """Without quantities all that the potential can give is meant; ids are those of the crystals."""
    found = order(request_of(sodium_chloride(), silicon()))
    assert found.quantities == frozenset(Quantity)
    assert found.ids == ["NaCl", "Si"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ([evaluation_pb2.QUANTITY_ENERGY], {Quantity.ENERGY}),
        ([evaluation_pb2.QUANTITY_STRESS], {Quantity.ENERGY, Quantity.STRESS}),
        ([evaluation_pb2.QUANTITY_FORCES] * 2, {Quantity.ENERGY, Quantity.FORCES}),
    ],
)
def test_the_energy_is_always_meant(asked: list[int], meant: set[Quantity]) -> None:
    """The quantities asked for, once each, and the energy."""
    assert order(request_of(sodium_chloride(), quantities=asked)).quantities == meant


def test_every_quantity_of_the_api_is_known() -> None:
    """No Quantity of the proto but UNSPECIFIED is refused, and no two mean the same."""
    values = [value for value in evaluation_pb2.Quantity.values() if value]
    known = [convert.QUANTITIES[value] for value in values]
    assert sorted(known, key=str) == sorted(Quantity, key=str)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (request_of(), errors.EmptyBatchError),
        (request_of(sodium_chloride(), quantities=[0]), errors.UnknownEnumValueError),
        (request_of(sodium_chloride(), quantities=[1, 77]), errors.UnknownEnumValueError),
        (request_of(sodium_chloride(), model="other"), errors.ModelNotFoundError),
        (request_of(sodium_chloride(), sodium_chloride()), errors.DuplicateIdError),
        (request_of(sodium_chloride(), silicon(), sodium_chloride("3")), errors.TooManyCrystalsError),
    ],
)
def test_a_wrong_request_is_no_order(request_: EvaluateRequest, error: type[errors.CrystalMeshError]) -> None:
    """Each kind of mistake in the request as a whole has its own error."""
    with pytest.raises(error):
        order(request_, crystals_per_call=2)


def test_a_quantity_that_the_potential_lacks_is_refused() -> None:
    """What the served potential cannot give is UNSUPPORTED_QUANTITY; everything then means what it has."""
    spinless = replace(POTENTIAL, quantities=frozenset({Quantity.ENERGY, Quantity.FORCES}))
    moments = request_of(sodium_chloride(), quantities=[evaluation_pb2.QUANTITY_MAGNETIC_MOMENTS])
    with pytest.raises(errors.UnsupportedQuantityError, match="magnetic moments"):
        convert.evaluate_order(moments, serving(spinless), Limits())
    everything = convert.evaluate_order(request_of(sodium_chloride()), serving(spinless), Limits())
    assert everything.quantities == spinless.quantities


def test_a_served_model_may_be_named_or_not() -> None:
    """No name means the first; each of several is found by its own."""
    other = replace(POTENTIAL, name="other")
    models = serving(POTENTIAL, other)
    assert models.resolve("") == POTENTIAL
    assert models.resolve(POTENTIAL.name) == POTENTIAL
    assert models.resolve("other") == other


def test_a_model_that_loads_is_known_and_not_ready() -> None:
    """Until it is loaded its name is listed, and asking for it is MODEL_LOADING; an unknown name is not."""
    models = Models(["slow"])
    (info,) = convert.model_infos(models, ready=False)
    assert (info.name, info.ready, info.is_default) == ("slow", False, True)
    with pytest.raises(errors.ModelLoadingError):
        models.resolve("slow")
    with pytest.raises(errors.ModelNotFoundError):
        models.resolve("fast")


def test_a_result_is_written_row_by_row() -> None:
    """Arrays are flattened row-major, and what was not computed stays empty."""
    forces, stress = np.arange(6.0).reshape(2, 3), np.arange(9.0).reshape(3, 3)
    evaluation = Evaluation(2, -4.0, forces_ev_per_angstrom=forces, stress_gpa=stress)
    response = convert.evaluate_response("id", 7, evaluation, "a-model")
    assert (response.crystal_id, response.index, response.evaluation.model) == ("id", 7, "a-model")
    assert (response.evaluation.energy_ev, response.evaluation.energy_ev_per_atom) == (-4.0, -2.0)
    assert list(response.evaluation.forces_ev_per_angstrom) == [0, 1, 2, 3, 4, 5]
    assert list(response.evaluation.stress_gpa) == list(range(9))
    assert not response.evaluation.magnetic_moments_mu_b


def test_a_failure_is_written_as_its_status() -> None:
    """A crystal's error travels inside its outcome, whole."""
    response = convert.evaluate_response("id", 0, errors.IsolatedAtomError("alone", site=3), "a-model")
    error = from_status(response.error)
    assert (type(error), error.message) == (errors.IsolatedAtomError, "alone")
    assert error.details == {"site": "3"}
    assert not response.HasField("evaluation")


@pytest.mark.parametrize("ready", [True, False])
def test_a_model_is_described_with_its_readiness(ready: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    """Users learn name, version, licence, elements, device and whether it answers yet."""
    (info,) = convert.model_infos(serving(POTENTIAL), ready=ready)
    assert (info.name, info.ready, info.is_default, info.device) == (POTENTIAL.name, ready, True, "cpu")
    assert tuple(info.atomic_numbers) == POTENTIAL.atomic_numbers
    assert all((info.version, info.license, info.description))
