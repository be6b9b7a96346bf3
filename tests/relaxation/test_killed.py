from __future__ import annotations

import grpc
import psutil
import pytest

from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateResponse
from tests.conftest import StartService, block, copies
from tests.relaxation.wire import EVALUATE, TRACE_MARKS, bare_channel, request_of


def test_a_server_killed_in_mid_call_is_unavailable(start_service: StartService) -> None:
    """After SIGKILL the call ends at once with UNAVAILABLE; outcomes that had come are good ones."""
    server = start_service("--threads", "1")
    server.wait_serving()
    with bare_channel(server) as channel:
        payload = request_of(*copies(block(), 200)).SerializeToString()
        call = channel.unary_stream(EVALUATE)(payload, timeout=120)
        first = EvaluateResponse.FromString(next(call))
        assert first.evaluation.energy_ev < 0
        server.kill()
        with pytest.raises(grpc.RpcError):
            list(call)
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        assert not any(mark.decode() in call.details() for mark in TRACE_MARKS)


def test_a_worker_killed_in_mid_call_costs_no_crystal(start_service: StartService) -> None:
    """After SIGKILL of the processes that evaluate, every crystal has its result all the same."""
    server = start_service("--threads", "1", "--workers", "2")
    server.wait_serving()
    with bare_channel(server) as channel:
        payload = request_of(*copies(block(), 60)).SerializeToString()
        call = channel.unary_stream(EVALUATE)(payload, timeout=120)
        outcomes = [next(call)]
        workers = psutil.Process(server.process.pid).children()
        assert len(workers) == 2
        for worker in workers:
            worker.kill()
        outcomes += list(call)
    results = [EvaluateResponse.FromString(outcome) for outcome in outcomes]
    assert sorted(result.index for result in results) == list(range(60))
    assert all(result.evaluation.energy_ev < 0 for result in results)


def test_a_stopping_server_ends_its_calls_before_it_goes(start_service: StartService) -> None:
    """On SIGTERM a running call brings all of its outcomes, and only then does the process end with 0."""
    server = start_service("--threads", "1", "--drain-seconds", "60")
    server.wait_serving()
    with bare_channel(server) as channel:
        payload = request_of(*copies(block(), 12)).SerializeToString()
        call = channel.unary_stream(EVALUATE)(payload, timeout=120)
        outcomes = [next(call)]
        server.process.terminate()
        outcomes += list(call)
        assert len(outcomes) == 12
        assert server.process.wait(timeout=60) == 0
