from dataclasses import replace
from pathlib import Path

from crystalmesh_client.endpoints import Endpoint, read_endpoint_map
from crystalmesh_common.mesh.state import MeshRecord, ServiceStatus, State

READY = ServiceStatus(
    "property",
    State.READY,
    since=12.0,
    pid=7,
    endpoint=Endpoint("127.0.0.1:1", metrics_address="127.0.0.1:2"),
)
BOOTING = ServiceStatus("retrieval", State.STARTING, since=11.0, reason="killed by SIGKILL", restarts=1)
RECORD = MeshRecord("standalone", 42, 10.0, {"property": READY, "retrieval": BOOTING})


def test_record_survives_its_file(tmp_path: Path) -> None:
    """What is written is read back; what is no record is none."""
    RECORD.write(tmp_path / "mesh.json")
    assert MeshRecord.read(tmp_path / "mesh.json") == RECORD
    for junk in ("", "{}", '{"services": {"property": {}}}', "[]"):
        (tmp_path / "junk.json").write_text(junk)
        assert MeshRecord.read(tmp_path / "junk.json") is None
    assert MeshRecord.read(tmp_path / "absent.json") is None


def test_endpoint_map_is_whole_or_absent(tmp_path: Path) -> None:
    """Clients never see half a mesh: the map exists once every address is known, and they can read it."""
    assert RECORD.endpoint_map() is None
    whole = RECORD.with_status(replace(BOOTING, endpoint=Endpoint("127.0.0.1:3", tls=True)))
    endpoints = whole.endpoint_map()
    assert endpoints is not None
    endpoints.write(tmp_path / "endpoints.json")
    assert read_endpoint_map(tmp_path / "endpoints.json") == endpoints
    assert endpoints.services["retrieval"] == Endpoint("127.0.0.1:3", tls=True)


def test_ready_and_failed_are_about_all_services() -> None:
    """A mesh is ready when all are; those given up are listed."""
    ready = RECORD.with_status(replace(BOOTING, state=State.READY, since=13.5))
    assert (RECORD.ready, ready.ready, ready.boot_seconds) == (False, True, 3.5)
    failed = replace(BOOTING, state=State.FAILED)
    assert RECORD.with_status(failed).failed == (failed,)
