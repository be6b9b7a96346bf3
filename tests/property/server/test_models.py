from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.property.v1.property_service_pb2 import ListModelsRequest
from crystalmesh_common.runtime.errors import (
    ModelLoadingError,
    ModelNotFoundError,
    UnsupportedQuantityError,
)
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_property.convert_cards import cards
from crystalmesh_property.model.files import save_model
from crystalmesh_property.properties import Property
from crystalmesh_property.serving.folders import find_models
from crystalmesh_property.serving.models import ServedModels
from crystalmesh_property.serving.prediction import LoadedModel, Question
from tests.conftest import ServiceProcess, iron, sodium_chloride
from tests.property.server.asking import GAP, failure, request_of, stream_of, stub_of
from tests.property.server.tiny_models import provenance, tiny_model

GAP_NAME, BULK_NAME = Property.BAND_GAP, Property.BULK_MODULUS


def loaded(name: str, *properties: Property, **maes: float) -> LoadedModel:
    """A model that could be loaded, with these test errors."""
    said = provenance(properties, {Property(each): mae for each, mae in maes.items()})
    return LoadedModel(name, properties=properties, sha256="0123456789abcdef", provenance=said)


def served(*models: LoadedModel) -> ServedModels:
    found = ServedModels([ModelFolder(model.name, Path(model.name)) for model in models])
    found.loaded(models)
    return found


def test_models_are_listed_with_their_cards(server: ServiceProcess) -> None:
    """Preferred ones first, with what they come from; broken ones with their reasons, and not ready."""
    with stub_of(server) as stub:
        listed = {card.model.name: card for card in stub.ListModels(ListModelsRequest(), timeout=60).models}
    assert list(listed) == ["energies", "moduli", "damaged", "empty"]
    assert [card.model.ready for card in listed.values()] == [True, True, False, False]
    assert [card.model.is_default for card in listed.values()] == [True, True, False, False]
    assert "not what was written" in listed["damaged"].model.description
    assert "no model" in listed["empty"].model.description
    card = listed["moduli"]
    assert list(card.properties) == [property_pb2.PROPERTY_BULK_MODULUS_GPA, GAP]
    assert list(card.model.atomic_numbers) == [8, 11, 14, 17]
    assert card.model.device == "cpu"
    assert card.weights_sha256.startswith(card.model.version)
    assert card.parameter_count > 1000
    assert (card.seed, card.ensemble_size) == (7, 1)
    (data,) = card.training_data
    assert (data.name, data.split, data.crystal_count) == ("matbench_mp_gap", "fold 2 train", 96)
    assert data.license == "CC-BY-4.0"
    metrics = {metric.name: metric for metric in card.metrics}
    assert set(metrics) == {"mae", "rmse", "coverage95"}
    assert metrics["mae"].value == 0.2
    assert (metrics["mae"].split, metrics["mae"].crystal_count) == ("fold 2 test", 30)
    assert "1,234 steps" in card.recipe
    assert "mean error 0.2 eV" in card.model.description


def test_a_server_without_models_is_ready_and_refuses(bare_server: ServiceProcess) -> None:
    """It lists nothing, and predictions are refused with a reason that says so."""
    with stub_of(bare_server) as stub:
        assert list(stub.ListModels(ListModelsRequest(), timeout=60).models) == []
        for call in (
            stub.Predict(request_of(iron()), timeout=60),
            stub.Predict(request_of(iron(), properties=[GAP]), timeout=60),
            stub.PredictStream(stream_of([iron()]), timeout=60),
        ):
            error = failure(call)
            assert isinstance(error, UnsupportedQuantityError)
            assert "no model" in error.message
        named = failure(stub.Predict(request_of(sodium_chloride(), model="mp-gap"), timeout=60))
        assert isinstance(named, ModelNotFoundError)


