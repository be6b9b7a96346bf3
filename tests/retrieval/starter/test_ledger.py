"""Results line by line."""

from __future__ import annotations

from pathlib import Path

from crystalmesh_retrieval.starter.ledger import Ledger, read_records


def test_a_torn_line_is_taken_out_and_the_rest_stays(tmp_path: Path) -> None:
    """After kill -9 in the middle of a line the ledger goes on behind the last whole one."""
    path = tmp_path / "work" / "lines.jsonl"
    with Ledger(path) as ledger:
        ledger.add({"id": "a", "energy": 1.0})
        ledger.add({"id": "b", "energy": 2.0})
    path.write_bytes(path.read_bytes()[:-5])
    assert [record["id"] for record in read_records(path)] == ["a"]
    with Ledger(path) as ledger:
        assert ledger.ids == {"a"}
        ledger.add({"id": "c"})
    assert [record["id"] for record in read_records(path)] == ["a", "c"]


def test_a_ledger_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """A first run has no results."""
    assert list(read_records(tmp_path / "none.jsonl")) == []
