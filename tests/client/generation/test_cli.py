"""`crystalmesh generate`."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crystalmesh_client.cli import main
from crystalmesh_common.crystal.files import read_crystals
from crystalmesh_common.crystal.text import crystal_to_cif, crystal_to_poscar
from crystalmesh_common.runtime import errors
from tests.client.conftest import Ended
from tests.client.generation.hosting import Workshop, failing, malformed, served, substituted
from tests.conftest import silicon, sodium_chloride, until


@pytest.fixture
def workshop() -> Workshop:
    return Workshop(edits={1: substituted})


@pytest.fixture
def address(workshop: Workshop) -> Iterator[str]:
    with served(workshop) as address:
        yield address


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str) -> Any:
    """Runs `crystalmesh generate …` in this process."""
    monkeypatch.setenv("CRYSTALMESH_ADDRESS", address)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["crystalmesh", "generate", *map(str, arguments)])
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        return Ended(code if isinstance(code, int) else 1, printed.out, printed.err)

    return run


def test_a_table_of_crystals(generate: Any) -> None:
    """A row each with what speaks against it, and how many are worth a look."""
    ended = generate("--formula", "NaCl", "-n", "3")
    assert ended.code == 0, ended.err
    head, *rows = [" ".join(line.split()) for line in ended.out.splitlines() if line]
    assert head == "crystal formula space group valid gap eV same as seed by but"
    but = "charges do not balance with common oxidation states; misses what was asked for: space group number"
    assert rows == [
        "NaCl-0 NaCl 225 yes 5.10 ± 0.39 1000 scribe",
        f"NaCl-1 NaCl 225 no NaCl-0 1001 K → Na {but}",
        "NaCl-2 NaCl 225 yes 5.10 ± 0.39 1002 scribe",
        "3 crystals, 2 of them valid and first of their kind",
    ]


def test_options_become_the_request(generate: Any, workshop: Workshop) -> None:
    """Target, constraints and sampling as they were typed."""
    wanted = [
        "--elements",
        "Na,Cl",
        "--without",
        "Pb",
        "--space-group",
        "225",
        "--property",
        "band_gap_ev=2..4",
    ]
    how = ["--generator", "language-model", "--temperature", "0", "--top-p", "0.9", "--seed", "7"]
    limits = ["--max-atoms", "8", "--min-distance", "0.7", "--unconstrained", "--symmetrize"]
    assert (
        generate(*wanted, *how, *limits, "--text", "salty", "--skip-transition", "--no-reference").code == 0
    )
    (request,) = workshop.asked
    target = request.prompts[0].target
    assert (list(target.required_elements), list(target.forbidden_elements)) == ([11, 17], [82])
    assert (target.space_group_number, target.free_text) == (225, "salty")
    assert (target.properties[0].min, target.properties[0].max) == (2, 4)
    assert (request.generator, request.missing_reference, request.skip_transition) == (1, 2, True)
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.seed) == (0, 0.9, 7)
    constraints = request.constraints
    assert (constraints.max_atoms, constraints.min_distance_angstrom) == (8, 0.7)
    assert constraints.unconstrained
    assert constraints.symmetrize


def test_references_are_prompts(
    generate: Any, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each crystal of files and of standard input; a file that holds none has its reason."""
    (tmp_path / "salt.cif").write_text(crystal_to_cif(sodium_chloride()))
    monkeypatch.setattr(sys, "stdin", io.StringIO(crystal_to_poscar(silicon())))
    ended = generate(
        *("--json", "--reference", tmp_path / "salt.cif", "--reference", "-"),
        *("--reference", tmp_path / "no.cif"),
    )
    assert ended.code == 3
    assert [line["id"] for line in ended.lines] == [str(tmp_path / "no.cif"), "salt-0", "stdin-0"]
    assert [len(prompt.reference.crystal.crystal.atomic_numbers) for prompt in workshop.asked[0].prompts] == [
        2,
        2,
    ]


