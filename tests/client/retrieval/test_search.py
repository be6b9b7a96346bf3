from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crystalmesh_client import AsyncMesh, Failed, MaterialFilter, Mesh, Query, SearchHits, Target
from crystalmesh_common.crystal.ase_codec import to_atoms
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.text import crystal_from_cif
from crystalmesh_common.runtime import errors
from tests.conftest import silicon, sodium_chloride

SALT = "rock salt of Na and Cl, six-coordinated"


def ids_of(found: SearchHits) -> list[str]:
    return [hit.material.id for hit in found]


async def test_words_find_the_nearest(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """The hits are in order of similarity, with catalog, version and encoder; both clients agree."""
    found = mesh.retrieval.search(SALT)
    assert ids_of(found)[0] == "salt"
    assert len(found) == 3
    similarities = [hit.similarity for hit in found]
    assert similarities == sorted(similarities, reverse=True)
    assert 0.9 < similarities[0] < 1  # the server reads elements out of the words, and puts them before
    assert (found.catalog, found.encoder, found.id) == ("known", "words", "0")
    assert found.catalog_version == mesh.retrieval.catalog("known").version
    again = await async_mesh.retrieval.search(SALT, limit=1)
    assert ids_of(again) == ["salt"]
    assert again[0].material.properties == found[0].material.properties


def test_properties_come_with_their_sources(mesh: Mesh) -> None:
    """Each value names its unit, kind and origin, and those that follow from the structure are there too."""
    salt = mesh.retrieval.search(SALT)[0].material
    assert (salt.formula, salt.space_group_number, salt.atom_count) == ("NaCl", 225, 2)
    energy = salt.properties["formation_energy_ev_per_atom"]
    assert (energy.value, energy.uncertainty, energy.unit) == (-2.1, 0.05, "eV/atom")
    assert (energy.source.kind, energy.source.name) == ("potential", "chgnet-0.3.0")
    assert str(salt.properties["band_gap_ev"]) == "5 eV (dft Materials Project 2021)"
    assert salt.value("atoms_in_cell") == 2
    assert salt.properties["density_g_per_cubic_centimeter"].source.kind == "geometry"
    assert salt.value("bulk_modulus_gpa") is None


def test_crystals_come_when_asked_for(mesh: Mesh) -> None:
    """The full view has crystal and texts, for pymatgen, ASE and CIF; without it, each says so."""
    salt = mesh.retrieval.search(SALT, limit=1, view="full")[0].material
    assert salt.crystal is not None
    assert salt.to_pymatgen().composition.reduced_formula == "NaCl"
    assert sorted(salt.to_ase().get_chemical_symbols()) == ["Cl", "Na"]
    np.testing.assert_allclose(crystal_from_cif(salt.to_cif()).volume, salt.crystal.volume, rtol=1e-5)
    assert salt.structure_description == SALT
    bare = mesh.retrieval.search(SALT, limit=1)[0].material
    assert (bare.crystal, bare.structure_description) == (None, "")
    for convert in (bare.to_pymatgen, bare.to_ase, bare.to_cif, bare.to_input):
        with pytest.raises(ValueError, match=r'salt came without its crystal; .*view="full"'):
            convert()


def test_targets_and_crystals_of_every_form_are_queries(mesh: Mesh) -> None:
    """A target, a Crystal, a pymatgen Structure and ASE Atoms are searched for like words."""
    forms = [silicon(), to_structure(silicon()), to_atoms(silicon())]
    assert [ids_of(mesh.retrieval.search(form, limit=1)) for form in forms] == [["si"]] * 3
    target = Target(formula="NaCl", space_group=225, band_gap_ev=(4, None))
    assert len(mesh.retrieval.search(target)) == 3
    assert ids_of(mesh.retrieval.search(target, filter=target.as_filter())) == ["salt"]


async def test_each_of_many_queries_has_an_outcome(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """Outcomes carry ids; bad queries are `Failed` with their error and do not stop the others."""
    overlapping = replace(silicon("twins"), frac_coords=np.zeros((2, 3)))
    queries = [SALT, Query("four-coordinated Si", id="mine"), silicon(), "", "x" * 20_001, overlapping]
    outcomes = list(mesh.retrieval.search_many(queries))
    assert {outcome.id for outcome in outcomes} == {"0", "mine", "Si", "3", "4", "twins"}
    failed = {outcome.id: type(outcome.error) for outcome in outcomes if isinstance(outcome, Failed)}
    assert failed["3"] == failed["4"] == errors.InvalidFieldError
    found = {outcome.id: ids_of(outcome) for outcome in outcomes if isinstance(outcome, SearchHits)}
    assert (found["0"][0], found["mine"][0], found["Si"][0]) == ("salt", "si", "si")
    again = [outcome async for outcome in async_mesh.retrieval.search_many(queries)]
    assert {outcome.id for outcome in again if isinstance(outcome, Failed)} == set(failed)


@pytest.mark.parametrize(
    ("material_filter", "ids"),
    [
        (MaterialFilter(elements="Cl"), {"salt"}),
        (MaterialFilter(only_elements=["Si", "Fe"]), {"si", "iron"}),
        (MaterialFilter(without_elements="Na,Fe"), {"si"}),
        (MaterialFilter(formula="Na2Cl2"), {"salt"}),
        (MaterialFilter(chemical_system="Na-Cl"), {"salt"}),
        (MaterialFilter(space_groups=(227, 229)), {"si", "iron"}),
        (MaterialFilter(crystal_systems=("cubic",)), {"salt", "si", "iron"}),
        (MaterialFilter(band_gap_ev=(0.5, None)), {"salt", "si"}),
        (MaterialFilter(band_gap_ev=(None, 1), atoms_in_cell=(2, 2)), {"si"}),
        (MaterialFilter(formation_energy_ev_per_atom=(-3, -2)), {"salt"}),
        (MaterialFilter(elements=[79]), set()),
    ],
)
def test_filters_act_inside_the_search(mesh: Mesh, material_filter: MaterialFilter, ids: set[str]) -> None:
    """Only what passes is found, and as much of it as there is; nothing is an answer, too."""
    found = mesh.retrieval.search("anything", filter=material_filter)
    assert set(ids_of(found)) == ids
    assert {material.id for material in mesh.retrieval.materials(filter=material_filter)} == ids


async def test_what_cannot_be_asked_is_an_error(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """Unknown catalogs are the server's to refuse; limits, views and twins are told before it is asked."""
    with pytest.raises(errors.ResourceNotFoundError, match="sugar"):
        mesh.retrieval.search(SALT, catalog="sugar")
    with pytest.raises(errors.ResourceNotFoundError, match="sugar"):
        await async_mesh.retrieval.search(SALT, catalog="sugar")
    with pytest.raises(errors.InvalidFieldError, match="empty"):
        mesh.retrieval.search("  ")
    for limit in (0, 1001):
        with pytest.raises(errors.InvalidFieldError, match="limit"):
            mesh.retrieval.search(SALT, limit=limit)
    with pytest.raises(errors.InvalidFieldError, match="view"):
        mesh.retrieval.search(SALT, view="all")  # type: ignore[arg-type]
    with pytest.raises(errors.DuplicateIdError, match="two queries"):
        mesh.retrieval.search_many([Query(SALT, id="a"), Query("x", id="a")])
    with pytest.raises(errors.InvalidFieldError, match="as a list"):
        mesh.retrieval.search_many(SALT)
    with pytest.raises(errors.InvalidFieldError, match="UTF-8"):
        mesh.retrieval.search("caf\udce9")
    with pytest.raises(errors.InvalidFieldError, match="not list"):
        mesh.retrieval.search([SALT])  # type: ignore[arg-type]


def test_odd_text_is_searched_for_like_any_other(mesh: Mesh) -> None:
    """Line ends, null bytes, markup and other alphabets reach the encoder as they are."""
    odd = ["a\x00b", "[bold]gap[/bold]", "带隙 🧪", "\n\tNa\r\nCl", "' OR 1=1 --", "x" * 20_000]
    assert all(isinstance(found, SearchHits) for found in mesh.retrieval.search_many(odd))


def test_hits_show_in_a_notebook(mesh: Mesh) -> None:
    """A table of hits with the kind of each value, and the query as plain text."""
    shown = mesh.retrieval.search("rock <b>salt</b>")._repr_html_()
    assert "rock &lt;b&gt;salt" in shown
    assert "5 dft" in shown
    assert "-2.1 potential" in shown
    target = Target(elements="Li,O", band_gap_ev=(2, 4))
    assert "elements=" in mesh.retrieval.search(target)._repr_html_()
    assert "crystals like salt (NaCl)" in mesh.retrieval.search(sodium_chloride("salt"))._repr_html_()
    assert "space group" in mesh.retrieval.material("salt")._repr_html_()
