"""Which RPCs the API has, how they stream, and which Serve application serves them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor

import crystalmesh

# An application serves the package of its own name; what it serves beside that is listed here.
_SERVED_BY = {"stability": "relaxation"}


@dataclass(frozen=True)
class Route:
    """One RPC of the API."""

    name: str  # "/package.Service/Method"
    service: str  # "package.Service"
    application: str  # serves it unless the caller names another
    request_streaming: bool
    response_streaming: bool


def api_routes() -> list[Route]:
    """All RPCs of `crystalmesh.*`. Loads the descriptors, which reflection shows."""
    return [route for file in _files() for route in _routes(file)]


def _files() -> Iterator[FileDescriptor]:
    for folder in crystalmesh.__path__:
        for path in sorted(Path(folder).rglob("*_pb2.py")):
            module = ".".join(path.relative_to(folder).with_suffix("").parts)
            yield importlib.import_module(f"crystalmesh.{module}").DESCRIPTOR


def _routes(file: FileDescriptor) -> Iterator[Route]:
    noun = file.package.split(".")[1]
    for service in file.services_by_name.values():
        for method in service.methods:
            yield Route(
                name=f"/{service.full_name}/{method.name}",
                service=service.full_name,
                application=_SERVED_BY.get(noun, noun),
                request_streaming=method.client_streaming,
                response_streaming=method.server_streaming,
            )
