from __future__ import annotations

from pathlib import Path

import pytest

from crystalmesh_common.crystal.text import crystal_to_cif
from tests.client.conftest import Command
from tests.conftest import lone_atom, silicon, sodium_chloride


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "si.cif").write_text(crystal_to_cif(silicon()))
    (tmp_path / "salt.cif").write_text(crystal_to_cif(sodium_chloride(a=5.8)))
    (tmp_path / "lone.cif").write_text(crystal_to_cif(lone_atom()))
    return tmp_path


def against_salts(*arguments: str | Path) -> list[str | Path]:
    return ["hull", "--reference", "salts", *arguments]


def rows_of(out: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in out.splitlines() if line}


def test_files_and_formulas_are_placed(crystalmesh: Command, files: Path) -> None:
    """A file is relaxed and scored, a formula is the reference's own, one with an energy is the caller's."""
    arguments = against_salts(files / "salt.cif", "NaCl3", "Na2Cl2=-2.05", "--out", files / "out")
    ended = crystalmesh(*arguments)
    assert ended.code == 0, ended.err
    rows = rows_of(ended.out)
    assert abs(float(rows["salt"][2])) < 50
    assert rows["NaCl3"][1:4] == ["NaCl3", "150.0", "-0.9000"]
    assert rows["Na2Cl2=-2.05"][1:4] == ["NaCl", "50.0", "-2.0500"]
    assert "against salts: 3 entries, energies of chgnet-0.3.0, MP2020" in ended.out
    assert {path.name for path in (files / "out").iterdir()} == {"salt.cif"}


def test_json_names_the_hull_on_every_line(crystalmesh: Command) -> None:
    """Distance, products and the reference with its hash."""
    ended = crystalmesh(*against_salts("--json", "NaCl3", "NaCl"))
    assert ended.code == 0
    by_id = {line["id"]: line for line in ended.lines}
    assert set(by_id) == {"NaCl3", "NaCl"}
    line = by_id["NaCl3"]
    assert line["energy_above_hull_ev_per_atom"] == pytest.approx(0.15)
    assert {product["formula"] for product in line["decomposition"]} == {"NaCl", "Cl2"}
    assert line["reference"]["name"] == "salts"
    assert len(line["reference"]["entries_sha256"]) == 64


def test_entries_can_be_left_out(crystalmesh: Command) -> None:
    """Without the salt, only Na and NaCl3 are left to make it from."""
    arguments = ("NaCl=-2", "--scheme", "MP2020", "--exclude", "salt", "--exclude", "no-such-entry")
    (line,) = crystalmesh(*against_salts("--json", *arguments)).lines
    assert line["energy_above_hull_ev_per_atom"] == pytest.approx(-1.4)


def test_the_hull_of_a_system(crystalmesh: Command) -> None:
    """Entries within a distance, as a table and as JSON."""
    ended = crystalmesh(*against_salts("--system", "Na-Cl"))
    assert ended.code == 0
    assert {"Na", "Cl2", "NaCl"} == {
        row[1] for key, row in rows_of(ended.out).items() if key not in {"entry", "against"}
    }
    lines = crystalmesh(*against_salts("--json", "--system", "Na-Cl", "--within", "1")).lines
    assert [line["formula"] for line in lines][-1] == "NaCl3"
    assert lines[0]["reference"]["name"] == "salts"


