from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from tests.conftest import StartService, until

# The lightest service there is; what is tested is what all of them share.
LIGHT = "agent"
SECRET = "a-very-secret-token"


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The service, which should end by itself."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CRYSTALMESH_")}
    return subprocess.run(
        [sys.executable, "-m", f"crystalmesh_{LIGHT}", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment | variables,
    )


@contextmanager
def taken_port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_the_endpoint_file_says_where_the_service_is(start_service: StartService, tmp_path: Path) -> None:
    """Once listening, address, TLS, metrics, services and pid are in the file, and nothing half written."""
    service = start_service(service=LIGHT)
    service.wait_serving()
    endpoint = service.endpoint
    assert endpoint["service"] == LIGHT
    assert endpoint["pid"] == service.pid
    assert endpoint["tls"] is False
    assert endpoint["hosted"] == [
        "crystalmesh.agent.v1.CampaignService",
        "crystalmesh.agent.v1.StudyService",
    ]
    assert service.metric("crystalmesh_calls_in_flight") == 0
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_service_cleanly(start_service: StartService, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C drain and end with status 0, and the log ends with `stopped`."""
    service = start_service(service=LIGHT)
    service.wait_serving()
    service.process.send_signal(number)
    assert service.process.wait(timeout=60) == 0
    events = [json.loads(line)["event"] for line in service.log.splitlines()]
    assert events[-2:] == ["draining", "stopped"]
    assert "Traceback" not in service.log


def test_a_signal_while_the_model_loads_ends_the_service(start_service: StartService) -> None:
    """Stopping during the load does not report SERVING afterwards, and ends with status 0."""
    service = start_service("--drain-seconds", "0")
    service.wait_listening()
    assert service.terminate() == 0
    events = [json.loads(line)["event"] for line in service.log.splitlines()]
    assert "ready" not in events
    assert events[-1] == "stopped"
    assert "Traceback" not in service.log


def test_without_its_parent_the_service_stops() -> None:
    """A service whose supervisor is gone ends by itself."""
    ran = run("--parent-pid", "1")
    assert ran.returncode == 0
    assert '"stopped"' in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "named"),
    [
        (["--prot", "1"], {}, "--prot"),
        ([], {"CRYSTALMESH_AGENT_PROT": "1"}, "CRYSTALMESH_AGENT_PROT"),
        (["--host", "0.0.0.0"], {"CRYSTALMESH_TOKEN": SECRET}, "tls_certificate"),  # noqa: S104
        (["--token", "short"], {}, "8 characters"),
        (["--tokens-file", "/no/such/file"], {}, "/no/such/file"),
        (["--tls-certificate", "/no/such/file", "--tls-key", "/no/such/key"], {}, "tls_certificate"),
        (["--host", "192.0.2.1", "--allow-no-auth", "--allow-no-tls"], {}, "192.0.2.1"),
    ],
)
def test_unusable_settings_end_the_service_with_one_line(
    arguments: list[str], variables: dict[str, str], named: str
) -> None:
    """Exit status 2, one line of ours on standard error that names the trouble, no trace and no secret."""
    ran = run(*arguments, **variables)
    assert ran.returncode == 2
    ours = [line for line in ran.stderr.splitlines() if line.startswith(f"crystalmesh {LIGHT}: ")]
    assert len(ours) == 1
    assert named in ours[0]
    assert "Traceback" not in ran.stderr
    assert SECRET not in ran.stderr


@pytest.mark.parametrize("flag", ["--port", "--metrics-port"])
def test_a_taken_port_is_one_clear_line(flag: str) -> None:
    """Where somebody listens already, the service says which address and ends with status 2."""
    with taken_port() as port:
        ran = run(flag, str(port))
    assert ran.returncode == 2
    assert f"127.0.0.1:{port}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_two_services_never_share_a_port(start_service: StartService) -> None:
    """A second service on the first one's port fails instead of taking half of its calls."""
    first = start_service(service=LIGHT)
    first.wait_listening()
    assert run("--port", first.address.rsplit(":", 1)[1]).returncode == 2


def test_a_model_that_cannot_be_loaded_ends_the_service(start_service: StartService) -> None:
    """The cause is in the log, and the exit status is 1."""
    service = start_service("--device", "cuda:63")
    assert service.process.wait(timeout=120) == 1
    failed = [json.loads(line) for line in service.log.splitlines() if "model_not_loaded" in line]
    assert "cuda:63" in failed[0]["exception"]


def test_what_comes_later_is_refused(start_service: StartService) -> None:
    """Methods that are not there yet answer UNIMPLEMENTED over the wire, counted, and nothing faked."""
    service = start_service(service=LIGHT)
    service.wait_serving()
    with grpc.insecure_channel(service.address) as channel:
        for name in ("StudyService/GetStudy", "StudyService/ListStudies"):
            with pytest.raises(grpc.RpcError) as failed:
                channel.unary_unary(f"/crystalmesh.agent.v1.{name}")(b"", timeout=30)
            assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
    until(lambda: service.metric("crystalmesh_requests_total", code="UNIMPLEMENTED") == 2, "both are counted")
    assert service.metric("crystalmesh_refusals_total", reason="NOT_IMPLEMENTED_YET") == 2
