from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ase.io
import pytest

from crystalmesh_common.crystal.ase_codec import to_atoms
from crystalmesh_common.crystal.text import crystal_to_cif, crystal_to_poscar
from tests.client.conftest import Command, Ended
from tests.conftest import TOKEN, ServiceProcess, block, copies, iron, lone_atom, silicon, sodium_chloride

CONTROL_CODE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x9b]")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with crystals in several formats, and with files that are none."""
    (tmp_path / "salt.cif").write_text(crystal_to_cif(sodium_chloride()))
    (tmp_path / "POSCAR").write_text(crystal_to_poscar(silicon(shift=0.02)))
    ase.io.write(tmp_path / "iron.xyz", [to_atoms(iron()), to_atoms(iron())], format="extxyz")
    (tmp_path / "lone.cif").write_text(crystal_to_cif(lone_atom()))
    (tmp_path / "broken.cif").write_text("data_broken\nloop_\n")
    (tmp_path / "notes.docx").write_bytes(b"PK\x03\x04 no crystal")
    return tmp_path


def test_a_table_of_energies(crystalmesh: Command, files: Path) -> None:
    """CIF, POSCAR and an ASE file with two frames make a table with one row a crystal, and exit code 0."""
    (files / "[bold]salt.cif").write_text(crystal_to_cif(sodium_chloride()))  # a name, and no markup
    names = ["salt.cif", "POSCAR", "iron.xyz", "[bold]salt.cif"]
    ended = crystalmesh("evaluate", *[files / name for name in names])
    assert ended.code == 0, ended.err
    rows = {line.split()[0]: line.split() for line in ended.out.splitlines()}
    assert set(rows) >= {"crystal", "salt", "POSCAR", "iron-0", "iron-1", "[bold]salt"}
    assert rows["salt"][1:4] == ["NaCl", "2", "-3.6680"]
    assert float(rows["iron-0"][-1]) == pytest.approx(4.4, abs=0.8)


def test_json_is_one_object_a_line_and_nothing_else(crystalmesh: Command, files: Path) -> None:
    """`--json` prints every number at full precision, for programs."""
    ended = crystalmesh("evaluate", "--json", files / "salt.cif", files / "POSCAR")
    assert (ended.code, ended.err) == (0, "")
    by_id = {line["id"]: line for line in ended.lines}
    assert set(by_id) == {"salt", "POSCAR"}
    salt = by_id["salt"]
    assert (salt["formula"], salt["atoms"], salt["model"]) == ("NaCl", 2, "chgnet-0.3.0")
    assert salt["energy_ev"] == pytest.approx(2 * salt["energy_ev_per_atom"])
    assert len(salt["forces_ev_per_angstrom"]) == 2
    assert len(salt["stress_gpa"]) == 3
    assert len(salt["magnetic_moments_mu_b"]) == 2


def test_energy_only_leaves_the_rest_out(crystalmesh: Command, files: Path) -> None:
    """`--energy-only` has null for the rest in JSON, and empty cells in the table."""
    (line,) = crystalmesh("evaluate", "--json", "--energy-only", files / "salt.cif").lines
    assert (line["forces_ev_per_angstrom"], line["stress_gpa"]) == (None, None)
    assert "-3.6680" in crystalmesh("evaluate", "--energy-only", files / "salt.cif").out


def test_bad_files_and_crystals_are_told_and_do_not_stop_the_others(
    crystalmesh: Command, files: Path
) -> None:
    """Unreadable and missing files and crystals that fail have their reason, the rest its numbers; code 3."""
    names = ["salt.cif", "broken.cif", "notes.docx", "missing.cif", "lone.cif"]
    ended = crystalmesh("evaluate", "--json", *[files / name for name in names])
    assert ended.code == 3
    reasons = {Path(line["id"]).name: line["error"]["reason"] for line in ended.lines if "error" in line}
    assert reasons == {
        "broken.cif": "UNREADABLE_CRYSTAL",
        "notes.docx": "UNREADABLE_CRYSTAL",
        "missing.cif": "UNREADABLE_CRYSTAL",
        "lone": "ISOLATED_ATOM",
    }
    assert [line["id"] for line in ended.lines if "energy_ev" in line] == ["salt"]
    table = crystalmesh("evaluate", *[files / name for name in names])
    assert table.code == 3
    assert "Traceback" not in table.out + table.err
    for part in ("-3.6680", "ISOLATED_ATOM", "UNREADABLE_CRYSTAL"):
        assert part in table.out


def test_nothing_but_bad_files(crystalmesh: Command, files: Path) -> None:
    """With nothing left to evaluate the code is 3 and each file is named."""
    ended = crystalmesh("evaluate", "--json", files / "broken.cif", files / "missing.cif")
    assert ended.code == 3
    assert {Path(line["id"]).name for line in ended.lines} == {"broken.cif", "missing.cif"}


def test_files_of_one_name_are_told_apart(crystalmesh: Command, files: Path) -> None:
    """Two files of the same name in two folders, and one given twice, are two rows each."""
    other = files / "other"
    other.mkdir()
    (other / "salt.cif").write_text(crystal_to_cif(sodium_chloride(a=6.0)))
    ended = crystalmesh("evaluate", "--json", files / "salt.cif", other / "salt.cif")
    assert ended.code == 0
    assert len({line["id"] for line in ended.lines}) == 2
    assert len({line["energy_ev"] for line in ended.lines}) == 2


