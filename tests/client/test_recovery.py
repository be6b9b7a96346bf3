from __future__ import annotations

from crystalmesh_client import AsyncMesh, Credentials, Evaluation, Failed, Mesh
from tests.conftest import ServiceProcess, StartService, block, copies

CRYSTALS = copies(block(), 20)
NOBODY = Credentials(token=None)


def successor(killed: ServiceProcess, start_service: StartService) -> ServiceProcess:
    """Kill a server, and start another one in its place, as a supervisor does."""
    port = killed.address.rsplit(":", 1)[1]
    killed.kill()
    server = start_service("--threads", "1", "--port", port)
    server.wait_serving()
    return server


def check(outcomes: list[Evaluation | Failed], second: ServiceProcess) -> None:
    """Every crystal has one result, and the second server gave some of them."""
    assert sorted(outcome.id for outcome in outcomes) == sorted(crystal.id for crystal in CRYSTALS)
    assert all(isinstance(outcome, Evaluation) for outcome in outcomes)
    assert second.metric("crystalmesh_requests_total", method="RelaxationService/Evaluate", code="OK") == 1


async def test_a_server_that_dies_and_comes_back_costs_no_outcome(start_service: StartService) -> None:
    """Killed in mid-stream and back on its port, the server gets what is missing again: each crystal once."""
    server = start_service("--threads", "1")
    server.wait_serving()
    with Mesh(server.address, credentials=NOBODY) as mesh:
        stream = mesh.relaxation.evaluate_many(CRYSTALS)
        outcomes = [next(stream)]
        server = successor(server, start_service)
        outcomes += stream
    check(outcomes, server)
    async with AsyncMesh(server.address, credentials=NOBODY) as async_mesh:
        async_stream = async_mesh.relaxation.evaluate_many(CRYSTALS)
        outcomes = [await anext(async_stream)]
        server = successor(server, start_service)
        outcomes += [outcome async for outcome in async_stream]
    check(outcomes, server)
