"""`crystalmesh predict` and `crystalmesh models`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crystalmesh_common.crystal.text import crystal_to_cif, crystal_to_poscar
from tests.client.conftest import Command
from tests.conftest import TOKEN, ServiceProcess, iron, silicon, sodium_chloride


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "salt.cif").write_text(crystal_to_cif(sodium_chloride()))
    (tmp_path / "POSCAR").write_text(crystal_to_poscar(silicon()))
    (tmp_path / "iron.cif").write_text(crystal_to_cif(iron()))
    (tmp_path / "broken.cif").write_text("data_broken\nloop_\n")
    return tmp_path


def rows_of(out: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in out.splitlines() if line}


def test_a_table_of_properties(crystalmesh: Command, files: Path) -> None:
    """A column a property with half of its interval; what is unlike the training data is marked, and why."""
    ended = crystalmesh("predict", files / "salt.cif", files / "iron.cif")
    assert ended.code == 0, ended.err
    head = ended.out.splitlines()[0].split()
    assert head == ["crystal", "formula", "formation", "eV/atom", "gap", "eV", "K", "GPa", "in", "domain"]
    rows = rows_of(ended.out)
    assert rows["salt"][1] == "NaCl"
    assert rows["salt"].count("±") == 3
    assert (rows["salt"][-1], rows["iron"][-1]) == ("yes", "no")
    (why,) = (line for line in ended.out.splitlines() if line.startswith("iron: "))
    assert why.endswith("never trained on Fe (energies, moduli)")
    assert "± is half of a 95% interval; by energies, moduli" in ended.out


def test_options_choose_properties_and_model(crystalmesh: Command, files: Path) -> None:
    """Columns come in the order asked for."""
    asked = ["--property", "band_gap_ev", "--property", "formation_energy_ev_per_atom", "--model", "energies"]
    ended = crystalmesh("predict", files / "salt.cif", *asked)
    assert " ".join(ended.out.splitlines()[0].split()) == "crystal formula gap eV formation eV/atom in domain"
    assert ended.out.endswith("by energies\n")


def test_json_is_one_object_a_line_and_nothing_else(crystalmesh: Command, files: Path) -> None:
    """Every number at full precision, what is unlike with its elements, and nothing else."""
    ended = crystalmesh("predict", "--json", files / "salt.cif", files / "iron.cif")
    assert (ended.code, ended.err) == (0, "")
    by_id = {line["id"]: line for line in ended.lines}
    assert by_id.keys() == {"salt", "iron"}
    gap = by_id["salt"]["values"]["band_gap_ev"]
    assert gap["lower"] <= gap["value"] <= gap["upper"]
    assert (gap["unit"], gap["model"]) == ("eV", "moduli")
    assert not by_id["salt"]["out_of_domain"]
    assert by_id["iron"]["domain_warnings"][0]["elements"] == ["Fe"]


def test_bad_files_do_not_stop_the_others(crystalmesh: Command, files: Path) -> None:
    """Files without a crystal have their reason, the rest its numbers; code 3."""
    ended = crystalmesh("predict", "--json", *(files / name for name in ("salt.cif", "broken.cif", "no.cif")))
    assert ended.code == 3
    assert [line["error"]["reason"] for line in ended.lines if "error" in line] == ["UNREADABLE_CRYSTAL"] * 2
    assert [line["id"] for line in ended.lines if "values" in line] == ["salt"]
    only = crystalmesh("predict", files / "broken.cif")
    assert only.code == 3
    assert "±" not in only.out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--property", "gap"], 2, "'gap' is no property; these are: formation_energy_ev_per_atom,"),
        (["--property", "shear_modulus_gpa"], 3, "[UNSUPPORTED_QUANTITY]"),
        (["--model", "crystal-ball"], 3, "[MODEL_NOT_FOUND]"),
    ],
)
def test_what_cannot_be_is_one_line(
    crystalmesh: Command, files: Path, arguments: list[str], code: int, told: str
) -> None:
    """Names that are no properties, that nothing predicts, and models that are not there."""
    ended = crystalmesh("predict", files / "salt.cif", *arguments)
    assert ended.code == code
    (line,) = ended.err.splitlines()
    assert told in line
    assert not ended.out


def test_a_closed_pipe_is_no_failure(predicting: ServiceProcess, files: Path) -> None:
    """Nobody reads the table: no line, and code 0."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:  # noqa: PTH123 -- a descriptor has no path
        done = subprocess.run(
            [sys.executable, "-m", "crystalmesh_client.cli", "predict", str(files / "salt.cif")],
            stdout=closed,
            stderr=subprocess.PIPE,
            env={**os.environ, "CRYSTALMESH_ADDRESS": predicting.address, "CRYSTALMESH_TOKEN": TOKEN},
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_models_are_listed_with_what_they_predict(crystalmesh: Command) -> None:
    """Those of this service among all, as a table and with their cards as JSON."""
    ended = crystalmesh("models")
    assert ended.code == 0, ended.err
    row = rows_of(ended.out)["moduli"]
    assert row[-3:] == ["property", "bulk_modulus_gpa,", "band_gap_ev"]
    lines = {line["name"]: line for line in crystalmesh("models", "--json").lines}
    assert lines["moduli"]["service"] == "property"
    assert lines["moduli"]["training_data"][0]["name"] == "matbench_mp_gap"
    assert lines["damaged"]["ready"] is False
