"""Calls of the generation service, and what comes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1 import generation_pb2
from crystalmesh.generation.v1.generation_pb2 import GenerateRequest, GenerateResponse, GenerationPrompt
from crystalmesh.generation.v1.generation_service_pb2_grpc import GenerationServiceStub
from crystalmesh.generation.v1.transition_pb2 import ReferenceMaterial
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.statuses import from_rpc_failure
from tests.conftest import ServiceProcess, sodium_chloride

WRITTEN = generation_pb2.GENERATOR_LANGUAGE_MODEL
SUBSTITUTED = generation_pb2.GENERATOR_IONIC_SUBSTITUTION
OMIT = generation_pb2.MISSING_REFERENCE_OMIT


@contextmanager
def stub_of(server: ServiceProcess) -> Iterator[Any]:
    """A stub without retries on a connection of its own."""
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(server.address, options=options) as channel:
        yield GenerationServiceStub(channel)


def reference(crystal: Crystal | None = None, **fields: Any) -> ReferenceMaterial:
    """A known material, rock salt unless another is given."""
    known = crystal_to_proto(crystal or sodium_chloride())
    return ReferenceMaterial(crystal=CrystalInput(crystal=known), **fields)


def prompt(id: str = "", **fields: Any) -> GenerationPrompt:  # noqa: A002 -- its name in the API
    """A prompt; what is no field of it belongs to its target."""
    own = {name: fields.pop(name) for name in ("reference", "transition_text") if name in fields}
    return GenerationPrompt(id=id, target=Target(**fields) if fields else None, **own)


def generate(server: ServiceProcess, *prompts: GenerationPrompt, **fields: Any) -> list[GenerateResponse]:
    """The outcomes of all samples, in the order of the request."""
    with stub_of(server) as stub:
        outcomes = list(stub.Generate(GenerateRequest(prompts=prompts, **fields), timeout=120))
    return sorted(outcomes, key=lambda outcome: (outcome.index, outcome.sample_index))


def failure(call: Iterable[Any]) -> CrystalMeshError:
    """What a call fails with as a whole."""
    with pytest.raises(grpc.RpcError) as raised:
        list(call)
    return from_rpc_failure(cast("Any", raised.value))


def reason_of(status: status_pb2.Status) -> str:
    """The reason of the one ErrorInfo of an outcome's status."""
    infos = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info)
    assert len(infos) == 1
    return str(infos[0].reason)
