"""What PropertyService is asked, the same from synchronous and from asyncio code."""

from __future__ import annotations

from collections.abc import Sequence

from crystalmesh.property.v1.prediction_pb2 import PredictOptions, PredictRequest
from crystalmesh_client.predictions import Prediction, prediction_from
from crystalmesh_client.properties import PropertyName, property_number
from crystalmesh_client.questions import Question, about_crystals, outcome_reader
from crystalmesh_client.results import Failed
from crystalmesh_common.crystal.structure import Crystal

SERVICE = "property"

_read_prediction = outcome_reader("prediction", prediction_from)


def predict_options(properties: Sequence[PropertyName] | None, model: str) -> PredictOptions:
    """What to predict and with what; InvalidFieldError for a name that is no property."""
    return PredictOptions(properties=[property_number(name) for name in properties or ()], model=model)


def predictions(
    properties: Sequence[PropertyName] | None, model: str
) -> Question[Crystal, Prediction | Failed]:
    """Ask what models say of crystals."""
    asked = PredictRequest(options=predict_options(properties, model))
    return about_crystals("Predict", asked, _read_prediction)
