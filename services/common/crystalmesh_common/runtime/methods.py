"""The methods that servicers implement, taken out of generated code so that any transport can host them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import grpc
from google.protobuf.message import Message

from crystalmesh_common.runtime.errors import NotImplementedYetError

AddToServer = Callable[[grpc.aio.Server], None]
"""Registers one servicer: `lambda server: add_XServicer_to_server(servicer, server)`."""


@dataclass(frozen=True)
class Method:
    """One RPC: its name, which sides stream, how its messages are read and written, and what it does."""

    name: str  # "/package.Service/Method"
    request_streaming: bool
    response_streaming: bool
    parse: Callable[[bytes], Message]
    serialize: Callable[[Message], bytes]
    behaviour: Callable[[Any, Any], Any]

    @property
    def service(self) -> str:
        """The full name of the service, "package.Service"."""
        return self.name.split("/")[1]

    def unary(self, request: Message | AsyncIterator[Message], context: object) -> Awaitable[Message]:
        return cast("Awaitable[Message]", self.behaviour(request, context))

    def stream(
        self, request: Message | AsyncIterator[Message], context: object
    ) -> AsyncGenerator[Message, None]:
        return cast("AsyncGenerator[Message, None]", self.behaviour(request, context))


class _Handler(Protocol):
    """What generated code registers; grpc's own type for it declares none of this."""

    request_streaming: bool
    response_streaming: bool
    request_deserializer: Callable[[bytes], Message]
    response_serializer: Callable[[Message], bytes]
    unary_unary: Callable[[Any, Any], Any] | None
    unary_stream: Callable[[Any, Any], Any] | None
    stream_unary: Callable[[Any, Any], Any] | None
    stream_stream: Callable[[Any, Any], Any] | None


class _Recorder:
    """Stands where generated code expects a server, and notes what is registered."""

    def __init__(self) -> None:
        self.methods: dict[str, Method] = {}

    def add_generic_rpc_handlers(self, _: Sequence[grpc.GenericRpcHandler]) -> None:
        """Generated code registers everything twice; the other registration has the names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, _Handler]) -> None:
        for short_name, handler in handlers.items():
            name = f"/{service}/{short_name}"
            behaviour = (
                handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
            )
            if behaviour is None:
                raise ValueError(f"{name} has no behaviour")
            self.methods[name] = Method(
                name,
                handler.request_streaming,
                handler.response_streaming,
                handler.request_deserializer,
                handler.response_serializer,
                _not_yet(name, handler.response_streaming) if _is_generated(behaviour) else behaviour,
            )


def _is_generated(behaviour: Callable[[Any, Any], Any]) -> bool:
    """Whether a servicer left this method as the generated base class has it."""
    return getattr(behaviour, "__module__", "").endswith("_pb2_grpc")


def _not_yet(name: str, response_streaming: bool) -> Callable[[Any, Any], Any]:  # noqa: FBT001
    error = NotImplementedYetError(
        f"{name} is part of the API; this version of the server does not implement it yet", method=name
    )

    async def refuse(_request: object, _context: object) -> Message:
        raise error

    async def refuse_stream(_request: object, _context: object) -> AsyncGenerator[Message, None]:
        for _ in ():
            yield _
        raise error

    return refuse_stream if response_streaming else refuse


def collect_methods(registrations: Iterable[AddToServer]) -> dict[str, Method]:
    """The methods of all servicers by full name.

    A method that a servicer does not define answers UNIMPLEMENTED with the reason NOT_IMPLEMENTED_YET.
    """
    recorder = _Recorder()
    for register in registrations:
        register(cast("grpc.aio.Server", recorder))
    return recorder.methods
