from __future__ import annotations

import json
from pathlib import Path

import psutil

from tests.conftest import StartService
from tests.property.crystals import random_crystal
from tests.property.server.asking import request_of, stub_of
from tests.property.server.conftest import QUIET

CRYSTALS = [random_crystal(seed, atoms=9, id=str(seed)) for seed in range(400)]


def test_a_worker_killed_in_mid_call_costs_no_crystal(start_service: StartService, models: Path) -> None:
    """After SIGKILL of the processes that predict, every crystal has its values all the same."""
    server = start_service(*QUIET, "--workers", "2", "--models", str(models), service="property")
    server.wait_serving()
    with stub_of(server) as stub:
        call = stub.Predict(request_of(*CRYSTALS), timeout=120)
        outcomes = [next(call)]
        workers = psutil.Process(server.pid).children()
        assert len(workers) == 2
        for worker in workers:
            worker.kill()
        outcomes += list(call)
    assert sorted(outcome.index for outcome in outcomes) == list(range(len(CRYSTALS)))
    assert all(outcome.prediction.values for outcome in outcomes)


def test_a_device_that_is_not_there_ends_the_service(start_service: StartService, models: Path) -> None:
    """The cause is in the log, and the exit status is 1."""
    server = start_service(*QUIET, "--models", str(models), "--device", "cuda:63", service="property")
    assert server.process.wait(timeout=120) == 1
    failed = [json.loads(line) for line in server.log.splitlines() if "model_not_loaded" in line]
    assert "cuda:63" in failed[0]["exception"]


def test_a_stopping_server_ends_its_calls_before_it_goes(start_service: StartService, models: Path) -> None:
    """On SIGTERM a running call brings all of its outcomes; then server and workers are gone, with 0."""
    server = start_service(
        *QUIET, "--workers", "1", "--models", str(models), "--drain-seconds", "60", service="property"
    )
    server.wait_serving()
    workers = psutil.Process(server.pid).children()
    with stub_of(server) as stub:
        call = stub.Predict(request_of(*CRYSTALS), timeout=120)
        outcomes = [next(call)]
        server.process.terminate()
        outcomes += list(call)
    assert len(outcomes) == len(CRYSTALS)
    assert server.process.wait(timeout=60) == 0
    assert "Traceback" not in server.log
    assert not any(worker.is_running() for worker in workers)
