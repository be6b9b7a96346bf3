"""`crystalmesh search`, `match`, `embed`, `materials`, `catalogs` and `models`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from crystalmesh_common.crystal.text import crystal_from_cif, crystal_to_cif
from tests.client.conftest import Command, command_line
from tests.conftest import ServiceProcess, block, lone_atom, silicon

SALT = "rock salt of Na and Cl, six-coordinated"


@pytest.fixture
def crystalmesh(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: ServiceProcess
) -> Command:
    """Runs `crystalmesh …` in this process, for the retrieval service and with its token."""
    return command_line(monkeypatch, capsys, words)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "si.cif").write_text(crystal_to_cif(silicon()))
    (tmp_path / "big.cif").write_text(crystal_to_cif(block(repeat=2)))
    (tmp_path / "lone.cif").write_text(crystal_to_cif(lone_atom()))
    return tmp_path


def rows_of(out: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in out.splitlines() if line}


def test_words_find_a_table_of_materials(crystalmesh: Command) -> None:
    """Formula, space group, properties with the kind of their source, similarity; and what was searched."""
    ended = crystalmesh("search", SALT)
    assert ended.code == 0, ended.err
    head, first = ended.out.splitlines()[:2]
    assert " ".join(head.split()) == ("material formula space group formation eV/atom gap eV similarity")
    *values, similarity = first.split()
    assert values == ["salt", "NaCl", "225", "-2.1", "potential", "5", "dft"]
    assert float(similarity) > 0.9
    assert ended.out.endswith("from known, by words\n")
    assert set(rows_of(ended.out)) == {"material", "salt", "si", "iron", "from"}


def test_several_queries_share_a_table(crystalmesh: Command, files: Path) -> None:
    """Words and crystals of files, each named in a column of its own."""
    ended = crystalmesh("search", SALT, "diamond", "--like", files / "si.cif", "--limit", "1")
    assert ended.code == 0
    assert "rock salt of Na and Cl, six-coordinated salt" in " ".join(ended.out.split())
    assert rows_of(ended.out)["si"][:3] == ["si", "si", "Si"]


def test_options_are_filters(crystalmesh: Command) -> None:
    """The spelling is that of `crystalmesh catalog export`; what nothing passes is no failure."""
    found = crystalmesh(
        *(
            "search",
            "anything",
            "--elements",
            "Na,Cl",
            "--only-elements",
            "Na,Cl",
            "--without-elements",
            "Pb",
        ),
        *("--chemical-system", "Cl-Na", "--formula", "ClNa", "--space-group", "225", "--space-group", "1"),
        *(
            "--property",
            "band_gap_ev=2..6",
            "--property",
            "atoms_in_cell=..2",
            "--json",
            "--catalog",
            "known",
        ),
    )
    (line,) = found.lines
    assert [hit["id"] for hit in line["hits"]] == ["salt"]
    nothing = crystalmesh("search", "anything", "--elements", "Au")
    assert nothing.code == 0
    assert "anything: no material of known passes the filter" in nothing.out


def test_json_has_a_line_for_each_query(crystalmesh: Command) -> None:
    """The hits with every property and its source, what was asked, and what was searched."""
    (line,) = crystalmesh("search", SALT, "--limit", "2", "--json").lines
    assert (line["text"], line["catalog"], line["encoder"], len(line["hits"])) == (SALT, "known", "words", 2)
    gap = line["hits"][0]["properties"]["band_gap_ev"]
    assert gap == {"value": 5.0, "uncertainty": None, "kind": "dft", "from": "Materials Project 2021"}
    assert "crystal" not in line["hits"][0]


def test_hits_go_into_a_folder(crystalmesh: Command, tmp_path: Path) -> None:
    """A CIF for each material, a table and JSON lines that say which file belongs to which hit."""
    out = tmp_path / "hits"
    assert crystalmesh("search", SALT, "diamond", "--limit", "2", "--out", out).code == 0
    with (out / "hits.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [(row["query"], row["rank"]) for row in rows[:2]] == [
        (rows[0]["query"], "1"),
        (rows[0]["query"], "2"),
    ]
    assert {row["file"] for row in rows} == {path.name for path in out.glob("*.cif")}
    salt = next(row for row in rows if row["id"] == "salt")
    assert (salt["band_gap_ev"], salt["bulk_modulus_gpa"]) == ("5.0", "")
    assert len(crystal_from_cif((out / salt["file"]).read_text())) == 2
    lines = [json.loads(line) for line in (out / "hits.jsonl").read_text().splitlines()]
    assert len(lines) == len(rows) == 4
    assert len(lines[0]["crystal"]["atomic_numbers"]) == 2


def test_bad_queries_are_told_and_do_not_stop_the_others(crystalmesh: Command, files: Path) -> None:
    """Empty text, text that is too long, and files without crystals have the server's reasons; code 3."""
    ended = crystalmesh("search", "", "x" * 20_001, SALT, "--like", files / "missing.cif", "--json")
    assert ended.code == 3
    failures = [line["error"] for line in ended.lines if "error" in line]
    assert sorted(failure["reason"] for failure in failures) == [
        "INVALID_FIELD",
        "INVALID_FIELD",
        "UNREADABLE_CRYSTAL",
    ]
    assert len([line for line in ended.lines if "hits" in line]) == 1
    told = crystalmesh("search", "").out
    assert "#0: INVALID_FIELD: the text is empty" in told


