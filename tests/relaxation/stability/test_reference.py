from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core.composition import Composition

from crystalmesh_common.runtime.errors import ReferenceIncompleteError
from crystalmesh_relaxation.stability.entries import Entry, EntryTable
from crystalmesh_relaxation.stability.formulas import amounts_of
from crystalmesh_relaxation.stability.reference import Provenance, Reference, ReferenceKind

ELEMENTS = ("Li", "Fe", "O", "P", "Na", "Mn", "S", "Co")


def reference_of(*entries: Entry) -> Reference:
    return Reference(Provenance("test", ReferenceKind.DFT, "PBE"), EntryTable(entries))


def random_entries(count: int, elements: Sequence[str], seed: int = 0) -> list[Entry]:
    """Phases of up to as many elements as there are, most of them below the elements, some above."""
    rng = np.random.default_rng(seed)
    entries = []
    for number in range(count):
        chosen = rng.choice(len(elements), size=rng.integers(1, len(elements) + 1), replace=False)
        formula = "".join(f"{elements[k]}{rng.integers(1, 5)}" for k in sorted(chosen))
        energy = abs(rng.normal(0, 0.2)) if len(chosen) == 1 else rng.normal(-1.0, 0.8)
        entries.append(Entry(str(number), formula, float(energy)))
    return entries


def by_pymatgen(entries: Sequence[Entry], elements: Sequence[str]) -> dict[str, float]:
    """The distance that pymatgen gives every entry, with the elements at zero among them."""
    theirs = [
        PDEntry(
            Composition(e.formula), e.formation_energy_ev_per_atom * Composition(e.formula).num_atoms, e.id
        )
        for e in entries
    ]
    diagram = PhaseDiagram([*theirs, *(PDEntry(Composition(symbol), 0.0, symbol) for symbol in elements)])
    return {entry.name: float(diagram.get_e_above_hull(entry) or 0.0) for entry in theirs}


@pytest.mark.parametrize("n_elements", [1, 2, 3, 4, 5, 8])
def test_distances_are_those_of_pymatgen(n_elements: int) -> None:
    """Energy above hull equals PhaseDiagram's to 1e-6 eV/atom, by facets and by linear programmes."""
    elements = ELEMENTS[:n_elements]
    entries = random_entries(150 if n_elements < 8 else 40, elements)
    reference = reference_of(*entries)
    theirs = by_pymatgen(entries, elements)
    system = tuple(sorted(elements))
    whole = reference.hull(system)
    ours = whole.hull.distances(whole.compositions, whole.energies)
    for entry, distance in zip(whole.entries, ours, strict=True):
        if not entry.implied:
            assert distance == pytest.approx(theirs[entry.id], abs=1e-6)


def test_a_phase_is_scored_in_its_own_system() -> None:
    """The distance in the phase's own chemical system is that in any larger one, and comes with products."""
    reference = reference_of(
        Entry("a", "Li2O", -2.0),
        Entry("b", "FeO", -1.4),
        Entry("c", "Fe2O3", -1.7),
        Entry("d", "LiFeO2", -1.9),
    )
    standing = reference.standing(amounts_of("LiFeO2"), -1.8)
    assert standing.energy_above_hull_ev_per_atom == pytest.approx(0.1)
    assert {entry.id: share for entry, share in standing.products} == {"d": pytest.approx(1.0)}
    assert standing.competing_entries == 4
    without = reference.standing(amounts_of("LiFeO2"), -1.9, frozenset({"d", "not there"}))
    products = {entry.id: share for entry, share in without.products}
    # 2 LiFeO2 -> Li2O + Fe2O3, which has 3 and 5 of the 8 atoms.
    assert products == {"a": pytest.approx(3 / 8), "c": pytest.approx(5 / 8)}
    assert without.energy_above_hull_ev_per_atom == pytest.approx(-1.9 + 3 / 8 * 2.0 + 5 / 8 * 1.7)
    assert without.competing_entries == 3


def test_what_comes_to_light_below_an_excluded_entry_may_be_excluded_too() -> None:
    """No excluded entry is a product, also not one that only the loss of another makes a corner."""
    reference = reference_of(Entry("salt", "NaCl", -2.0), Entry("odd", "NaCl3", -0.9))
    standing = reference.standing(amounts_of("NaCl3"), -0.9, frozenset({"salt", "odd"}))
    assert standing.energy_above_hull_ev_per_atom == pytest.approx(-0.9)
    assert {entry.id for entry, _ in standing.products} == {"element-Na", "element-Cl"}
    assert standing.competing_entries == 0


def test_a_phase_below_the_hull_is_negative() -> None:
    """It would be a new corner, and says how far it pushes the hull down, and what it would form from."""
    standing = reference_of(Entry("a", "NaCl", -2.0)).standing(amounts_of("NaCl"), -2.1)
    assert standing.energy_above_hull_ev_per_atom == pytest.approx(-0.1)
    assert [entry.id for entry, _ in standing.products] == ["a"]


def test_elements_are_corners_at_zero() -> None:
    """An element that no entry shows in its ground state is there all the same, and may lie below none."""
    reference = reference_of(Entry("gas", "O2", 0.3), Entry("oxide", "MgO", -3.0))
    assert reference.standing({"O": 2.0}, 0.3).energy_above_hull_ev_per_atom == pytest.approx(0.3)
    (product,) = reference.standing({"O": 2.0}, 0.3).products
    assert (product[0].id, product[0].implied) == ("element-O", True)


def test_an_element_that_no_entry_has_is_named() -> None:
    """A phase with it cannot be scored, and hears which element is missing."""
    with pytest.raises(ReferenceIncompleteError, match="no entry with Fe") as raised:
        reference_of(Entry("a", "NaCl", -2.0)).standing(amounts_of("FeCl2"), -1.0)
    assert "Fe" in raised.value.details["elements"]


def test_total_energies_are_counted_from_the_elements_of_the_same_potential() -> None:
    """A total energy becomes a formation energy; without the potential's elements it cannot."""
    reference = reference_of(Entry("a", "NaCl", -2.0))
    reference.elemental_energies = {"pot": {"Na": -1.3, "Cl": -1.8}}
    assert reference.formation_energy_ev_per_atom(amounts_of("NaCl"), -3.5, "pot") == pytest.approx(-1.95)
    with pytest.raises(ReferenceIncompleteError, match="no other energy of Na, Cl"):
        reference.formation_energy_ev_per_atom(amounts_of("NaCl"), -3.5, "other")


def test_threads_share_the_hulls() -> None:
    """Scores from many threads at once are those of one."""
    entries = random_entries(300, ELEMENTS[:4])
    alone = reference_of(*entries)
    shared = reference_of(*entries)

    def score(reference: Reference, entry: Entry) -> float:
        standing = reference.standing(
            amounts_of(entry.formula), entry.formation_energy_ev_per_atom, frozenset({entry.id})
        )
        return standing.energy_above_hull_ev_per_atom

    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda entry: score(shared, entry), entries))
    assert together == [score(alone, entry) for entry in entries]


def test_the_hash_is_that_of_the_content() -> None:
    """Order does not matter to the hash; a different energy does."""
    a, b = Entry("a", "NaCl", -2.0), Entry("b", "MgO", -3.0)
    assert EntryTable([a, b]).sha256 == EntryTable([b, a]).sha256
    assert EntryTable([a, b]).sha256 != EntryTable([a, Entry("b", "MgO", -3.1)]).sha256
