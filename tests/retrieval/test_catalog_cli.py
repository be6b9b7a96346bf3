from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from crystalmesh_client.cli import exits
from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_common.runtime.errors import (
    DataCorruptError,
    InvalidFieldError,
    ResourceNotFoundError,
    UnreachableError,
    WriterBusyError,
)
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.cli import catalog
from tests.conftest import silicon, sodium_chloride
from tests.retrieval.sources.databases import optimade_entry, optimade_page
from tests.retrieval.sources.replies import Database, InOrder, Reply


def run(*arguments: str | Path, code: int = 0, stdin: str = "") -> Result:
    """The command with its exit code; errors of the mesh come out as they are, for `main` to print."""
    result = CliRunner().invoke(catalog, [str(argument) for argument in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def cifs(tmp_path: Path) -> Path:
    folder = tmp_path / "cifs"
    folder.mkdir()
    (folder / "salt.cif").write_text(crystal_to_cif(sodium_chloride()))
    (folder / "si.cif").write_text(crystal_to_cif(silicon()))
    (folder / "bad.cif").write_text("no CIF")
    return folder


def test_files_are_added_and_shown(cifs: Path) -> None:
    """Counts by source, a line per bad file; the catalog is in the home of the mesh and can be looked at."""
    added = run("add", "ours", cifs, "--description", "a few", "--license", "CC0-1.0", "--attribution", "me")
    row = next(line for line in added.stdout.splitlines() if line.startswith(str(cifs)))
    assert row.split()[1:] == ["3", "2", "0", "0", "1"]
    assert "bad.cif: UNREADABLE_CRYSTAL: " in added.stdout
    assert Catalogs.of_this_user().names() == ["ours"]
    listed = run("list").stdout
    assert "ours" in listed
    assert "a few" in listed
    shown = run("show", "ours").stdout
    assert "material_count: 2" in shown
    assert "attributions: me" in shown
    material = run("show", "ours", "salt").stdout
    assert "formula: NaCl" in material
    assert "CC0-1.0" in material


def test_everything_is_json_on_request(cifs: Path) -> None:
    """One object a line, with the same names as in the API where there are some."""
    (added,) = lines(run("add", "ours", cifs, "--json"))
    assert (added["received"], added["added"], added["rejected"]) == (3, 2, 1)
    assert added["reasons"] == {"UNREADABLE_CRYSTAL": 1}
    assert added["rejections"][0]["id"] == "bad.cif"
    (listed,) = lines(run("list", "--json"))
    assert (listed["name"], listed["material_count"]) == ("ours", 2)
    (shown,) = lines(run("show", "ours", "--json"))
    assert shown["elements"] == ["Na", "Si", "Cl"]
    assert shown["version"] == listed["version"]
    (material,) = lines(run("show", "ours", "si", "--json"))
    assert material["space_group_number"] == 227
    assert material["properties"]["atoms_in_cell"]["kind"] == "geometry"
    assert len(material["crystal"]["atomic_numbers"]) == 2


def test_adding_twice_changes_nothing(cifs: Path) -> None:
    """And says so."""
    run("add", "ours", cifs)
    (again,) = lines(run("add", "ours", cifs, "--json"))
    assert (again["added"], again["unchanged"]) == (0, 2)


def test_a_database_is_read_with_the_wishes_of_the_user() -> None:
    """Filter, fields and the kind of the values reach the provider and the catalog."""
    page = optimade_page([optimade_entry(sodium_chloride("1"), _x_gap=5.0)], None, total=1)
    with Database(InOrder(Reply.of(page))) as database:
        arguments = ("--filter", "nelements=2", "--field", "band_gap_ev=_x_gap", "--values", "experiment")
        run(
            "add",
            "ours",
            f"optimade:{database.url}",
            *arguments,
            "--values-from",
            "a book",
            "--page-size",
            "5",
        )
        assert "filter=nelements%3D2" in database.asked[0].path
        assert "page_limit=5" in database.asked[0].path
    (material,) = lines(run("show", "ours", "oqmd-1", "--json"))
    assert material["properties"]["band_gap_ev"] == {
        "value": 5.0,
        "uncertainty": None,
        "kind": "experiment",
        "from": "a book",
    }


def test_a_stopped_import_is_told_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog shows that it is not finished; the next run says from where it went on."""
    from crystalmesh_retrieval.sources import web

    monkeypatch.setattr(web.time, "sleep", lambda _: None)
    first = Reply.of(optimade_page([optimade_entry(sodium_chloride("1"))], "/v1/structures?page_offset=1"))
    last = Reply.of(optimade_page([optimade_entry(silicon("2"))], None))
    with Database(InOrder(first, Reply(status=404), last)) as database:
        source = f"optimade:{database.url}"
        with pytest.raises(InvalidFieldError, match="HTTP 404"):
            run("add", "ours", source)
        (shown,) = lines(run("show", "ours", "--json"))
        assert list(shown["unfinished_imports"].values()) == [1]
        assert "went on after 1 rows" in run("add", "ours", source).stdout
        assert len(database.asked) == 3
    (shown,) = lines(run("show", "ours", "--json"))
    assert (shown["material_count"], shown["unfinished_imports"]) == (2, {})


def test_an_import_that_never_began_leaves_no_catalog(cifs: Path) -> None:
    """A wrong address makes no empty catalog, and takes nothing from one that is there."""
    with Database(InOrder(Reply(status=404))) as database:
        with pytest.raises(InvalidFieldError):
            run("add", "ours", f"optimade:{database.url}")
        assert Catalogs.of_this_user().names() == []
        run("add", "ours", cifs)
        with pytest.raises(InvalidFieldError):
            run("add", "ours", f"optimade:{database.url}")
    assert len(Catalogs.of_this_user().open("ours")) == 2


def test_export_takes_filters(cifs: Path, tmp_path: Path) -> None:
    """To a table, and to CIF files; nothing that passes is no error."""
    run("add", "ours", cifs)
    told = run(
        "export", "ours", tmp_path / "si.parquet", "--elements", "Si", "--property", "atoms_in_cell=2.."
    )
    assert "wrote 1 of 2 materials" in told.stdout
    assert pq.read_table(tmp_path / "si.parquet")["id"].to_pylist() == ["si"]
    run("export", "ours", tmp_path / "out", "--without-elements", "Si", "--space-group", "225")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["salt.cif"]
    told = run("export", "ours", tmp_path / "none.parquet", "--formula", "MgO")
    assert "wrote 0 of 2 materials" in told.stdout
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


def test_removing_asks_before_it_deletes(cifs: Path) -> None:
    """Materials at once, a whole catalog after a question."""
    run("add", "ours", cifs)
    assert "removed 1 of 2 materials" in run("remove", "ours", "si", "absent").stdout
    run("remove", "ours", code=1, stdin="n\n")
    assert Catalogs.of_this_user().names() == ["ours"]
    run("remove", "ours", stdin="y\n")
    assert Catalogs.of_this_user().names() == []
    run("add", "ours", cifs)
    run("remove", "ours", "--yes")
    assert Catalogs.of_this_user().names() == []


def test_a_damaged_catalog_is_repaired(cifs: Path) -> None:
    """As the message says: `repair`, then the import again."""
    run("add", "ours", cifs)
    assert "ours is whole" in run("repair", "ours").stdout
    (segment,) = (Catalogs.of_this_user().folder("ours") / "segments").iterdir()
    segment.write_bytes(b"torn")
    with pytest.raises(DataCorruptError, match="crystalmesh catalog repair ours"):
        run("show", "ours")
    assert "with 2 materials aside" in run("repair", "ours").stdout
    (again,) = lines(run("add", "ours", cifs, "--json"))
    assert again["added"] == 2


def test_one_damaged_manifest_does_not_hide_the_others(cifs: Path) -> None:
    """The list goes on, with a line about it."""
    run("add", "one", cifs)
    run("add", "two", cifs)
    (Catalogs.of_this_user().folder("one") / "manifest.json").write_text("{")
    listed = run("list")
    assert "two" in listed.stdout
    assert "manifest.json is no manifest" in listed.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["add", "ours", ".", "--values", "guess"], "not from 'guess'"),
        (["add", "ours", ".", "--field", "gap=_x"], "is no PROPERTY=FIELD"),
        (["export", "ours", "x", "--elements", "Xx"], "Xx is no element"),
        (["export", "ours", "x", "--property", "band_gap_ev=1"], "is no range of a property"),
        (["export", "ours", "x", "--property", "gap=1..2"], "is no range of a property"),
        (["export", "ours", "x", "--property", "band_gap_ev=a..b"], "is no range of a property"),
    ],
)
def test_what_is_typed_wrongly_is_one_line(arguments: list[str], problem: str) -> None:
    """With the exit code for wrong usage, and before any catalog is made."""
    assert problem in run(*arguments, code=exits.USAGE).stderr
    assert Catalogs.of_this_user().names() == []


def test_errors_are_those_of_the_mesh(cifs: Path, tmp_path: Path) -> None:
    """Each with its exit code; no catalog is made for a source that is not there."""
    for arguments, error in (
        (("add", "ours", tmp_path / "absent.csv"), InvalidFieldError),
        (("add", "Ours!", cifs), InvalidFieldError),
        (("show", "absent"), ResourceNotFoundError),
    ):
        with pytest.raises(error):
            run(*arguments)
    assert Catalogs.of_this_user().names() == []
    run("add", "ours", cifs)
    with pytest.raises(ResourceNotFoundError, match="has no material absent"):
        run("show", "ours", "absent")
    with Catalogs.of_this_user().writer("ours"), pytest.raises(WriterBusyError):
        run("add", "ours", cifs)
    assert exits.exit_code(UnreachableError("gone")) == exits.UNREACHABLE


def test_a_source_without_any_material_fails(tmp_path: Path) -> None:
    """A script notices that nothing was imported."""
    (tmp_path / "bad.cif").write_text("no CIF")
    run("add", "ours", tmp_path / "bad.cif", code=exits.BAD_INPUT)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, cifs: Path) -> None:
    """With its name and the system's reason."""
    (tmp_path / "file").write_text("")
    told = run("add", "ours", cifs, "--catalogs", tmp_path / "file", code=exits.FAILED)
    assert "file" in told.stderr
    assert "\n" not in told.stderr.strip()
