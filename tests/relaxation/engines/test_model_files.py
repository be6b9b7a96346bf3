from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crystalmesh_common.runtime.errors import CrystalMeshError, DataCorruptError, ModelFailedError
from crystalmesh_relaxation import engines
from crystalmesh_relaxation.engines.mace_foundations import FoundationModel
from crystalmesh_relaxation.engines.model_files import ModelFiles
from crystalmesh_relaxation.engines.specs import parse_spec

CONTENT = bytes(range(256)) * 10_000  # more than one chunk


@dataclass
class Publisher:
    """A server on loopback that has one model, and what was asked of it."""

    address: str
    requests: list[str] = field(default_factory=list)
    missing_bytes: int = 0  # of every answer, though it promises them

    def model(self, path: str = "tiny.model") -> FoundationModel:
        checksum = hashlib.sha256(CONTENT).hexdigest()
        return FoundationModel(f"http://{self.address}/{path}", checksum, "MIT", "A file.")


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            published.requests.append(self.path)
            if self.path != "/tiny.model":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[: len(CONTENT) - published.missing_bytes])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        published = Publisher(f"127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield published
        server.shutdown()
        thread.join()


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def test_a_file_that_is_there_is_not_fetched(publisher: Publisher, tmp_path: Path) -> None:
    """What was put into the folder by hand is taken as it is; its reader checks it."""
    (tmp_path / "tiny.model").write_bytes(b"by hand")
    files = ModelFiles(tmp_path, allow_downloads=True)
    assert files.path(publisher.model()).read_bytes() == b"by hand"
    assert publisher.requests == []


def test_nothing_is_fetched_unless_allowed(publisher: Publisher, tmp_path: Path) -> None:
    """Without the setting, a missing file is an error that says where to get it and where to put it."""
    model = publisher.model()
    with pytest.raises(ModelFailedError, match="allow_downloads") as raised:
        ModelFiles(tmp_path / "models").path(model)
    assert model.url in raised.value.message
    assert str(tmp_path / "models" / "tiny.model") in raised.value.message
    assert publisher.requests == []
    assert left_in(tmp_path) == set()


def test_a_download_is_kept(publisher: Publisher, tmp_path: Path) -> None:
    """With the setting the file is fetched into the folder, which is made, and only once."""
    files = ModelFiles(tmp_path / "new" / "models", allow_downloads=True)
    for _ in range(2):
        assert files.path(publisher.model()).read_bytes() == CONTENT
    assert publisher.requests == ["/tiny.model"]
    assert left_in(files.folder) == {"tiny.model"}


def test_evaluators_that_start_together_fetch_once(publisher: Publisher, tmp_path: Path) -> None:
    """Of several that want a file at the same time, one fetches it and the others wait for that."""
    files = ModelFiles(tmp_path, allow_downloads=True)
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: files.path(publisher.model()), range(4)))
    assert [path.read_bytes() for path in paths] == [CONTENT] * 4
    assert publisher.requests == ["/tiny.model"]


def test_another_file_is_not_kept(publisher: Publisher, tmp_path: Path) -> None:
    """A file with another checksum is refused with both checksums, and nothing of it stays."""
    model = replace(publisher.model(), sha256="0" * 64)
    with pytest.raises(DataCorruptError, match=publisher.model().sha256):
        ModelFiles(tmp_path, allow_downloads=True).path(model)
    assert left_in(tmp_path) == set()


def test_half_a_file_is_not_kept(publisher: Publisher, tmp_path: Path) -> None:
    """A download that breaks off is an error, nothing of it stays, and the next attempt can succeed."""
    files = ModelFiles(tmp_path, allow_downloads=True)
    publisher.missing_bytes = 1000
    with pytest.raises(CrystalMeshError, match=r"tiny\.model"):
        files.path(publisher.model())
    assert left_in(tmp_path) == set()
    publisher.missing_bytes = 0
    assert files.path(publisher.model()).read_bytes() == CONTENT


def test_what_is_not_published(publisher: Publisher, tmp_path: Path) -> None:
    """An address without a file is an error with the address and the server's answer."""
    with pytest.raises(ModelFailedError, match=r"/other\.model: .*404"):
        ModelFiles(tmp_path, allow_downloads=True).path(publisher.model("other.model"))
    assert left_in(tmp_path) == set()


def test_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, the error says where to put the file by hand."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    model = FoundationModel("http://127.0.0.1:1/tiny.model", "0" * 64, "MIT", "A file.")
    with pytest.raises(ModelFailedError, match="without a network, put the file at") as raised:
        ModelFiles(tmp_path, allow_downloads=True).path(model)
    assert str(tmp_path / "tiny.model") in raised.value.message


def test_a_folder_that_cannot_be_made(publisher: Publisher, tmp_path: Path) -> None:
    """A folder that cannot be written to is an error that names it."""
    (tmp_path / "file").touch()
    with pytest.raises(ModelFailedError, match=f"cannot write to {tmp_path / 'file'}"):
        ModelFiles(tmp_path / "file", allow_downloads=True).path(publisher.model())


def test_a_published_model_that_is_missing_is_not_loaded(tmp_path: Path) -> None:
    """Loading a published MACE without its file fails with what to do about it."""
    with pytest.raises(ModelFailedError, match=r"mace-mpa-0-medium\.model: download it from https://"):
        engines.load([parse_spec("mace:medium-mpa-0")], "cpu", ModelFiles(tmp_path))


def test_a_published_model_with_another_checksum_is_not_loaded(tmp_path: Path) -> None:
    """A file of the right name and other content is refused before anything of it is run."""
    (tmp_path / "mace-mpa-0-medium.model").write_bytes(b"something else")
    with pytest.raises(DataCorruptError, match="not the file that was asked for"):
        engines.load([parse_spec("mace:medium-mpa-0")], "cpu", ModelFiles(tmp_path))
