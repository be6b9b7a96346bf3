from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crystalmesh_common.runtime.errors import ModelLoadingError, ResourceNotFoundError
from crystalmesh_relaxation.stability.formulas import amounts_of
from crystalmesh_relaxation.stability.reference import Reference, ReferenceKind
from crystalmesh_relaxation.stability.references import References, shipped_references
from crystalmesh_relaxation.stability.tables import ReferenceFileError, read_reference


def described(folder: Path, csv: str = "", **fields: Any) -> Path:
    """A reference's two files; the table is `csv`."""
    (folder / "table.csv").write_text(csv or "id,formula,formation_energy_ev_per_atom\na,NaCl,-2.0\n")
    description = {"name": "test", "table": "table.csv", "kind": "dft", "energy_scheme": "PBE", **fields}
    path = folder / "reference.json"
    path.write_text(json.dumps(description))
    return path


def test_a_table_of_formation_energies_is_a_reference(tmp_path: Path) -> None:
    """Formulas and formation energies are all that it takes."""
    reference = read_reference(described(tmp_path))
    assert (reference.name, reference.provenance.kind) == ("test", ReferenceKind.DFT)
    assert reference.table.entry_count == 1
    assert reference.table.atomic_numbers == (11, 17)


def test_total_energies_need_those_of_the_elements(tmp_path: Path) -> None:
    """Total energies of a potential are counted from its elements; entries of others are left out."""
    table = "id,formula,energy_ev_per_atom,converged\na,NaCl,-3.5,true\nb,MgO,-6.0,true\nc,NaCl,-9.0,false\n"
    elements = {"pot": {"Na": -1.3, "Cl": -1.8}}
    reference = read_reference(
        described(tmp_path, table, kind="model", model="pot", elemental_energies=elements)
    )
    assert reference.table.entry_count == 1
    (product, _), *_ = reference.standing(amounts_of("NaCl"), 0.0).products
    assert product.formation_energy_ev_per_atom == pytest.approx(-1.95)


@pytest.mark.parametrize(
    ("table", "fields", "problem"),
    [
        ("", {"kind": "guess"}, "kind"),
        ("", {"energy": "PBE"}, "energy: Extra inputs"),
        ("", {"elemental_energies": {"pot": {"Xx": 1.0}}}, "'Xx' is no element"),
        ("", {"table": "absent.parquet"}, "absent.parquet"),
        ("name,energy\na,1\n", {}, "no column `formula`"),
        ("id,formula\na,NaCl\n", {}, "no column `formation_energy_ev_per_atom`"),
        ("id,formula,formation_energy_ev_per_atom\na,Quux,-2.0\n", {}, "Quux"),
        ("id,formula,formation_energy_ev_per_atom\na,NaCl,-2.0\na,MgO,-2.0\n", {}, "two entries have one id"),
        ("id,formula,formation_energy_ev_per_atom\n", {}, "no entries"),
    ],
)
def test_a_file_that_is_no_reference_says_why(
    tmp_path: Path, table: str, fields: dict[str, Any], problem: str
) -> None:
    """One error, with the file and what is wrong with it."""
    with pytest.raises(ReferenceFileError, match=problem):
        read_reference(described(tmp_path, table, **fields))


def test_a_missing_description_says_so(tmp_path: Path) -> None:
    """The path that is not there is in the message."""
    with pytest.raises(ReferenceFileError, match=r"nowhere\.json"):
        read_reference(tmp_path / "nowhere.json")


def test_references_are_found_by_name(tmp_path: Path) -> None:
    """The default comes first and for the empty name; while they load, callers are told to come back."""
    references = References()
    with pytest.raises(ModelLoadingError):
        references.resolve("")
    one, two = (_named(tmp_path, name) for name in ("one", "two"))
    references.loaded([one, two], default="two")
    assert [reference.name for reference in references.all()] == ["two", "one"]
    assert references.resolve("") is two
    assert references.resolve("one") is one
    with pytest.raises(ResourceNotFoundError, match="there is two, one"):
        references.resolve("three")
    with pytest.raises(ResourceNotFoundError, match="four"):
        references.loaded([one], default="four")


def test_elements_known_in_a_scheme_serve_all_of_it(tmp_path: Path) -> None:
    """What a potential says of the elements in one scheme counts for all references of that scheme."""
    knowing = _named(tmp_path, "knowing", elemental_energies={"pot": {"Na": -1.3}})
    same, other = _named(tmp_path, "same"), _named(tmp_path, "other", energy_scheme="MP2020")
    References().loaded([knowing, same, other])
    assert same.elemental_energies == {"pot": {"Na": -1.3}}
    assert not other.elemental_energies


def test_the_shipped_reference_is_whole() -> None:
    """It comes with the package, names its source, and has the energies of the elements of its entries."""
    (path,) = shipped_references()
    reference = read_reference(path)
    assert reference.provenance.kind is ReferenceKind.MODEL
    assert "Materials Project" in reference.provenance.attribution
    assert reference.table.entry_count > 40_000
    assert len(reference.elemental_energies[reference.provenance.model]) >= 85
    salt = reference.standing(amounts_of("NaCl"), -2.0)
    assert salt.products[0][0].formula == "NaCl"


def _named(folder: Path, name: str, **fields: Any) -> Reference:
    (folder / name).mkdir()
    return read_reference(described(folder / name, name=name, **fields))
