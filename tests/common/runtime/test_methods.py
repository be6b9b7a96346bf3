from __future__ import annotations

import pytest

from crystalmesh.property.v1.property_service_pb2_grpc import (
    PropertyServiceServicer,
    add_PropertyServiceServicer_to_server,
)
from crystalmesh.relaxation.v1.relaxation_service_pb2 import DESCRIPTOR
from crystalmesh_common.runtime.errors import NotImplementedYetError
from crystalmesh_common.runtime.methods import collect_methods
from tests.common.runtime.hosting import SERVICE, STREAM, UNARY, Levers, methods_of


def test_every_method_of_the_proto_is_collected_with_its_kind() -> None:
    """Names and streaming sides are those of the service descriptor."""
    declared = {
        f"/{SERVICE}/{method.name}": (method.client_streaming, method.server_streaming)
        for method in DESCRIPTOR.services_by_name["RelaxationService"].methods
    }
    found = {
        name: (method.request_streaming, method.response_streaming)
        for name, method in methods_of(Levers()).items()
    }
    assert found == declared
    assert methods_of(Levers())[UNARY].service == SERVICE


async def test_methods_that_a_servicer_leaves_out_say_not_yet() -> None:
    """Of a generated servicer every method refuses with NOT_IMPLEMENTED_YET, streaming or not."""
    methods = collect_methods(
        [lambda server: add_PropertyServiceServicer_to_server(PropertyServiceServicer(), server)]
    )
    assert methods
    for method in methods.values():
        request = method.parse(b"")
        answer = (
            anext(method.stream(request, None)) if method.response_streaming else method.unary(request, None)
        )
        with pytest.raises(NotImplementedYetError) as refused:
            await answer
        assert refused.value.details == {"method": method.name}


def test_methods_that_a_servicer_has_are_its_own() -> None:
    """What a servicer defines is called, and only the rest is refused."""
    servicer = Levers()
    methods = methods_of(servicer)
    assert methods[STREAM].behaviour == servicer.Evaluate
    assert methods[UNARY].behaviour == servicer.ListModels
