"""The crystals to compute."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_retrieval.starter.candidates import candidates, crystal_of, write_candidates
from crystalmesh_retrieval.starter.ledger import read_records


def _words(crystal: Crystal) -> tuple[object, ...]:
    return crystal.id, crystal.cell.tobytes(), crystal.numbers.tobytes(), crystal.frac_coords.tobytes()


def test_candidates_are_the_same_in_every_run() -> None:
    """To the last bit, elements first, each under its own id."""
    first = list(candidates(25))
    assert [_words(one.crystal) for one in first] == [_words(one.crystal) for one in candidates(25)]
    assert {one.origin for one in first} == {"element"}
    assert len({one.crystal.id for one in first}) == 25


def test_well_known_compounds_come_after_the_elements() -> None:
    """A run that ends early has the elements, which a hull needs."""
    origins = [one.origin for one in islice(candidates(10_000), 300)]
    assert origins == sorted(origins)
    assert set(origins) == {"element", "known"}


def test_candidates_are_written_once(tmp_path: Path) -> None:
    """What is there is not made again, and comes back as it was."""
    path = tmp_path / "candidates.jsonl"
    write_candidates(path, 5)
    written = path.read_bytes()
    write_candidates(path, 4)
    assert path.read_bytes() == written
    crystals = [crystal_of(record) for record in read_records(path)]
    assert [crystal.id for crystal in crystals] == [one.crystal.id for one in candidates(5)]
