"""Which materials count, decided on whole columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crystalmesh_common.crystal.composition import reduced_formula_of_text
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, MAX_ATOMIC_NUMBER
from crystalmesh_common.crystal.symmetry import SPACE_GROUPS
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_retrieval.catalog.material import Property
from crystalmesh_retrieval.catalog.rows import element_bits

Mask = NDArray[np.bool_]


class CrystalSystem(StrEnum):
    """The seven crystal systems."""

    TRICLINIC = "triclinic"
    MONOCLINIC = "monoclinic"
    ORTHORHOMBIC = "orthorhombic"
    TETRAGONAL = "tetragonal"
    TRIGONAL = "trigonal"
    HEXAGONAL = "hexagonal"
    CUBIC = "cubic"


_LAST_SPACE_GROUP: Mapping[CrystalSystem, int] = dict(
    zip(CrystalSystem, (2, 15, 74, 142, 167, 194, 230), strict=True)
)


@dataclass(frozen=True)
class PropertyBounds:
    """What a property must lie between, bounds included."""

    minimum: float = -np.inf
    maximum: float = np.inf


class Columns(Protocol):
    """Materials by column."""

    def column(self, name: str) -> np.ndarray:
        """All values of a column of numbers, (rows,)."""
        ...

    def texts(self, name: str) -> pa.StringArray:
        """All values of a column of text."""
        ...


@dataclass(frozen=True)
class MaterialFilter:
    """Materials pass for which all that is set holds. Raises InvalidFieldError for what cannot be meant."""

    required_elements: Collection[int] = ()  # atomic numbers
    allowed_elements: Collection[int] = ()  # empty: any; the required ones are allowed by themselves
    forbidden_elements: Collection[int] = ()
    formula: str = ""  # up to a common factor
    chemical_system: str = ""  # symbols joined by hyphens, in any order
    space_group_numbers: Collection[int] = ()
    crystal_systems: Collection[CrystalSystem] = ()
    properties: Mapping[Property, PropertyBounds] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("required_elements", "allowed_elements", "forbidden_elements"):
            for number in getattr(self, name):
                if not 1 <= number <= MAX_ATOMIC_NUMBER:
                    raise InvalidFieldError(f"{number} is no atomic number", field=name)
        for number in self.space_group_numbers:
            if not 1 <= number <= SPACE_GROUPS:
                raise InvalidFieldError(
                    f"{number} is no space group, 1 to 230 are", field="space_group_numbers"
                )
        for name, bounds in self.properties.items():
            if not bounds.minimum <= bounds.maximum:
                raise InvalidFieldError(
                    f"{name} cannot be at least {bounds.minimum:g} and at most {bounds.maximum:g}", field=name
                )
        _elements_of(self.chemical_system)
        if self.formula:
            reduced_formula_of_text(self.formula)

    def mask(self, columns: Columns, row_count: int) -> Mask:
        """Which rows pass, (rows,)."""
        passed = np.ones(row_count, dtype=bool)
        self._apply_elements(columns, passed)
        if self.formula:
            same = pc.equal(columns.texts("formula"), reduced_formula_of_text(self.formula))
            passed &= same.to_numpy(zero_copy_only=False)
        if self.space_group_numbers or self.crystal_systems:
            passed &= self._space_groups()[columns.column("space_group_number")]
        for name, bounds in self.properties.items():
            values = columns.column(name)
            # NaN, a value that is not known, compares as False.
            passed &= (values >= bounds.minimum) & (values <= bounds.maximum)
        return passed

    def _apply_elements(self, columns: Columns, passed: Mask) -> None:
        names = ("elements_1_to_64", "elements_65_to_118")
        required = element_bits(self.required_elements)
        forbidden = element_bits(self.forbidden_elements)
        allowed = element_bits([*self.allowed_elements, *self.required_elements])
        system = element_bits(_elements_of(self.chemical_system))
        for part, name in enumerate(names):
            if required[part]:
                bits = np.uint64(required[part])
                passed &= columns.column(name) & bits == bits
            if forbidden[part]:
                passed &= columns.column(name) & np.uint64(forbidden[part]) == 0
            if self.allowed_elements:
                passed &= columns.column(name) & ~np.uint64(allowed[part]) == 0
            if self.chemical_system:
                passed &= columns.column(name) == np.uint64(system[part])

    def _space_groups(self) -> Mask:
        """By number, (231,): whether a space group passes both conditions."""
        numbers = np.arange(SPACE_GROUPS + 1)
        passed = np.ones(SPACE_GROUPS + 1, dtype=bool)
        if self.space_group_numbers:
            passed &= np.isin(numbers, list(self.space_group_numbers))
        if self.crystal_systems:
            system = np.searchsorted(list(_LAST_SPACE_GROUP.values()), numbers)
            passed &= np.isin(np.array(list(CrystalSystem))[system], list(self.crystal_systems))
        return passed


def _elements_of(chemical_system: str) -> list[int]:
    symbols = chemical_system.split("-") if chemical_system else []
    for symbol in symbols:
        if symbol not in ATOMIC_NUMBERS:
            raise InvalidFieldError(
                f"{chemical_system[:80]!r} is no chemical system like Li-Fe-O: {symbol[:20]!r} is no element",
                field="chemical_system",
            )
    return [ATOMIC_NUMBERS[symbol] for symbol in symbols]


EVERYTHING = MaterialFilter()
