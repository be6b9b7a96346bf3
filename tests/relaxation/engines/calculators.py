"""ASE calculators for tests, made by factories as settings name them."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT

from crystalmesh_common.runtime.errors import CrystalMeshError


class Springs(Calculator):  # type: ignore[misc] -- ASE ships no types
    """An energy that depends on nothing but the number of atoms; in chlorine it raises what it was given."""

    implemented_properties = ("energy", "forces", "magmoms")

    def __init__(self, device: str = "", raises: Exception | None = None) -> None:
        super().__init__()
        self.device = device
        self._raises = raises

    def calculate(self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        if self._raises is not None and 17 in atoms.numbers:
            raise self._raises
        n_atoms = len(atoms)
        self.results = {
            "energy": -2.0 * n_atoms,
            "forces": np.ones((n_atoms, 3)),
            "magmoms": -np.ones(n_atoms),
        }


class NoEnergies(Calculator):  # type: ignore[misc] -- ASE ships no types
    """Not what a potential needs."""

    implemented_properties = ("dipole",)


def on_a_device(device: str) -> Calculator:
    return Springs(device)


def on_its_own() -> Calculator:
    return Springs()


def out_of_memory() -> Calculator:
    return Springs(raises=MemoryError())


def out_of_torch_memory() -> Calculator:
    return Springs(raises=RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 GB"))


def unknown_element() -> Calculator:
    return Springs(raises=KeyError("Cl"))


def confused() -> Calculator:
    return Springs(raises=ValueError("Cl went wrong"))


def typed() -> Calculator:
    return Springs(raises=CrystalMeshError("typed"))


def needs_more(something: str) -> Calculator:
    return EMT(something)


def no_calculator() -> str:
    return "text"


def fails() -> Calculator:
    raise OSError("license server not found")
