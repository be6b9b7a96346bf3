"""Any ASE calculator as a potential. The server's own settings name it, no request ever does."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import structlog
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from ase.data import chemical_symbols

from crystalmesh_common.crystal.ase_codec import to_atoms
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.devices import memory_errors_typed
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    ModelFailedError,
    OutOfMemoryError,
    UnsupportedElementError,
)
from crystalmesh_relaxation.engine import Evaluation, PotentialInfo, Quantity
from crystalmesh_relaxation.engines.outcomes import finite
from crystalmesh_relaxation.engines.units import EV_PER_CUBIC_ANGSTROM_IN_GPA

_log = structlog.get_logger(__name__)

# The energy last: many calculators have it once they have been asked for the others.
_PROPERTIES: Mapping[Quantity, str] = {
    Quantity.STRESS: "stress",
    Quantity.FORCES: "forces",
    Quantity.MAGNETIC_MOMENTS: "magmoms",
    Quantity.ENERGY: "energy",
}
# Calculators do not say how far they look; this only sizes batches, and a batch runs one by one anyway.
_TYPICAL_CUTOFF_ANGSTROM = 6.0


class ASEPotential:
    """A calculator, asked for one crystal at a time. What it raises for a crystal is that one's outcome."""

    def __init__(self, name: str, factory: str, device: str = "cpu") -> None:
        """Make the calculator with `package.module:factory`, called with `device` if it takes that.

        Raises ModelFailedError when this gives no calculator of energies.
        """
        self._calculator, runs_on = _made(factory, device)
        implemented = set(self._calculator.implemented_properties)
        if "energy" not in implemented:
            raise ModelFailedError(f"the calculator of {factory} gives no energy")
        self.info = PotentialInfo(
            name=name,
            version=_version(factory),
            license="NOASSERTION",
            description=(
                f"The ASE calculator that {factory} makes. It says neither which elements it knows nor what "
                "its energies compare with."
            ),
            atomic_numbers=(),
            quantities=frozenset(quantity for quantity, key in _PROPERTIES.items() if key in implemented),
            device=runs_on,
            cutoff_angstrom=_TYPICAL_CUTOFF_ANGSTROM,
        )

    def evaluate(
        self, crystals: Sequence[Crystal], quantities: frozenset[Quantity]
    ) -> Sequence[Evaluation | CrystalMeshError]:
        return [self._outcome(crystal, quantities) for crystal in crystals]

    def _outcome(self, crystal: Crystal, quantities: frozenset[Quantity]) -> Evaluation | CrystalMeshError:
        try:
            with memory_errors_typed():
                return finite(self._evaluation(crystal, quantities | {Quantity.ENERGY}), self.info.name)
        except Exception as error:  # noqa: BLE001 -- whatever somebody's calculator raises
            # Half done with these atoms, it would take the next ones like them for the same.
            self._calculator.atoms = None
            return self._failure(crystal, error)

    def _evaluation(self, crystal: Crystal, quantities: frozenset[Quantity]) -> Evaluation:
        # A calculator has no use for the names of a user's numbers.
        atoms = to_atoms(replace(crystal, id="", scalars={}))
        found = {
            quantity: np.array(self._calculated(key, atoms), dtype=np.float64)
            for quantity, key in _PROPERTIES.items()
            if quantity in quantities
        }
        n_atoms = len(crystal)
        forces = found.get(Quantity.FORCES)
        stress = found.get(Quantity.STRESS)
        moments = found.get(Quantity.MAGNETIC_MOMENTS)
        return Evaluation(
            n_atoms,
            float(found[Quantity.ENERGY]),
            forces_ev_per_angstrom=None if forces is None else forces.reshape(n_atoms, 3),
            stress_gpa=None if stress is None else _full(stress) * EV_PER_CUBIC_ANGSTROM_IN_GPA,
            magnetic_moments_mu_b=None if moments is None else np.abs(moments.reshape(n_atoms)),
        )

    def _calculated(self, key: str, atoms: Atoms) -> Any:
        try:
            return self._calculator.get_property(key, atoms)
        except PropertyNotImplementedError:
            if key == _PROPERTIES[Quantity.MAGNETIC_MOMENTS]:
                return np.zeros(len(atoms))  # it can have moments, and computed these atoms without spin
            raise

    def _failure(self, crystal: Crystal, error: Exception) -> CrystalMeshError:
        if isinstance(error, CrystalMeshError):
            return error
        if isinstance(error, MemoryError):
            return OutOfMemoryError("the device ran out of memory on this item")
        unknown = _elements_named(error, crystal)
        if unknown:
            symbols = ", ".join(chemical_symbols[number] for number in unknown)
            return UnsupportedElementError(f"{self.info.name} does not take {symbols}", elements=unknown)
        _log.error("calculator_failed", model=self.info.name, exc_info=error)
        return ModelFailedError(
            f"{self.info.name} failed on this crystal; the operator finds the cause in the log"
        )


def _elements_named(error: Exception, crystal: Crystal) -> list[int]:
    """The elements of the crystal that the error is about.

    ASE has no exception for an unknown element. Its calculators raise NotImplementedError with the symbol in
    a sentence, or look it up in a dictionary.
    """
    match error:
        case NotImplementedError():
            words = set(re.findall(r"[A-Za-z]+", str(error)))
        case KeyError():
            words = {str(error.args[0])} if error.args else set()
        case _:
            words = set()
    return [number for number in sorted(set(crystal.numbers.tolist())) if chemical_symbols[number] in words]


def _made(factory: str, device: str) -> tuple[Any, str]:
    """The calculator, and where it runs as far as one can tell."""
    module_name, _, attribute = factory.partition(":")
    try:
        make = getattr(importlib.import_module(module_name), attribute)
    except Exception as error:  # whatever somebody's module raises
        raise ModelFailedError(f"cannot import {factory}: {error}") from error
    try:
        takes_device = "device" in inspect.signature(make).parameters
        calculator = make(device=device) if takes_device else make()
    except Exception as error:
        raise ModelFailedError(f"{factory} failed to make a calculator: {error}") from error
    if not isinstance(calculator, BaseCalculator):
        raise ModelFailedError(f"{factory} gave no ASE calculator but a {type(calculator).__name__}")
    return calculator, device if takes_device else "as the calculator chooses"


def _version(factory: str) -> str:
    """Of the package that the factory is in, where it says one."""
    package = importlib.import_module(factory.partition(".")[0].partition(":")[0])
    return str(getattr(package, "__version__", "not stated"))


def _full(stress: np.ndarray) -> np.ndarray:
    """(3, 3) of ASE's six components, or of nine where a calculator gives them."""
    if stress.shape == (6,):
        xx, yy, zz, yz, xz, xy = stress
        return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return stress.reshape(3, 3)
