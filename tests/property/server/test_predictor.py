from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError, ModelFailedError
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_property.graphs.batches import collate
from crystalmesh_property.graphs.graph import build_graph
from crystalmesh_property.model.files import TrainedModel, save_model
from crystalmesh_property.model.predicting import estimate
from crystalmesh_property.properties import Property
from crystalmesh_property.serving.prediction import Prediction, Question
from crystalmesh_property.serving.predictor import Predictor
from tests.conftest import lone_atom, sodium_chloride
from tests.property.crystals import random_crystal
from tests.property.server.tiny_models import FACTOR, MODULI_AND_GAP, tiny_model

PLAN = tuple(Question(name, "tiny") for name in MODULI_AND_GAP)


def predictor_of(folder: Path, model: TrainedModel) -> Predictor:
    save_model(model, folder / "tiny")
    return Predictor.load([ModelFolder("tiny", folder / "tiny")], "cpu")


def prediction(outcome: Prediction | CrystalMeshError) -> Prediction:
    assert isinstance(outcome, Prediction)
    return outcome


def test_values_and_uncertainties_are_those_of_the_network(tmp_path: Path) -> None:
    """One standard deviation is the half width of the 95% interval over 1.96, in the property's unit."""
    model = tiny_model()
    (outcome,) = predictor_of(tmp_path, model).predict([sodium_chloride()], PLAN)
    estimates = estimate(model.network, collate([build_graph(sodium_chloride(), model.graphs)]))
    (log_bulk, gap), (log_scale, scale) = estimates.values[0], estimates.scales[0]
    bulk_value, gap_value = prediction(outcome).values
    assert (bulk_value.property, gap_value.property) == MODULI_AND_GAP
    assert gap_value.value == pytest.approx(gap)
    assert gap_value.uncertainty == pytest.approx(FACTOR * scale / 1.96)
    assert bulk_value.value == pytest.approx(10**log_bulk)
    ends = 10 ** (log_bulk + FACTOR * log_scale), 10 ** (log_bulk - FACTOR * log_scale)
    assert bulk_value.uncertainty == pytest.approx((ends[0] - ends[1]) / 2 / 1.96)


def test_a_bound_does_not_make_a_value_surer(tmp_path: Path) -> None:
    """A metal, whose interval a gap of 0 cuts in half, has the whole uncertainty."""
    model = tiny_model()
    model.network.centres.fill_(-500.0)
    (outcome,) = predictor_of(tmp_path, model).predict([sodium_chloride()], PLAN)
    scale = estimate(model.network, collate([build_graph(sodium_chloride(), model.graphs)])).scales[0, 1]
    gap = prediction(outcome).values[1]
    assert gap.value == 0
    assert gap.uncertainty == pytest.approx(FACTOR * scale / 1.96)


def test_without_a_measured_interval_the_uncertainty_is_unknown(tmp_path: Path) -> None:
    """It is left out rather than made up."""
    model = tiny_model()
    model.interval_factors[Property.BAND_GAP] = float("nan")
    (outcome,) = predictor_of(tmp_path, model).predict([sodium_chloride()], PLAN)
    bulk, gap = prediction(outcome).values
    assert gap.uncertainty is None
    assert bulk.uncertainty is not None


def test_company_changes_rounding_only(tmp_path: Path) -> None:
    """Among others, large, small or without any neighbour, a crystal has the numbers that it has alone."""
    predictor = predictor_of(tmp_path, tiny_model())
    crystals = [random_crystal(seed, atoms=1 + seed % 12) for seed in range(70)] + [lone_atom()]
    together = predictor.predict(crystals, PLAN)
    for crystal, outcome in list(zip(crystals, together, strict=True))[::10]:
        (alone,) = predictor.predict([crystal], PLAN)
        for mine, its in zip(prediction(alone).values, prediction(outcome).values, strict=True):
            assert its.value == pytest.approx(mine.value, abs=1e-4, rel=1e-4)
            assert its.uncertainty == pytest.approx(mine.uncertainty, abs=1e-4, rel=1e-4)


def test_a_crystal_without_a_graph_fails_alone(tmp_path: Path) -> None:
    """One whose symmetry cannot be determined is its own outcome."""
    # Closer than the tolerance of the search for symmetry, farther than check_crystal asks for.
    close = Crystal(4 * np.eye(3), np.array([11, 11]), np.array([[0, 0, 0], [0.0, 0, 0.00001]]))
    outcomes = predictor_of(tmp_path, tiny_model()).predict([sodium_chloride(), close], PLAN)
    assert isinstance(outcomes[0], Prediction)
    assert isinstance(outcomes[1], CrystalMeshError)


def test_a_model_that_says_no_numbers_is_not_ready(tmp_path: Path) -> None:
    """Loading tries every model; what gives NaN, or was made for another version, says so."""
    broken = tiny_model()
    with torch.no_grad():
        next(broken.network.parameters()).fill_(torch.nan)
    (info,) = predictor_of(tmp_path, broken).infos
    assert not info.ready
    assert "not finite" in info.reason
    other = tiny_model()
    other.domain.clear()
    (info,) = predictor_of(tmp_path / "other", other).infos
    assert "does not fit" in info.reason


def test_a_number_that_is_none_is_the_crystals_own_failure(tmp_path: Path) -> None:
    """Where a network gives NaN for an element, crystals with it fail and the others do not."""
    model = tiny_model()
    with torch.no_grad():
        model.network.elements.weight[26] = torch.nan
    iron = Crystal(2.84 * np.eye(3), np.array([26]), np.zeros((1, 3)))
    bad, good = predictor_of(tmp_path, model).predict([iron, sodium_chloride()], PLAN)
    assert isinstance(bad, ModelFailedError)
    assert isinstance(good, Prediction)