def test_odd_text_is_searched_for(crystalmesh: Command) -> None:
    """Markup, other alphabets, line ends and bytes that are no text do not break the command."""
    assert crystalmesh("search", "[bold]带隙[/bold]\n\x1b[31m", "caf\udce9 --", SALT, SALT).code == 3
    ended = crystalmesh("search", "[bold]带隙[/bold]\n\x1b[31m", SALT, SALT, "--limit", "1")
    assert ended.code == 0
    assert "[bold]带隙[/bold]" in ended.out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["search"], 2, "give a description"),
        (["search", "x", "--elements", "Xx"], 2, "Xx is no element"),
        (["search", "x", "--property", "band_gap_ev=4"], 2, "is no range of a property"),
        (["search", "x", "--property", "gap=1..2"], 2, "is no range of a property"),
        (["search", "x", "--property", "band_gap_ev=4..2"], 2, "at least 4 and at most 2"),
        (["search", "x", "--property", "band_gap_ev=.."], 2, "no bound"),
        (["search", "x", "--space-group", "231"], 2, "231 is no space group"),
        (["search", "x", "--catalog", "sugar"], 3, "[RESOURCE_NOT_FOUND]"),
        (["match", "--catalog", "sugar", "si.cif"], 3, "[RESOURCE_NOT_FOUND]"),
        (["embed", "x", "--encoder", "sugar"], 3, "[MODEL_NOT_FOUND]"),
        (["embed", "x", "--out", "vectors.txt"], 2, "must end in .npy"),
        (["materials", "--catalog", "sugar"], 3, "[RESOURCE_NOT_FOUND]"),
        (["materials", "salt", "--catalog", "sugar"], 3, "[RESOURCE_NOT_FOUND]"),
        (["catalogs", "sugar"], 3, "[RESOURCE_NOT_FOUND]"),
    ],
)
def test_what_is_asked_wrongly_is_a_line(
    crystalmesh: Command,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    told: str,
) -> None:
    """The line says what to give."""
    monkeypatch.chdir(files)
    ended = crystalmesh(*arguments)
    assert ended.code == code, ended.err
    (line,) = ended.err.splitlines()
    assert told in line
    assert ended.out == ""


def test_known_crystals_are_told_from_new_ones(crystalmesh: Command, files: Path) -> None:
    """A table for people, JSON for programs; a file without a crystal is code 3."""
    ended = crystalmesh("match", files / "big.cif", files / "lone.cif", files / "missing.cif")
    assert ended.code == 3
    rows = rows_of(ended.out)
    assert rows["big"][1:5] == ["NaCl", "known", "1", "yes"]
    assert rows["big"][5] == "salt"
    assert rows["lone"][1:] == ["Ar", "known", "0", "new"]
    assert "UNREADABLE_CRYSTAL" in ended.out
    (line,) = crystalmesh("match", "--json", "--length", "0.1", files / "big.cif").lines
    assert (line["known"], line["matches"][0]["material_id"]) == (True, "salt")


def test_vectors_are_json_or_a_file(crystalmesh: Command, files: Path) -> None:
    """The rows of the file are the texts and then the crystals, and those of JSON carry their ids."""
    out = files / "vectors.npy"
    ended = crystalmesh("embed", "one", "two", "--like", files / "si.cif", "--out", out, "--json")
    assert ended.code == 0, ended.err
    vectors = np.load(out)
    by_id = {line["id"]: line for line in ended.lines}
    assert (vectors.shape, list(by_id["si"])[:3]) == ((3, 64), ["id", "encoder", "tower"])
    np.testing.assert_allclose(vectors, [by_id[name]["vector"] for name in ("one", "two", "si")])
    table = rows_of(crystalmesh("embed", "one", "--tower", "structure").out)
    assert table["one"] == ["one", "words", "structure", "64"]
    failed = crystalmesh("embed", "", "one", "--out", files / "none.npy")
    assert failed.code == 3
    assert not (files / "none.npy").exists()
    assert crystalmesh("embed", "one", "--out", files / "no" / "way.npy").code == 2


def test_materials_are_listed_and_shown(crystalmesh: Command, tmp_path: Path) -> None:
    """Those that pass the filters as a table; those that are named, whole; CIFs on request."""
    ended = crystalmesh("materials", "--property", "band_gap_ev=0.5..")
    assert ended.code == 0, ended.err
    assert set(rows_of(ended.out)) == {"material", "salt", "si"}
    assert len(crystalmesh("materials", "--limit", "2", "--json").lines) == 2
    whole = crystalmesh("materials", "salt")
    assert "structure_description: rock salt" in whole.out
    assert "kind: dft" in whole.out
    some = crystalmesh("materials", "salt", "sugar", "--json", "--out", tmp_path / "out")
    assert some.code == 3
    assert [line.get("error", {}).get("reason") for line in some.lines] == [None, "RESOURCE_NOT_FOUND"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["salt.cif"]


def test_catalogs_and_encoders_are_listed(crystalmesh: Command) -> None:
    """What the mesh searches, and with what; a server without potentials lists its encoders alone."""
    assert rows_of(crystalmesh("catalogs").out)["known"][1] == "3"
    assert "known" in {line["name"] for line in crystalmesh("catalogs", "--json").lines}
    (line,) = crystalmesh("catalogs", "known", "--json").lines
    assert (line["material_count"], line["index"]["kind"]) == (3, "flat")
    assert "description: a few" in crystalmesh("catalogs", "known").out
    assert rows_of(crystalmesh("models").out)["words"][-1] == "retrieval"
    (model,) = crystalmesh("models", "--json").lines
    assert (model["name"], model["service"]) == ("words", "retrieval")


def test_crystals_are_queries_without_words(crystalmesh: Command, files: Path) -> None:
    """--like alone is a search."""
    (line,) = crystalmesh("search", "--like", files / "big.cif", "--json", "--limit", "1").lines
    assert (line["id"], line["text"], line["hits"][0]["id"]) == ("big", None, "salt")
