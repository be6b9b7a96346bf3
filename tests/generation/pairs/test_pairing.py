from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from crystalmesh_common.crystal.composition import reduced_composition
from crystalmesh_common.crystal.matching import same_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.durable import file_sha256
from crystalmesh_common.runtime.errors import DataCorruptError, InvalidFieldError
from crystalmesh_generation.pairs import pairing
from crystalmesh_generation.pairs.pair_table import Pair, read_pairs
from crystalmesh_generation.pairs.pairing import (
    CRYSTALS_FILE,
    PAIRS_FILE,
    TARGETS_FILE,
    PairRequest,
    make_pairs,
)
from crystalmesh_generation.pairs.standard_table import read_standard, standardized
from tests.generation.pairs.structures import (
    caesium_chloride,
    disguised,
    perovskite,
    rock_salt,
    rutile,
    wurtzite,
    zincblende,
)
from tests.property.crystals import write_table

_SALTS = [(11, 17), (19, 35), (12, 8), (20, 8), (37, 53), (3, 9), (20, 16), (56, 34)]


def _crystals() -> list[Crystal]:
    """Eight rock salts, four of some others, one alone of its kind; each in disguise."""
    made = [rock_salt(numbers, a=4.2 + 0.1 * place) for place, numbers in enumerate(_SALTS)]
    made += [wurtzite((30, 8)), wurtzite((48, 16), u=0.377, c=6.7), wurtzite((13, 7)), wurtzite((49, 7))]
    made += [perovskite((38, 22, 8)), perovskite((56, 22, 8), polar=0.02), perovskite((19, 41, 8))]
    made += [zincblende((30, 34)), zincblende((31, 33)), caesium_chloride(), rutile()]
    return [disguised(crystal, place) for place, crystal in enumerate(made)]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("tables") / "table.parquet", _crystals(), {})


