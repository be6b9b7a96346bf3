import json
from pathlib import Path

import pytest

from crystalmesh_common.mesh.logs import LogFollower, last_lines, last_words, open_log


def test_a_log_too_large_is_put_aside_when_opened(tmp_path: Path) -> None:
    """Logs are bounded: one old log is kept, the new one starts empty."""
    path = tmp_path / "property.log"
    path.write_bytes(b"x" * 11)
    with open_log(path, largest=10) as log:
        assert log.tell() == 0
    assert (tmp_path / "property.log.1").read_bytes() == b"x" * 11
    path.write_bytes(b"y" * 10)
    with open_log(path, largest=10) as log:
        assert log.tell() == 10


def test_last_lines_of_a_log(tmp_path: Path) -> None:
    """The end of a log, also of one with bytes that are no text, and nothing of one that is not there."""
    path = tmp_path / "a.log"
    path.write_bytes(b"one\n\xff\nthree\n")
    assert last_lines(path, 2) == ["�", "three"]
    assert last_lines(path, 0) == []
    assert last_lines(path, 5, start=6) == ["three"]
    assert last_lines(tmp_path / "none.log", 5) == []


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["Traceback …", "ImportError: no torch", ""], "ImportError: no torch"),
        (
            [
                json.dumps(
                    {"event": "model_not_loaded", "level": "error", "exception": "Tr…\nOSError: no file"}
                ),
                json.dumps({"event": "stopped", "level": "info"}),
            ],
            "model_not_loaded: OSError: no file",
        ),
        (["a warning", json.dumps({"event": "gone", "level": "error"})], "gone"),
        ([json.dumps({"event": "listening", "level": "info"})], ""),
        (["[1, 2", "{not json"], "{not json"),
        (["w" * 400], "w" * 299 + "…"),
    ],
    ids=["traceback", "structured", "error after noise", "nothing wrong", "no json", "long"],
)
def test_last_words(tmp_path: Path, lines: list[str], words: str) -> None:
    """Of all that a process logged, the line that tells why it ended; nothing from before its start."""
    path = tmp_path / "a.log"
    path.write_text("ValueError: of an earlier run\n")
    start = path.stat().st_size
    with path.open("a") as log:
        log.write("\n".join(lines))
    assert last_words(path, start) == words


def test_follower_sees_whole_lines_across_a_rotation(tmp_path: Path) -> None:
    """New lines come once, half lines wait for their end, and a new file is followed from its beginning."""
    path = tmp_path / "a.log"
    path.write_text("old\n")
    follower = LogFollower(path)
    assert follower.new_lines() == []
    with path.open("a") as log:
        log.write("one\ntw")
    assert follower.new_lines() == ["one"]
    with path.open("a") as log:
        log.write("o\n")
    assert follower.new_lines() == ["two"]
    path.replace(tmp_path / "a.log.1")
    assert follower.new_lines() == []
    path.write_text("three\n")
    assert follower.new_lines() == ["three"]
