from __future__ import annotations

import pytest

from crystalmesh_common.runtime.addresses import is_loopback, with_port


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]", "unix:/run/mesh.sock"]
)
def test_hosts_that_only_this_machine_reaches(host: str) -> None:
    """Loopback names, addresses of both families and unix sockets count as loopback."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",  # noqa: S104 -- that is the point
        "::",
        "[::]",
        "10.0.0.1",
        "192.168.1.5",
        "",
        "example.org",
        "localhost.example.org",
        "2130706433",
    ],
)
def test_everything_else_can_be_reached_from_elsewhere(host: str) -> None:
    """Wildcards, private networks and names that merely look local are not loopback."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1:7"),
        ("::1", "[::1]:7"),
        ("[::1]", "[::1]:7"),
        ("mesh.example", "mesh.example:7"),
    ],
)
def test_a_port_is_put_behind_any_kind_of_host(host: str, address: str) -> None:
    """IPv6 addresses get the brackets without which the port is a part of them."""
    assert with_port(host, 7) == address
