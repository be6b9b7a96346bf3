"""The entries of a reference: what was computed, and how low it lies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_common.runtime.errors import ReferenceIncompleteError
from crystalmesh_relaxation.stability.formulas import amounts_of

System = tuple[str, ...]
"""The symbols of a chemical system, in alphabetical order."""


@dataclass(frozen=True)
class Entry:
    """One phase of a reference."""

    id: str
    formula: str  # as its table has it
    formation_energy_ev_per_atom: float
    implied: bool = False  # an element at zero, which no table needs to list


class EntryTable:
    """Entries, found by chemical system. Immutable, so that threads may share it.

    Formation energies are counted from the elements, so every element that occurs has an entry of energy
    zero, whether its table lists one or not. Its id is `element-Fe`, as of no other entry.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        symbols = sorted({symbol for entry in entries for symbol in amounts_of(entry.formula)})
        self.entry_count = len(entries)  # of the table
        self.atomic_numbers = tuple(sorted(ATOMIC_NUMBERS[symbol] for symbol in symbols))
        self.sha256 = _digest(entries)
        self._by_system: dict[System, list[Entry]] = {}
        elements = [Entry(f"element-{symbol}", symbol, 0.0, implied=True) for symbol in symbols]
        for entry in [*entries, *elements]:
            self._by_system.setdefault(system_of(amounts_of(entry.formula)), []).append(entry)

    def within(self, system: System) -> list[Entry]:
        """The entries of a chemical system and of its subsystems; raises what `check` raises."""
        self.check(system)
        return [entry for part in _subsystems(system) for entry in self._by_system.get(part, ())]

    def check(self, system: System) -> None:
        """Raise ReferenceIncompleteError where no entry holds one of the elements."""
        missing = [symbol for symbol in system if (symbol,) not in self._by_system]
        if missing:
            raise ReferenceIncompleteError(
                f"the reference has no entry with {', '.join(missing)}", elements=missing
            )


def system_of(amounts: Mapping[str, float]) -> System:
    return tuple(sorted(amounts))


def shares_in(system: System, amounts: Mapping[str, float]) -> FloatArray:
    """The share of each element of the system in all atoms, (k,)."""
    shares = np.array([amounts.get(symbol, 0.0) for symbol in system])
    shares /= shares.sum()
    return shares


def _subsystems(system: System) -> Iterator[System]:
    for size in range(1, len(system) + 1):
        yield from combinations(system, size)


def _digest(entries: Sequence[Entry]) -> str:
    """SHA-256 of what answers depend on, whatever the order and the file's format."""
    lines = sorted(f"{e.id}\t{e.formula}\t{e.formation_energy_ev_per_atom:.6f}\n" for e in entries)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
