"""Protobuf to dataclasses and back, and all validation of requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.property.v1 import prediction_pb2
from crystalmesh.property.v1.prediction_pb2 import (
    PredictOptions,
    PredictRequest,
    PredictResponse,
    PredictStreamRequest,
    PredictStreamResponse,
)
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InvalidFieldError,
    TooManyCrystalsError,
    UnknownEnumValueError,
    UnsupportedQuantityError,
)
from crystalmesh_common.runtime.intake import resolve_ids
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_common.runtime.statuses import to_status
from crystalmesh_property.properties import Property
from crystalmesh_property.serving.models import ServedModels
from crystalmesh_property.serving.prediction import UNITS, Plan, Prediction, Unlikeness

PROPERTY_NUMBERS: Mapping[Property, property_pb2.Property.ValueType] = {
    name: property_pb2.Property.Value(f"PROPERTY_{name.upper()}") for name in Property
}
_PROPERTIES: Mapping[int, Property] = {number: name for name, number in PROPERTY_NUMBERS.items()}
_KINDS: Mapping[Unlikeness, prediction_pb2.DomainWarningKind.ValueType] = {
    kind: prediction_pb2.DomainWarningKind.Value(f"DOMAIN_WARNING_KIND_{kind.name}") for kind in Unlikeness
}

Outcome = prediction_pb2.Prediction | CrystalMeshError
"""What comes of a crystal. Predictors write the message already, so that the service only passes it on."""


@dataclass(frozen=True)
class PredictOrder:
    """A request that is right as a whole. Its crystals are still as they came."""

    ids: Sequence[str]
    plan: Plan


def predict_order(request: PredictRequest, models: ServedModels, limits: Limits) -> PredictOrder:
    """Check a request; raises an InvalidRequestError or as `ServedModels.plan` when it fails whole."""
    plan = plan_of(request.options, models)
    return PredictOrder(resolve_ids(request.crystals, max_crystals=limits.crystals_per_call), plan)


def plan_of(options: PredictOptions, models: ServedModels) -> Plan:
    """What is asked for; raises UnknownEnumValueError, InvalidFieldError or as `ServedModels.plan`."""
    asked: list[Property] = []
    for number in options.properties:
        if number not in property_pb2.Property.values() or not number:
            raise UnknownEnumValueError(f"properties: {number} is no Property", field="options.properties")
        if number not in _PROPERTIES:
            name = property_pb2.Property.Name(number).removeprefix("PROPERTY_").lower()
            raise UnsupportedQuantityError(
                f"no model here predicts {name}, which follows from the structure", properties=name
            )
        if _PROPERTIES[number] in asked:
            raise InvalidFieldError(
                f"properties: {_PROPERTIES[number]} is asked for twice", field="options.properties"
            )
        asked.append(_PROPERTIES[number])
    return models.plan(options.model, asked)


def check_stream_message(message: PredictStreamRequest, limits: Limits, *, is_first: bool) -> None:
    """Raise InvalidFieldError for options that come late, and TooManyCrystalsError."""
    if not is_first and message.HasField("options"):
        raise InvalidFieldError("only the first message of a stream brings options", field="options")
    if len(message.crystals) > limits.crystals_per_call:
        raise TooManyCrystalsError(
            f"{len(message.crystals)} crystals in one message; at most {limits.crystals_per_call} are taken",
            max_crystals=limits.crystals_per_call,
        )


def predict_response(crystal_id: str, index: int, outcome: Outcome) -> PredictResponse:
    """The message that reports one crystal's outcome."""
    if isinstance(outcome, CrystalMeshError):
        return PredictResponse(crystal_id=crystal_id, index=index, error=to_status(outcome))
    return PredictResponse(crystal_id=crystal_id, index=index, prediction=outcome)


def predict_stream_response(crystal_id: str, index: int, outcome: Outcome) -> PredictStreamResponse:
    """The same for a crystal of a stream."""
    if isinstance(outcome, CrystalMeshError):
        return PredictStreamResponse(crystal_id=crystal_id, index=index, error=to_status(outcome))
    return PredictStreamResponse(crystal_id=crystal_id, index=index, prediction=outcome)


def prediction_message(prediction: Prediction) -> prediction_pb2.Prediction:
    """The message of what models said of one crystal."""
    message = prediction_pb2.Prediction(out_of_domain=bool(prediction.warnings))
    for value in prediction.values:
        message.values.add(
            property=PROPERTY_NUMBERS[value.property],
            value=value.value,
            unit=UNITS[value.property],
            uncertainty=value.uncertainty,
            source=property_pb2.ValueSource(
                kind=property_pb2.SOURCE_KIND_PREDICTION, name=value.model, version=value.version
            ),
        )
    for warning in prediction.warnings:
        message.domain_warnings.add(
            kind=_KINDS[warning.kind],
            message=warning.message,
            atomic_numbers=warning.atomic_numbers,
            model=warning.model,
        )
    return message