@pytest.fixture(scope="module")
def folder(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of the table, made once for tests that only look."""
    made = tmp_path_factory.mktemp("pairs")
    make_pairs(PairRequest(table, table), made)
    return made


def _by_target(folder: Path) -> dict[int, list[Pair]]:
    found: dict[int, list[Pair]] = defaultdict(list)
    for pair in read_pairs(folder / PAIRS_FILE).pairs:
        found[pair.target].append(pair)
    return found


def test_every_target_is_still_itself(folder: Path) -> None:
    """Whatever the setting that a pair writes it in, the target is the crystal of its row."""
    crystals = _crystals()
    for pair in read_pairs(folder / PAIRS_FILE).pairs:
        assert same_structure(pair.crystal, crystals[pair.target])


def test_aligned_targets_follow_their_references(folder: Path) -> None:
    """In an aligned pair each site is near that of the reference, and one element stands for one element."""
    references = {each.row: each.crystal for each in read_standard(folder / CRYSTALS_FILE).crystals}
    aligned = [pair for pair in read_pairs(folder / PAIRS_FILE).pairs if pair.aligned]
    assert len(aligned) > 40
    for pair in aligned:
        reference = references[pair.reference]
        offsets = pair.crystal.frac_coords - reference.frac_coords
        assert np.abs(offsets - np.rint(offsets)).max() < 0.03
        roles = set(zip(reference.numbers.tolist(), pair.crystal.numbers.tolist(), strict=True))
        assert len(roles) == len(set(reference.numbers.tolist())) == len(set(pair.crystal.numbers.tolist()))


def test_references_are_different_materials(folder: Path) -> None:
    """A target has at most four aligned references, all distinct, and neither itself nor its own formula."""
    crystals = _crystals()
    for target, pairs in _by_target(folder).items():
        rows = [pair.reference for pair in pairs if pair.aligned]
        assert len(rows) <= 4
        assert len(set(rows)) == len(rows)
        own = reduced_composition(crystals[target])
        assert all(reduced_composition(crystals[row]) != own for row in rows)
        assert target not in [pair.reference for pair in pairs]


def test_one_reference_is_of_another_structure(folder: Path) -> None:
    """Each target comes once beside a reference that it cannot follow, in its own standard setting."""
    standard = {each.row: each.crystal for each in read_standard(folder / CRYSTALS_FILE).crystals}
    for target, pairs in _by_target(folder).items():
        (stranger,) = [pair for pair in pairs if not pair.aligned]
        assert stranger.displacement is None
        np.testing.assert_array_equal(stranger.crystal.frac_coords, standard[target].frac_coords)


def test_a_crystal_alone_of_its_kind_is_named(folder: Path) -> None:
    """Targets without any aligned reference are said to be so."""
    table = read_pairs(folder / PAIRS_FILE)
    assert set(table.origin.unaligned) == {len(_crystals()) - 2, len(_crystals()) - 1}
    assert table.origin.left_out == ()


def test_polymorphs_serve_where_nothing_else_does(tmp_path: Path) -> None:
    """A crystal whose only match has its own formula is paired with that."""
    crystals = [rutile(), rutile(u=0.31, a=4.7), perovskite(), caesium_chloride()]
    few = write_table(tmp_path / "few.parquet", crystals, {})
    made = make_pairs(PairRequest(few, few), tmp_path / "to")
    assert [(pair.target, pair.reference) for pair in made.pairs if pair.aligned] == [(0, 1), (1, 0)]


def test_a_seed_gives_the_same_pairs(table: Path, folder: Path, tmp_path: Path) -> None:
    """The same request gives the same file, another seed other references."""
    make_pairs(PairRequest(table, table), tmp_path / "again")
    make_pairs(PairRequest(table, table, seed=1), tmp_path / "other")
    assert file_sha256(tmp_path / "again" / PAIRS_FILE) == file_sha256(folder / PAIRS_FILE)
    first, other = (read_pairs(each / PAIRS_FILE).pairs for each in (folder, tmp_path / "other"))
    assert [pair.reference for pair in first] != [pair.reference for pair in other]


def test_goes_on_where_it_stopped(
    table: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that breaks off keeps what it finished, and ends with what an unbroken one ends with."""
    monkeypatch.setattr(pairing, "_PART_TARGETS", 5)
    done: list[int] = []

    def breaks_at_12(what: str, at: int, _total: int) -> None:
        if what == "pairs":
            done.append(at)
            if at == 12:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_pairs(PairRequest(table, table), tmp_path, breaks_at_12)
    assert not (tmp_path / PAIRS_FILE).exists()
    done.clear()
    made = make_pairs(PairRequest(table, table), tmp_path, lambda what, at, _: done.append(at))
    assert done[0] == 10
    assert made.origin == read_pairs(folder / PAIRS_FILE).origin
    assert file_sha256(tmp_path / PAIRS_FILE) == file_sha256(folder / PAIRS_FILE)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CRYSTALS_FILE, PAIRS_FILE]


def test_finished_work_is_kept_until_its_table_changes(table: Path, tmp_path: Path) -> None:
    """The same request twice computes nothing the second time; a changed table is noticed."""
    told: list[str] = []
    copy = tmp_path / "copy.parquet"
    copy.write_bytes(table.read_bytes())
    make_pairs(PairRequest(copy, copy), tmp_path / "to")
    make_pairs(PairRequest(copy, copy), tmp_path / "to", lambda what, _, __: told.append(what))
    assert not told
    write_table(copy, _crystals()[:-1], {})
    made = make_pairs(PairRequest(copy, copy), tmp_path / "to", lambda what, _, __: told.append(what))
    assert Counter(told)["standard settings"] == len(_crystals()) - 1
    assert made.origin.references_sha256 == file_sha256(copy)