def test_a_folder_has_all_of_it(generate: Any, workshop: Workshop, tmp_path: Path) -> None:
    """A CIF and a line for each crystal, a line for text that is none, and a page about them all."""
    workshop.edits[2] = malformed
    workshop.edits[3] = failing(errors.ModelFailedError("the engine <is> down"))
    folder = tmp_path / "new" / "deep"
    ended = generate("--formula", "NaCl", "-n", "4", "--into", folder)
    assert ended.code == 3
    assert "1 texts are no crystals: 1 malformed" in ended.out
    assert {path.name for path in folder.iterdir()} == {
        "NaCl-0.cif",
        "NaCl-1.cif",
        "candidates.jsonl",
        "index.html",
    }
    (crystal,) = read_crystals(folder / "NaCl-0.cif")
    assert len(crystal) == 8  # the conventional cell
    lines = [json.loads(line) for line in (folder / "candidates.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["NaCl-2", "NaCl-1", "NaCl-0"]
    assert lines[0]["parse_failure"]["kind"] == "malformed"
    assert lines[2]["file"] == "NaCl-0.cif"
    assert lines[2]["origin"]["language_model"]["temperature"] == pytest.approx(0.8)
    page = (folder / "index.html").read_text()
    assert page.count("<article") == 2
    assert 'href="NaCl-0.cif"' in page
    assert "the engine &lt;is&gt; down" in page
    again = generate("--into", folder)
    assert (again.code, "another folder" in again.err) == (2, True)


def test_json_is_one_object_a_line_and_nothing_else(generate: Any, tmp_path: Path) -> None:
    """All that is known of each, and its file."""
    ended = generate("--json", "-n", "2", "--into", tmp_path / "new")
    assert (ended.code, ended.err) == (0, "")
    assert [line["id"] for line in ended.lines] == ["new-1", "new-0"]
    assert ended.lines[1]["validity"]["structure_valid"] is True
    assert len(ended.lines[1]["crystal"]["fractional_coordinates"]) == 2
    assert ended.lines[1]["file"] == "new-0.cif"


def test_no_crystal_at_all_is_a_failure(generate: Any, workshop: Workshop) -> None:
    """Texts alone do not help anybody."""
    workshop.edits[0] = malformed
    ended = generate()
    assert ended.code == 3
    assert "0 crystals" in ended.out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--formula", "Xx"], 2, "no chemical formula"),
        (["--space-group", "231"], 2, "no space group"),
        (["--property", "gap=1..2"], 2, "no range"),
        (["--crystal-system", "cubic", "--space-group", "225"], 2, "not both"),
        (["--no-reference", "--reference", "salt.cif"], 2, "goes with neither"),
        (["--samples", "0"], 2, "--samples"),
        (["--model", "nobody"], 3, "[MODEL_NOT_FOUND]"),
    ],
)
def test_what_cannot_be_is_told(generate: Any, arguments: list[str], code: int, told: str) -> None:
    """Options that make no sense, and a model that is not there."""
    ended = generate(*arguments)
    assert ended.code == code
    assert told in ended.err
    assert not ended.out


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_came_is_there_whatever_happens(
    workshop: Workshop, address: str, tmp_path: Path, number: signal.Signals
) -> None:
    """Killed, its folder holds whole lines and their crystals; with Ctrl-C also the page."""
    workshop.after, workshop.waits = 2, True
    folder = tmp_path / "new"
    command = [sys.executable, "-m", "crystalmesh_client.cli", "generate", "-n", "9", "--into", str(folder)]
    environment = {**os.environ, "CRYSTALMESH_ADDRESS": address}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            lines = folder / "candidates.jsonl"
            until(lambda: lines.exists() and lines.read_text().count("\n") == 2, "two lines")
            process.send_signal(number)
            code = process.wait(60)
        finally:
            process.kill()
    assert code == (-number if number == signal.SIGKILL else 130)
    files = [json.loads(line)["file"] for line in lines.read_text().splitlines()]
    assert all((folder / file).stat().st_size > 100 for file in files)
    assert (folder / "index.html").exists() == (number == signal.SIGINT)