def test_the_model_with_the_smaller_test_error_is_preferred() -> None:
    """Without measured errors it is the first; one that was measured beats one that was not."""
    first = loaded("first", GAP_NAME, BULK_NAME, bulk_modulus_gpa=0.1)
    second = loaded("second", GAP_NAME, BULK_NAME, bulk_modulus_gpa=0.09)
    third = loaded("third", GAP_NAME, BULK_NAME, bulk_modulus_gpa=math.nan)
    models = served(first, second, third)
    assert models.plan("", [BULK_NAME, GAP_NAME]) == (
        Question(BULK_NAME, "second"),
        Question(GAP_NAME, "first"),
    )
    assert [model.name for model in models.all()] == ["first", "second", "third"]
    assert [models.is_default(name) for name in ("first", "second", "third")] == [True, True, False]
    measured = served(first, loaded("measured", GAP_NAME, band_gap_ev=0.5))
    assert measured.plan("", [GAP_NAME]) == (Question(GAP_NAME, "measured"),)


def test_a_model_that_is_not_ready_is_asked_for_nothing() -> None:
    """The next one that can takes its place; where none can, the property is refused."""
    broken = LoadedModel("broken", "it is damaged")
    models = served(broken, loaded("whole", GAP_NAME))
    assert models.plan("", []) == (Question(GAP_NAME, "whole"),)
    assert [model.name for model in models.all()] == ["whole", "broken"]
    with pytest.raises(ModelNotFoundError, match="it is damaged"):
        models.plan("broken", [])
    with pytest.raises(UnsupportedQuantityError):
        models.plan("", [BULK_NAME])


def test_while_models_load_requests_are_told_to_wait() -> None:
    """Models are listed as not ready, and asking is safe to retry."""
    models = ServedModels([ModelFolder("slow", Path("slow"))])
    assert [(model.name, model.ready) for model in models.all()] == [("slow", False)]
    with pytest.raises(ModelLoadingError):
        models.plan("slow", [])
    with pytest.raises(ModelNotFoundError):
        models.plan("other", [])


@pytest.mark.parametrize("said", [{}, {"experiment": 5}, {"scores": [{"mae": "small"}]}])
def test_a_card_says_what_is_known(said: dict[str, object]) -> None:
    """A model without a history of ours has a card without one."""
    model = LoadedModel("other", properties=(GAP_NAME,), sha256="00", provenance=said)
    (card,) = cards(served(model), ready=True, device="cpu")
    assert card.model.ready
    assert not card.training_data
    assert not card.metrics
    assert not card.recipe


def test_folders_of_models_trainings_and_single_models_are_found(tmp_path: Path) -> None:
    """In the order of the settings, then what ships; a name is taken once, and the first wins."""
    save_model(tiny_model(), tmp_path / "single")
    save_model(tiny_model(), tmp_path / "runs" / "gap" / "model")
    save_model(tiny_model(), tmp_path / "several" / "b")
    save_model(tiny_model(), tmp_path / "several" / "a")
    save_model(tiny_model(), tmp_path / "shipped" / "a")
    save_model(tiny_model(), tmp_path / "shipped" / "c")
    configured = [
        tmp_path / "single",
        tmp_path / "runs" / "gap",
        tmp_path / "several",
        tmp_path / "nowhere",
    ]
    found = find_models(configured, tmp_path / "shipped")
    assert [folder.name for folder in found] == ["single", "gap", "a", "b", "nowhere", "c"]
    assert found[1].path == tmp_path / "runs" / "gap" / "model"
    assert found[2].path == tmp_path / "several" / "a"
    assert find_models([tmp_path / "runs" / "gap" / "model"], None)[0].name == "gap"
    assert find_models([], tmp_path / "not-there") == []


def test_what_a_card_names_is_in_the_model_file(models: Path) -> None:
    """The version is the beginning of the hash that the model's own file states."""
    said = json.loads((models / "moduli" / "model.json").read_text())
    from crystalmesh_property.serving.predictor import Predictor

    predictor = Predictor.load(find_models([models / "moduli"], None), "cpu")
    assert [info.sha256 for info in predictor.infos] == [said["sha256"]]
