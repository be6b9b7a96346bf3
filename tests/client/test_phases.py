from __future__ import annotations

import pytest

from crystalmesh_client import Phase
from crystalmesh_client.phases import to_phases
from crystalmesh_common.runtime.errors import DuplicateIdError, InvalidCrystalError
from tests.conftest import silicon, sodium_chloride


def test_a_phase_is_named_after_what_it_is() -> None:
    """Its own id goes before its crystal's, and its position is the last resort."""
    phases = to_phases([Phase(silicon("a"), id="b"), silicon("a"), Phase("Li2O"), silicon("")])
    assert [phase.id for phase in phases] == ["b", "a", "2", "3"]


def test_a_phase_brings_one_energy_or_none() -> None:
    """A formation energy of 0 is an energy, and two energies contradict each other."""
    element = Phase("Si", id="x", formation_energy_ev_per_atom=0.0, excluded_entry_ids=("e",)).to_proto()
    assert (element.formula, element.WhichOneof("energy")) == ("Si", "formation_energy_ev_per_atom")
    assert list(element.excluded_entry_ids) == ["e"]
    (crystal,) = to_phases([sodium_chloride()])
    assert crystal.to_proto().WhichOneof("energy") is None
    assert crystal.to_proto().crystal.crystal.atomic_numbers == [11, 17]
    with pytest.raises(ValueError, match="give one"):
        Phase("Si", formation_energy_ev_per_atom=0.0, total_energy_ev=-5.0).to_proto()


def test_what_is_no_phase_is_refused() -> None:
    """Two phases of one id, and things that are no crystals, say so."""
    with pytest.raises(DuplicateIdError):
        to_phases([silicon(), silicon()])
    with pytest.raises(InvalidCrystalError):
        to_phases([42])  # type: ignore[list-item]
