from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_retrieval.sources.published import PUBLISHED, PublishedFile
from crystalmesh_retrieval.sources.source import SourceUnreachableError
from tests.retrieval.sources.replies import Database, InOrder, Reply, Waits

CONTENT = b"a data set"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_a_file_is_downloaded_once(tmp_path: Path) -> None:
    """It is asked for again only when what is there is not whole."""
    with Database(InOrder(Reply(CONTENT))) as database:
        file = PublishedFile(f"{database.url}/set.json.gz", SHA256)
        path = file.fetch(tmp_path / "downloads", Waits().web())
        assert path == tmp_path / "downloads" / "set.json.gz"
        assert path.read_bytes() == CONTENT
        file.fetch(tmp_path / "downloads", Waits().web())
        assert len(database.asked) == 1
        path.write_bytes(b"a da")
        file.fetch(tmp_path / "downloads", Waits().web())
        assert path.read_bytes() == CONTENT


def test_a_cut_download_is_tried_again(tmp_path: Path) -> None:
    """A connection that ends early is noticed by the length."""
    with Database(InOrder(Reply(CONTENT, cut_after=3), Reply(CONTENT))) as database:
        file = PublishedFile(f"{database.url}/set.json.gz", SHA256)
        assert file.fetch(tmp_path, Waits().web()).read_bytes() == CONTENT


def test_another_file_than_the_published_one_is_refused(tmp_path: Path) -> None:
    """The message says so, and nothing is kept."""
    with Database(InOrder(Reply(b"something else"))) as database:
        file = PublishedFile(f"{database.url}/set.json.gz", SHA256)
        with pytest.raises(DataCorruptError, match="does not have the checksum"):
            file.fetch(tmp_path, Waits().web())
    assert list(tmp_path.iterdir()) == []


def test_offline_the_message_names_the_way_out(tmp_path: Path) -> None:
    """One line, with the hint to take a local file."""
    with Database(InOrder(Reply(status=503))) as database:
        file = PublishedFile(f"{database.url}/set.json.gz", SHA256)
        with pytest.raises(SourceUnreachableError, match="give a local file instead"):
            file.fetch(tmp_path, Waits().web(attempts=2))


def test_published_sets_have_an_address_and_a_checksum() -> None:
    """All of them."""
    for name, file in PUBLISHED.items():
        assert file.url.startswith("https://")
        assert file.name == f"{name}.json.gz"
        assert len(bytes.fromhex(file.sha256)) == 32
