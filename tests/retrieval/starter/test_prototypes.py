"""Prototypes, and the compounds that are written over them."""

from __future__ import annotations

from crystalmesh_common.crystal.composition import reduced_formula_of
from crystalmesh_common.crystal.distances import shortest_distance
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.pymatgen_codec import from_structure
from crystalmesh_retrieval.starter.decoration import Decoration, decorated, decoration_of
from crystalmesh_retrieval.starter.parents import charges_of, well_known
from crystalmesh_retrieval.starter.prototypes import MAX_ATOMS, prototypes
from crystalmesh_retrieval.starter.species import ATOMIC_NUMBERS
from crystalmesh_retrieval.starter.well_known import COMPOUNDS, GROUND_STATES
from tests.retrieval.starter.famous import famous_formulas


def test_every_structure_type_of_our_own_fills_its_cell() -> None:
    """No record is in another setting than it says, and none is larger than wanted."""
    assert all(1 <= len(prototype.structure) <= MAX_ATOMS for prototype in prototypes().values())
    assert {"TiO2 141", "CaWO4 88", "K2PtCl6 225", "LiFePO4 62"} <= set(prototypes())


def test_no_prototype_has_atoms_on_top_of_each_other() -> None:
    """Hydrogen's own bond is the shortest that there is."""
    for key, prototype in prototypes().items():
        assert shortest_distance(from_structure(prototype.structure)) > 0.7, key


def test_titanium_of_anatase_has_six_neighbours() -> None:
    """The prototype is anatase, and not what pymatgen's copy has under this name."""
    structure = prototypes()["TiO2 141"].structure
    titanium = next(site for site in structure if site.specie.symbol == "Ti")
    assert len(structure.get_neighbors(titanium, 2.2)) == 6


def test_every_well_known_compound_fits_its_prototype() -> None:
    """No formula has other numbers than its prototype."""
    assert len(list(well_known())) == sum(len(formulas) for formulas in COMPOUNDS.values())


def test_famous_compounds_and_all_elements_are_on_the_lists() -> None:
    """What people try first is there, and an element in some structure for all that CHGNet knows."""
    formulas = {reduced_formula_of(decoration.amounts) for decoration in well_known()}
    symbols = {symbol for words in GROUND_STATES.values() for symbol in words}
    assert sorted(famous_formulas() - formulas - symbols) == []
    assert symbols == {symbol_of(number) for number in ATOMIC_NUMBERS}


def test_the_id_of_a_decoration_tells_the_compound_and_stays() -> None:
    """An id follows from prototype and elements alone."""
    salt = decoration_of(prototypes()["NaCl 225"], "MgO")
    assert decorated(salt).id == decorated(Decoration(salt.prototype, ("Mg", "O"))).id
    assert decorated(salt).id.startswith("cm-MgO-")
    assert decorated(salt).id != decorated(decoration_of(prototypes()["ZnS 216"], "MgO")).id


def test_the_first_volume_is_near_the_real_one() -> None:
    """A relaxation starts within a few percent of the lattice constant."""
    measured = {("NaCl 225", "MgO"): 9.35, ("CaTiO3 221", "CsPbI3"): 49.7, ("Cu 225", "Pb"): 30.3}
    for (key, formula), volume in measured.items():
        crystal = decorated(decoration_of(prototypes()[key], formula))
        assert abs(crystal.volume / len(crystal) / volume - 1) < 0.15, formula


def test_charges_are_whole_and_add_up_to_nothing() -> None:
    """Of compounds with charges; an alloy has none."""
    assert charges_of((("Ca", 1), ("Ti", 1), ("O", 3))) == (2, 4, -2)
    assert charges_of((("Cu", 3), ("Au", 1))) is None
