from __future__ import annotations

from dataclasses import replace

from crystalmesh_relaxation.recent_energies import RecentEnergies
from tests.conftest import silicon, sodium_chloride


def test_an_energy_is_that_of_one_crystal_by_one_potential() -> None:
    """The id does not matter; the smallest move of an atom does, and so does who computed it."""
    energies, crystal = RecentEnergies(), silicon()
    energies.remember("chgnet", crystal, -10.5)
    known = energies.evaluation("chgnet", replace(crystal, id="another"))
    assert known is not None
    assert (known.n_atoms, known.energy_ev) == (len(crystal), -10.5)
    assert energies.evaluation("mace", crystal) is None
    assert energies.evaluation("chgnet", silicon(shift=1e-12)) is None
    assert energies.evaluation("chgnet", replace(crystal, numbers=crystal.numbers + 1)) is None


def test_the_oldest_are_forgotten_first() -> None:
    """One that is told again is as good as new."""
    energies = RecentEnergies(kept=2)
    first, second, third = silicon(), sodium_chloride(), silicon(shift=0.01)
    for crystal in (first, second, first, third):
        energies.remember("chgnet", crystal, -1.0)
    assert energies.evaluation("chgnet", first)
    assert energies.evaluation("chgnet", second) is None
    assert energies.evaluation("chgnet", third)
