from __future__ import annotations

import json
from pathlib import Path

import ase.io
import pytest

from crystalmesh_common.crystal.files import read_crystals
from crystalmesh_common.crystal.text import crystal_to_cif
from tests.client.conftest import Command
from tests.conftest import lone_atom, silicon, sodium_chloride


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "si.cif").write_text(crystal_to_cif(silicon(shift=0.03)))
    (tmp_path / "salt.cif").write_text(crystal_to_cif(sodium_chloride(a=5.8)))
    (tmp_path / "lone.cif").write_text(crystal_to_cif(lone_atom()))
    return tmp_path


def test_relaxed_crystals_are_a_table_and_files(crystalmesh: Command, files: Path) -> None:
    """Each crystal has a row that says whether it converged, and a CIF of where it ended."""
    ended = crystalmesh("relax", files / "si.cif", files / "salt.cif", "--out", files / "out" / "deep")
    assert ended.code == 0, ended.err
    rows = {line.split()[0]: line.split() for line in ended.out.splitlines()}
    assert (rows["si"][3], rows["salt"][3]) == ("yes", "yes")
    assert {path.name for path in (files / "out" / "deep").iterdir()} == {"si.cif", "salt.cif"}
    (relaxed,) = read_crystals(files / "out" / "deep" / "salt.cif")
    assert relaxed.volume < sodium_chloride(a=5.8).volume


def test_the_way_is_written_when_asked(crystalmesh: Command, files: Path) -> None:
    """`--every` writes frames with energies, the first and the last among them."""
    ended = crystalmesh("relax", "--json", files / "si.cif", "--out", files / "out", "--every", "5")
    (line,) = ended.lines
    frames = ase.io.read(files / "out" / "si.extxyz", index=":")
    steps = [atoms.info["step"] for atoms in frames]
    assert steps[0] == 0
    assert steps[-1] == line["steps"]
    assert all(step % 5 == 0 for step in steps[:-1])
    assert frames[-1].get_potential_energy() == pytest.approx(2 * line["energy_ev_per_atom"])


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_of_relaxations(crystalmesh: Command, files: Path, suffix: str) -> None:
    """`--plot` draws what converged, also when another crystal has no result."""
    picture = files / f"way.{suffix}"
    ended = crystalmesh("relax", files / "si.cif", files / "lone.cif", "--plot", picture)
    assert ended.code == 3
    assert "ISOLATED_ATOM" in ended.out
    assert picture.stat().st_size > 1000
    assert not list(files.glob("*.extxyz"))


def test_json_says_how_it_went(crystalmesh: Command, files: Path) -> None:
    """One object a line with the evidence and the crystal."""
    (line,) = crystalmesh("relax", "--json", "--steps", "1", "--fmax", "0.0001", files / "si.cif").lines
    assert (line["converged"], line["stop_reason"], line["steps"]) == (False, "step limit", 1)
    assert len(line["fractional_coordinates"]) == 2
    json.dumps(line)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--plot", "way.docx"], "--plot"),
        (["--every", "5"], "--out"),
        (["--every", "0", "--out", "out"], "--every"),
        (["--optimizer", "newton"], "--optimizer"),
    ],
)
def test_options_that_make_no_sense_are_exit_code_2(
    crystalmesh: Command, files: Path, arguments: list[str], told: str
) -> None:
    """They are told before anything is computed."""
    ended = crystalmesh("relax", files / "si.cif", *arguments)
    assert ended.code == 2
    assert told in ended.err


def test_what_cannot_be_written_is_exit_code_2(crystalmesh: Command, files: Path) -> None:
    """A folder that is a file, and a picture in a folder that is not there, end in a line."""
    ended = crystalmesh("relax", files / "si.cif", "--out", files / "si.cif")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    ended = crystalmesh("relax", "--steps", "1", files / "si.cif", "--plot", files / "nowhere" / "way.png")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert "cannot be written" in ended.err
    assert "si" in ended.out


def test_runs_of_dynamics_are_a_table_and_files(crystalmesh: Command, files: Path) -> None:
    """Each run has a report, a trajectory with velocities, and the crystal at its end."""
    arguments = [
        "--steps",
        "6",
        "--every",
        "2",
        "--ensemble",
        "nve",
        "--time-step",
        "0.5",
        "--out",
        files / "out",
    ]
    ended = crystalmesh("md", files / "si.cif", files / "salt.cif", *arguments)
    assert ended.code == 0, ended.err
    rows = {line.split()[0]: line.split() for line in ended.out.splitlines()}
    assert (rows["si"][3], rows["si"][-1]) == ("6", "yes")
    assert {path.name for path in (files / "out").iterdir()} == {
        "si.cif",
        "si.extxyz",
        "salt.cif",
        "salt.extxyz",
    }
    frames = ase.io.read(files / "out" / "salt.extxyz", index=":")
    assert [atoms.info["step"] for atoms in frames] == [0, 2, 4, 6]
    assert frames[1].get_kinetic_energy() > 0


def test_a_run_begun_again_replaces_its_trajectory(crystalmesh: Command, files: Path) -> None:
    """The same command twice leaves one run in the file."""
    for _ in range(2):
        ended = crystalmesh(
            "md", "--json", files / "si.cif", "--steps", "2", "--every", "1", "--out", files / "out"
        )
        assert ended.code == 0
    (line,) = ended.lines
    assert (line["steps"], line["stable"]) == (2, True)
    assert len(ase.io.read(files / "out" / "si.extxyz", index=":")) == 3


def test_a_crystal_that_cannot_be_followed_is_told(crystalmesh: Command, files: Path) -> None:
    """Its reason is in the table, and the code is 3."""
    ended = crystalmesh("md", files / "lone.cif", "--steps", "2")
    assert ended.code == 3
    assert "ISOLATED_ATOM" in ended.out