@pytest.mark.parametrize(
    "arguments",
    [["--system", "Na-Cl"], ["NaCl3", "NaCl"], ["SiCl4", "NaCl"], ["NaCl", "--system", "Na-Cl-Si"]],
)
def test_pictures_of_hulls(crystalmesh: Command, tmp_path: Path, arguments: list[str]) -> None:
    """Two elements and three, with phases and without."""
    ended = crystalmesh(*against_salts(*arguments, "--plot", tmp_path / "hull.svg"))
    assert ended.code == 0, ended.err
    assert (tmp_path / "hull.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize("arguments", [["--system", "Na-Cl-Si-O"], ["--system", "Na"], ["NaCl", "MgO=-3"]])
def test_a_hull_that_cannot_be_drawn_is_exit_code_2(
    crystalmesh: Command, tmp_path: Path, arguments: list[str]
) -> None:
    """The line says how many elements there are, before anything is computed."""
    ended = crystalmesh(*against_salts(*arguments, "--plot", tmp_path / "hull.png"))
    assert ended.code == 2
    assert "can be drawn" in ended.err
    assert ended.out == ""


def test_what_has_no_hull_is_told_and_does_not_stop_the_others(crystalmesh: Command, files: Path) -> None:
    """A missing file, an element and a formula that the reference lacks have their reasons; code 3."""
    ended = crystalmesh(
        *against_salts("--json", "NaCl", "KCl", "Na9Cl", files / "missing.cif", files / "lone.cif")
    )
    assert ended.code == 3
    reasons = {Path(line["id"]).name: line["error"]["reason"] for line in ended.lines if "error" in line}
    assert reasons == {
        "KCl": "REFERENCE_INCOMPLETE",
        "Na9Cl": "RESOURCE_NOT_FOUND",
        "missing.cif": "UNREADABLE_CRYSTAL",
        "lone": "REFERENCE_INCOMPLETE",
    }
    assert [line["id"] for line in ended.lines if "error" not in line] == ["NaCl"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "--system"),
        (["Na2O=low"], 2, "'low' is no formation energy"),
        (["NaCl=-2"], 3, "[INVALID_FIELD]"),
        (["NaCl=-2", "--scheme", "PBE"], 3, "[MIXED_ENERGY_SCHEMES]"),
        (["--system", "Na-Xx"], 3, "[INVALID_FIELD]"),
    ],
)
def test_what_is_asked_wrongly_is_a_line(
    crystalmesh: Command, arguments: list[str], code: int, told: str
) -> None:
    """The line says what to give."""
    ended = crystalmesh(*against_salts(*arguments))
    assert ended.code == code
    (line,) = ended.err.splitlines()
    assert told in line


def test_references_are_listed_and_described(crystalmesh: Command) -> None:
    """As tables for people, as JSON for programs."""
    assert {"salts", "oxides"} <= set(rows_of(crystalmesh("references").out))
    assert {"salts", "oxides"} <= {line["name"] for line in crystalmesh("references", "--json").lines}
    assert "attribution: the tests" in crystalmesh("references", "salts").out
    (line,) = crystalmesh("references", "salts", "--json").lines
    assert (line["name"], line["energy_scheme"], line["updated"]) == ("salts", "MP2020", None)
    assert crystalmesh("references", "sugar").code == 3


def test_equations_of_state_are_a_table_and_a_picture(crystalmesh: Command, files: Path) -> None:
    """Bulk moduli with whether they can be trusted; the picture has those that there are."""
    ended = crystalmesh(
        "eos", files / "si.cif", files / "lone.cif", "--points", "7", "--plot", files / "eos.png"
    )
    assert ended.code == 3
    assert "ISOLATED_ATOM" in ended.out
    row = rows_of(ended.out)["si"]
    assert (row[1], row[-1]) == ("Si", "yes")
    assert 60 < float(row[3]) < 120
    assert (files / "eos.png").read_bytes().startswith(b"\x89PNG")
    (line,) = crystalmesh("eos", "--json", "--as-is", "--clamped", "--points", "5", files / "si.cif").lines
    assert len(line["energies_ev"]) == len(line["volumes_cubic_angstrom"]) == 5


def test_elastic_tensors_and_vibrations_are_tables_and_json(crystalmesh: Command, files: Path) -> None:
    """Moduli and frequencies for people, tensors and all modes for programs."""
    assert rows_of(crystalmesh("elastic", files / "salt.cif").out)["salt"][-1] == "yes"
    (line,) = crystalmesh("elastic", "--json", "--clamped", files / "salt.cif").lines
    assert [len(row) for row in line["stiffness_gpa"]] == [6] * 6
    assert rows_of(crystalmesh("phonons", files / "si.cif").out)["si"][-1] == "yes"
    (line,) = crystalmesh("phonons", "--json", "--supercell", "2", "1", "1", files / "si.cif").lines
    assert (line["atoms"], len(line["frequencies_thz"])) == (4, 12)
