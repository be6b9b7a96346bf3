"""What an address says about who can reach it."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def with_port(host: str, port: int) -> str:
    """The address of `port` on `host`, an IPv6 one in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith(("[", "unix:")) else f"{host}:{port}"
