"""Calls of the property service, and what comes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.property.v1.prediction_pb2 import (
    Prediction,
    PredictOptions,
    PredictRequest,
    PredictResponse,
    PredictStreamRequest,
)
from crystalmesh.property.v1.property_service_pb2_grpc import PropertyServiceStub
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.statuses import from_rpc_failure
from tests.conftest import ServiceProcess

GAP = property_pb2.PROPERTY_BAND_GAP_EV
ENERGY = property_pb2.PROPERTY_FORMATION_ENERGY_EV_PER_ATOM
BULK = property_pb2.PROPERTY_BULK_MODULUS_GPA
SHEAR = property_pb2.PROPERTY_SHEAR_MODULUS_GPA
DENSITY = property_pb2.PROPERTY_DENSITY_G_PER_CUBIC_CENTIMETER
ROCK_SALT = "salt\n5.69\n0 .5 .5\n.5 0 .5\n.5 .5 0\nNa Cl\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"
"""A POSCAR."""


@contextmanager
def stub_of(server: ServiceProcess) -> Iterator[Any]:
    """A stub without retries on a connection of its own."""
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.address, options=options) as channel:
        yield PropertyServiceStub(channel)


def as_input(given: Crystal | CrystalInput) -> CrystalInput:
    return CrystalInput(crystal=crystal_to_proto(given)) if isinstance(given, Crystal) else given


def request_of(*crystals: Crystal | CrystalInput, **options: Any) -> PredictRequest:
    return PredictRequest(crystals=map(as_input, crystals), options=PredictOptions(**options))


def stream_of(*batches: Iterable[Crystal | CrystalInput], **options: Any) -> Iterator[PredictStreamRequest]:
    """The messages of a stream, a batch each, with the options in the first."""
    for number, batch in enumerate(batches):
        message = PredictStreamRequest(crystals=map(as_input, batch))
        if not number:
            message.options.CopyFrom(PredictOptions(**options))
        yield message


def predict(
    server: ServiceProcess, *crystals: Crystal | CrystalInput, **options: Any
) -> dict[str, PredictResponse]:
    """The outcome of each crystal by its id."""
    with stub_of(server) as stub:
        outcomes = list(stub.Predict(request_of(*crystals, **options), timeout=120))
    found = {outcome.crystal_id: outcome for outcome in outcomes}
    assert len(found) == len(outcomes) == len(crystals)
    return found


def numbers(prediction: Prediction) -> list[float]:
    """All that a prediction says in numbers."""
    return [number for value in prediction.values for number in (value.value, value.uncertainty)]


def failure(call: Iterable[Any]) -> CrystalMeshError:
    """What a call fails with as a whole."""
    with pytest.raises(grpc.RpcError) as raised:
        list(call)
    return from_rpc_failure(cast("Any", raised.value))


def reason_of(status: status_pb2.Status) -> str:
    """The reason of the one ErrorInfo of a crystal's status."""
    infos = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info)
    assert len(infos) == 1
    return str(infos[0].reason)
