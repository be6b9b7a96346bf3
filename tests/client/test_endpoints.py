from __future__ import annotations

import json
from pathlib import Path

import pytest

from crystalmesh_client.endpoints import (
    Endpoint,
    EndpointMap,
    endpoint_map_path,
    mesh_home,
    read_endpoint_map,
)
from crystalmesh_common.runtime.errors import UnreachableError

MAP = EndpointMap(
    runtime="standalone",
    supervisor_pid=1,
    services={"relaxation": Endpoint("127.0.0.1:5", tls=True, metrics_address="127.0.0.1:6")},
)


def test_a_map_survives_the_file(tmp_path: Path) -> None:
    """What is written is read, and no half of it stays behind."""
    MAP.write(tmp_path / "endpoints.json")
    assert read_endpoint_map(tmp_path / "endpoints.json") == MAP
    assert [path.name for path in tmp_path.iterdir()] == ["endpoints.json"]


def test_the_map_is_found_in_the_home_of_the_mesh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """CRYSTALMESH_HOME goes before XDG_STATE_HOME, and that before the home folder."""
    monkeypatch.setenv("CRYSTALMESH_HOME", str(tmp_path / "ours"))
    assert endpoint_map_path() == tmp_path / "ours" / "endpoints.json"
    monkeypatch.delenv("CRYSTALMESH_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert mesh_home() == tmp_path / "state" / "crystalmesh"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert mesh_home() == Path.home() / ".local" / "state" / "crystalmesh"


def test_without_a_mesh_the_error_says_what_to_do() -> None:
    """No map: the message names the command and the variable."""
    with pytest.raises(UnreachableError, match=r"crystalmesh up.*CRYSTALMESH_ADDRESS"):
        read_endpoint_map()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        json.dumps({"services": []}),
        json.dumps({"services": {"relaxation": "127.0.0.1:5"}}),
        json.dumps({"services": {"relaxation": {"adress": "x"}}, "runtime": "ray", "supervisor_pid": 1}),
        json.dumps({"services": {}, "runtime": "ray", "supervisor_pid": 1, "more": 2}),
        "\xff",
    ],
)
def test_a_broken_map_is_unreachable_and_named(tmp_path: Path, text: str) -> None:
    """Whatever is in the file, the error is one of ours with the file's name."""
    path = tmp_path / "endpoints.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UnreachableError, match=r"endpoints\.json cannot be read"):
        read_endpoint_map(path)


def test_a_map_that_may_not_be_read_is_unreachable(tmp_path: Path) -> None:
    """A folder in its place, for instance."""
    with pytest.raises(UnreachableError, match="cannot be read"):
        read_endpoint_map(tmp_path)
