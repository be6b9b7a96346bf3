"""The two servers that the `rpc` benchmark compares, one a process: `echo_server.py bare|full ENDPOINT_FILE`.

Both echo a Crystal. The bare one is what grpc.aio's own tutorial gives. The full one is a service of the
mesh as it is deployed: token, limits, metrics, request ids, typed errors, health, reflection.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc

from crystalmesh.crystal.v1.crystal_pb2 import Crystal

METHOD_SERVICE = "crystalmesh.benchmark.v1.EchoService"
METHOD = f"/{METHOD_SERVICE}/Echo"
TOKEN = "a-token-of-the-benchmark"  # noqa: S105 -- guards nothing


async def echo(request: Crystal, _context: object) -> Crystal:
    """Answer with the request."""
    return request


def handlers() -> dict[str, Any]:
    """What generated code would register."""
    handler = grpc.unary_unary_rpc_method_handler(
        echo, request_deserializer=Crystal.FromString, response_serializer=Crystal.SerializeToString
    )
    return {"Echo": handler}


async def serve_bare(endpoint_file: Path) -> None:
    server = grpc.aio.server()
    server.add_registered_method_handlers(METHOD_SERVICE, handlers())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    endpoint_file.write_text(f"127.0.0.1:{port}")
    await server.wait_for_termination()


async def serve_full(endpoint_file: Path) -> None:
    from crystalmesh_common.runtime.metrics import Metrics  # noqa: PLC0415 -- the bare server imports no runtime
    from crystalmesh_common.runtime.service import Hosted, Service, StandaloneProcess  # noqa: PLC0415
    from crystalmesh_common.runtime.settings import ServiceSettings, load_settings  # noqa: PLC0415

    def build(_settings: ServiceSettings, _metrics: Metrics) -> Hosted:
        return Hosted([lambda server: server.add_registered_method_handlers(METHOD_SERVICE, handlers())])

    settings = load_settings(ServiceSettings, "echo", environment={"CRYSTALMESH_TOKEN": TOKEN})
    process = StandaloneProcess(Service("echo", ServiceSettings, build), settings)
    await process.start()
    await process.load()
    endpoint_file.write_text(f"127.0.0.1:{process.port}")
    await asyncio.Event().wait()


if __name__ == "__main__":
    serve = {"bare": serve_bare, "full": serve_full}[sys.argv[1]]
    asyncio.run(serve(Path(sys.argv[2])))