def test_targets_from_another_table(table: Path, tmp_path: Path) -> None:
    """Targets of a second table are paired with references of the first, as many of them as asked for."""
    fresh = write_table(tmp_path / "fresh.parquet", [rock_salt((19, 17), a=6.3), perovskite((20, 22, 8))], {})
    made = make_pairs(PairRequest(fresh, table, per_target=2), tmp_path / "all")
    assert Counter(pair.target for pair in made.pairs if pair.aligned) == {0: 2, 1: 2}
    assert len(read_standard(tmp_path / "all" / TARGETS_FILE).crystals) == 2
    assert len(read_standard(tmp_path / "all" / CRYSTALS_FILE).crystals) == len(_crystals())
    one = make_pairs(PairRequest(fresh, table, sample=1), tmp_path / "one")
    assert len({pair.target for pair in one.pairs}) == 1


def test_rows_that_are_no_crystals_are_named(tmp_path: Path) -> None:
    """Two atoms at one place and a flat cell are left out, with their rows and what is wrong."""
    overlapping = Crystal(4 * np.eye(3), np.array([11, 17]), np.zeros((2, 3)))
    flat = Crystal(np.diag([4.0, 4.0, 0.0]), np.array([11, 17]), rock_salt().frac_coords)
    path = write_table(tmp_path / "t.parquet", [overlapping, rock_salt(), flat, rock_salt((12, 8))], {})
    made = make_pairs(PairRequest(path, path), tmp_path / "to")
    assert [row for row, _ in made.origin.left_out] == [0, 2]
    assert "apart" in made.origin.left_out[0][1]
    assert {(pair.target, pair.reference) for pair in made.pairs if pair.aligned} == {(1, 3), (3, 1)}


def test_files_have_the_promised_columns(table: Path, folder: Path) -> None:
    """Others may read the files with any Parquet reader."""
    pairs, crystals = (pq.read_schema(folder / name) for name in (PAIRS_FILE, CRYSTALS_FILE))
    assert [f"{field.name} {field.type}" for field in pairs] == [
        "target int32",
        "reference int32",
        "aligned bool",
        "displacement float",
        "cell fixed_size_list<element: float>[9]",
        "numbers list<element: uint8>",
        "frac_coords list<element: float>",
    ]
    assert {"row", "cell", "numbers", "frac_coords", "space_group"} <= set(crystals.names)
    assert read_standard(folder / CRYSTALS_FILE).sha256 == file_sha256(table)
    groups = [each.space_group for each in read_standard(folder / CRYSTALS_FILE).crystals]
    assert groups == [225] * 8 + [186] * 4 + [221, 99, 221, 216, 216, 221, 136]


def test_refuses_what_is_no_table(tmp_path: Path, folder: Path) -> None:
    """A file that is no table of crystals, and one of another kind where ours should be, are errors."""
    text = tmp_path / "text.parquet"
    text.write_text("no table")
    with pytest.raises(InvalidFieldError):
        standardized(text, tmp_path / "out.parquet")
    with pytest.raises(InvalidFieldError):
        standardized(folder / "none.parquet", tmp_path / "out.parquet")
    with pytest.raises(InvalidFieldError):
        standardized(write_columns(tmp_path / "columns.parquet"), tmp_path / "out.parquet")
    with pytest.raises(DataCorruptError):
        read_pairs(text)


def write_columns(path: Path) -> Path:
    """A table of something else."""
    import pyarrow as pa

    pq.write_table(pa.table({"id": ["a"]}), path)
    return path


def test_command_line(table: Path, tmp_path: Path) -> None:
    """The command says what it made; a file that is no table ends it with an error."""
    import typer

    from crystalmesh_generation.pairs.cli import pair

    app = typer.Typer()
    app.command()(pair)
    ran = CliRunner().invoke(
        app, ["--table", str(table), "--into", str(tmp_path / "to"), "--per-target", "1"]
    )
    assert ran.exit_code == 0, ran.output
    assert "2 targets without any aligned reference, 0 rows left out" in ran.output
    ran = CliRunner().invoke(app, ["--table", str(tmp_path / "none"), "--into", str(tmp_path / "to")])
    assert ran.exit_code != 0