def test_a_long_table_keeps_its_numbers_whole(crystalmesh: Command, files: Path) -> None:
    """Piped, with long names and long reasons, no number is cut."""
    long_name = files / f"{'a-very-long-name-' * 8}.cif"
    long_name.write_text(crystal_to_cif(iron()))
    ended = crystalmesh("evaluate", files / "salt.cif", long_name, files / "missing.cif")
    (energy,) = (
        f"{line['energy_ev_per_atom']:.4f}" for line in crystalmesh("evaluate", "--json", long_name).lines
    )
    for number in ("-3.6680", energy):
        assert number in ended.out
    assert "…" not in ended.out


def test_output_to_a_pipe_has_no_control_codes(crystalmesh: Command, files: Path) -> None:
    """Where nobody looks at a terminal there are no colours, bars or cursor moves."""
    for arguments in (["evaluate", files / "salt.cif", files / "broken.cif"], ["models"]):
        ended = crystalmesh(*arguments)
        assert not CONTROL_CODE.search(ended.out + ended.err)


def test_models_are_listed(crystalmesh: Command) -> None:
    """`crystalmesh models` shows the served potential, as a table and as JSON."""
    assert "chgnet-0.3.0" in crystalmesh("models").out
    (line,) = crystalmesh("models", "--json").lines
    assert (line["name"], line["ready"]) == ("chgnet-0.3.0", True)


def only_line(ended: Ended) -> str:
    """The one line on standard error with which a command fails."""
    assert "Traceback" not in ended.err
    (line,) = ended.err.splitlines()
    return line


def test_no_mesh_is_exit_code_4(crystalmesh: Command, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mesh the line says how to start one; where nobody listens it says that; both are code 4."""
    monkeypatch.delenv("CRYSTALMESH_ADDRESS")
    ended = crystalmesh("evaluate", files / "salt.cif")
    assert ended.code == 4
    assert "crystalmesh up" in only_line(ended)
    ended = crystalmesh("evaluate", "--address", "127.0.0.1:1", files / "salt.cif")
    assert ended.code == 4
    assert "[UNREACHABLE]" in only_line(ended)


def test_a_wrong_token_is_exit_code_5(
    crystalmesh: Command, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong and a missing token are refused, and the token is not shown."""
    for token, reason in (("not-the-token", "TOKEN_INVALID"), ("", "TOKEN_MISSING")):
        monkeypatch.setenv("CRYSTALMESH_TOKEN", token)
        ended = crystalmesh("evaluate", files / "salt.cif")
        assert ended.code == 5
        assert f"[{reason}]" in only_line(ended)
        assert "not-the-token" not in ended.out + ended.err


def test_running_out_of_time_is_exit_code_6(crystalmesh: Command, files: Path) -> None:
    """`--timeout` gives up, whether the whole call or each crystal of it ran out of time first."""
    ended = crystalmesh("evaluate", "--timeout", "0.000001", files / "salt.cif")
    assert ended.code == 6
    assert "Traceback" not in ended.err
    assert "DEADLINE_EXCEEDED" in ended.out + ended.err


def test_an_unknown_model_is_exit_code_3(crystalmesh: Command, files: Path) -> None:
    """The request was wrong."""
    ended = crystalmesh("evaluate", "--model", "oracle", files / "salt.cif")
    assert ended.code == 3
    assert "[MODEL_NOT_FOUND]" in only_line(ended)


@pytest.mark.parametrize(
    "arguments", [["evaluate"], ["evaluate", "--no-such-flag", "x"], ["no-such-command"]]
)
def test_a_misspelt_command_line_is_exit_code_2(crystalmesh: Command, arguments: list[str]) -> None:
    """Usage errors have their own code."""
    assert crystalmesh(*arguments).code == 2


@pytest.fixture
def many(tmp_path: Path, relaxation: ServiceProcess) -> Callable[..., subprocess.Popen[str]]:
    """Starts the command as a process of its own, on a file with many crystals."""
    path = tmp_path / "many.xyz"
    ase.io.write(path, [to_atoms(crystal) for crystal in copies(block(repeat=2), 150)], format="extxyz")
    variables = {"CRYSTALMESH_ADDRESS": relaxation.address, "CRYSTALMESH_TOKEN": TOKEN}

    def start(*flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "crystalmesh_client.cli", "evaluate", *flags, str(path)]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | variables,
        )

    return start


@pytest.mark.parametrize("flags", [["--json"], ["--energy-only"]], ids=["json", "table"])
def test_a_reader_that_has_seen_enough_ends_the_command_quietly(
    many: Callable[..., subprocess.Popen[str]], flags: list[str]
) -> None:
    """Piped into `head`, the command ends without a word on standard error, and as if all were well."""
    with many(*flags) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        if "--json" in flags:
            assert json.loads(command.stdout.readline())["formula"] == "NaCl"
        command.stdout.close()
        assert command.stderr.read() == ""
        assert command.wait(timeout=60) == 0


def test_ctrl_c_ends_the_command_with_130(many: Callable[..., subprocess.Popen[str]]) -> None:
    """Interrupted in mid-stream, the command ends as interrupted and prints no trace."""
    with many("--json") as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.readline()
        command.send_signal(signal.SIGINT)
        command.stdout.read()
        assert "Traceback" not in command.stderr.read()
        assert command.wait(timeout=60) == 130
