from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider

from crystalmesh_client import AsyncMesh, Credentials, Mesh
from crystalmesh_client.connection import Connection, translated_errors
from crystalmesh_client.endpoints import Endpoint, EndpointMap, endpoint_map_path
from crystalmesh_common.runtime.errors import InvalidFieldError, UnreachableError

SECRET = "a-very-secret-token"


def write_map(**services: Endpoint) -> None:
    path = endpoint_map_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    EndpointMap("standalone", 1, services).write(path)


def test_an_address_goes_before_the_variable_and_that_before_the_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest source of an address wins."""
    write_map(relaxation=Endpoint("127.0.0.1:1"))
    assert Connection().endpoint("relaxation").address == "127.0.0.1:1"
    monkeypatch.setenv("CRYSTALMESH_ADDRESS", "127.0.0.1:2")
    assert Connection().endpoint("relaxation").address == "127.0.0.1:2"
    assert Connection("127.0.0.1:3").endpoint("relaxation").address == "127.0.0.1:3"


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """CRYSTALMESH_ADDRESS= means the mesh that runs here."""
    write_map(relaxation=Endpoint("127.0.0.1:1"))
    monkeypatch.setenv("CRYSTALMESH_ADDRESS", "")
    assert Connection().endpoint("relaxation").address == "127.0.0.1:1"


def test_a_service_that_the_mesh_has_not_is_unreachable() -> None:
    """The error names what there is."""
    write_map(property=Endpoint("127.0.0.1:1"), agent=Endpoint("127.0.0.1:2"))
    with pytest.raises(UnreachableError, match="'relaxation', it has agent, property"):
        Connection().endpoint("relaxation")


@pytest.mark.parametrize("mesh_class", [Mesh, AsyncMesh])
@pytest.mark.parametrize(
    "address", ["192.0.2.1:50051", "mesh.example.org:50051", "0.0.0.0:50051", "[2001:db8::1]:1"]
)
def test_a_token_never_travels_in_clear_text(mesh_class: type[Mesh | AsyncMesh], address: str) -> None:
    """With a token and no TLS, an address beyond loopback is refused before anything is sent."""
    mesh = mesh_class(address, credentials=Credentials(token=SECRET))
    with pytest.raises(InvalidFieldError, match="clear text") as refused:
        _ = mesh.relaxation
    assert SECRET not in str(refused.value)


def test_a_token_of_the_environment_does_not_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the token comes from makes no difference, nor does the map."""
    monkeypatch.setenv("CRYSTALMESH_TOKEN", SECRET)
    write_map(relaxation=Endpoint("192.0.2.1:50051"))
    with Mesh() as mesh, pytest.raises(InvalidFieldError, match="clear text"):
        _ = mesh.relaxation


@pytest.mark.parametrize(
    "connection",
    [
        Connection("127.0.0.1:1", Credentials(token=SECRET)),
        Connection("[::1]:1", Credentials(token=SECRET)),
        Connection("localhost:1", Credentials(token=SECRET)),
        Connection("unix:/tmp/mesh.sock", Credentials(token=SECRET)),
        Connection("192.0.2.1:1", Credentials(token=None)),
        Connection("192.0.2.1:1", Credentials(token=SECRET), allow_clear_text=True),
    ],
)
def test_where_clear_text_is_harmless_or_waived_it_is_used(connection: Connection) -> None:
    """On loopback, without a token and by explicit waiver a channel is opened."""
    connection.sync_channel("relaxation").close()


def test_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each unset part has its variable, and a CA turns TLS on."""
    assert Credentials() == Credentials(None, None, None, None)
    assert not Credentials().wants_tls
    monkeypatch.setenv("CRYSTALMESH_TOKEN", SECRET)
    monkeypatch.setenv("CRYSTALMESH_TLS_CA", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("CRYSTALMESH_TLS_CLIENT_CERTIFICATE", "c")
    monkeypatch.setenv("CRYSTALMESH_TLS_CLIENT_KEY", "k")
    assert Credentials() == Credentials(SECRET, tmp_path / "ca.pem", Path("c"), Path("k"))
    assert Credentials().wants_tls


def test_credentials_show_no_token() -> None:
    """Repr and str hide it."""
    assert SECRET not in repr(Credentials(token=SECRET)) + str(Credentials(token=SECRET))


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    """A file that cannot be read is an error with its path."""
    connection = Connection("192.0.2.1:1", Credentials(token=SECRET, tls_ca=tmp_path / "none.pem"))
    with pytest.raises(InvalidFieldError, match=r"none\.pem"):
        connection.sync_channel("relaxation")


def test_every_call_says_where_to_who_and_which() -> None:
    """Metadata has the application, the token and a request id of its own."""
    connection = Connection("127.0.0.1:1", Credentials(token=SECRET))
    first, second = (dict(connection.metadata("relaxation")) for _ in range(2))
    assert first["application"] == "relaxation"
    assert first["authorization"] == f"Bearer {SECRET}"
    assert first["x-request-id"] != second["x-request-id"]
    assert "authorization" not in dict(
        Connection("127.0.0.1:1", Credentials(token=None)).metadata("property")
    )


def test_the_callers_trace_is_continued() -> None:
    """Within a span, calls carry its trace."""
    provider = TracerProvider()
    with provider.get_tracer("test").start_as_current_span("work") as span:
        header = dict(Connection("127.0.0.1:1").metadata("relaxation"))["traceparent"]
    assert f"{span.get_span_context().trace_id:032x}" in header
    assert "traceparent" not in dict(Connection("127.0.0.1:1").metadata("relaxation"))
    provider.shutdown()


def test_what_is_no_failed_call_passes_through() -> None:
    """Only errors of calls are translated."""
    with pytest.raises(ZeroDivisionError), translated_errors():
        raise ZeroDivisionError


def test_where_nobody_listens_is_unreachable() -> None:
    """A refused connection is UNREACHABLE, from `models` and with gRPC's own retries spent."""
    with Mesh("127.0.0.1:1") as mesh, pytest.raises(UnreachableError) as failed:
        mesh.relaxation.models()
    assert failed.value.code is grpc.StatusCode.UNAVAILABLE
