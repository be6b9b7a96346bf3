"""What a material has to be: filters, which exclude the others, and targets, which searches go near to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from crystalmesh.crystal.v1 import crystal_pb2, target_pb2
from crystalmesh.retrieval.v1 import filter_pb2
from crystalmesh_client.properties import PROPERTY_NAMES, Range, range_to_proto
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, MAX_ATOMIC_NUMBER
from crystalmesh_common.runtime.errors import InvalidFieldError

Elements = str | Iterable[str | int]
"""Elements as "Li,O" or "Li-O", or as symbols or atomic numbers one by one."""

CrystalSystemName = Literal[
    "triclinic", "monoclinic", "orthorhombic", "tetragonal", "trigonal", "hexagonal", "cubic"
]

# Spelt twice because mypy takes ("cubic",) for a tuple of any strings where only a Collection is wanted.
CrystalSystems = tuple[CrystalSystemName, ...] | Collection[CrystalSystemName]

_CRYSTAL_SYSTEMS: tuple[CrystalSystemName, ...] = get_args(CrystalSystemName)
_SPACE_GROUPS = 230
_MAX_FREE_TEXT_CHARACTERS = 4000
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True)
class _Conditions:
    """What filters and targets have in common. What is left out does not matter."""

    elements: Elements = ()  # that must all be there
    only_elements: Elements = ()  # that may be there, beside those of `elements`
    without_elements: Elements = ()  # that must not be there
    formula: str = ""  # exactly this composition, up to a common factor: "LiFePO4"
    chemical_system: str = ""  # exactly these elements, in any order: "Li-Fe-O"
    formation_energy_ev_per_atom: Range | None = None  # (-2, None): at least -2
    band_gap_ev: Range | None = None
    energy_above_hull_ev_per_atom: Range | None = None
    bulk_modulus_gpa: Range | None = None
    shear_modulus_gpa: Range | None = None
    magnetization_mu_b_per_cubic_angstrom: Range | None = None
    density_g_per_cubic_centimeter: Range | None = None
    atoms_in_cell: Range | None = None

    def __post_init__(self) -> None:
        for name in ("elements", "only_elements", "without_elements"):
            # One that was given as a generator could be read only once.
            object.__setattr__(self, name, _symbols_or_numbers(getattr(self, name)))
        self._check()

    def _check(self) -> None:
        """Raise InvalidFieldError for what cannot be meant."""
        _check_chemical_system(self.chemical_system)
        _check_formula(self.formula)
        self._fill(filter_pb2.MaterialFilter())

    def _fill(self, message: filter_pb2.MaterialFilter | target_pb2.Target) -> None:
        message.required_elements.extend(_atomic_numbers(self.elements, "elements"))
        message.allowed_elements.extend(_atomic_numbers(self.only_elements, "only_elements"))
        message.forbidden_elements.extend(_atomic_numbers(self.without_elements, "without_elements"))
        message.formula = self.formula
        message.chemical_system = self.chemical_system
        for name in PROPERTY_NAMES:
            bounds: Range | None = getattr(self, name)
            if bounds is not None:
                message.properties.append(range_to_proto(name, bounds))


@dataclass(frozen=True, kw_only=True)
class MaterialFilter(_Conditions):
    """Which materials count: those for which all that is set holds.

        MaterialFilter(elements="Li,O", without_elements="Pb", band_gap_ev=(2, 4))

    A material whose value of a property is not known does not pass a range of it. Raises InvalidFieldError
    for what cannot be meant: names that are no elements, ranges that nothing lies in.
    """

    space_groups: Collection[int] = ()  # numbers, of which one must hold
    crystal_systems: CrystalSystems = ()  # of which one must hold

    def to_proto(self) -> filter_pb2.MaterialFilter:
        """The message."""
        message = filter_pb2.MaterialFilter(
            space_group_numbers=self.space_groups,
            crystal_systems=[_crystal_system(name) for name in self.crystal_systems],
        )
        self._fill(message)
        return message

    def _check(self) -> None:
        if isinstance(self.space_groups, int) or isinstance(self.crystal_systems, str):
            raise InvalidFieldError("space_groups and crystal_systems take lists: (225,), ('cubic',)")
        super()._check()
        for number in self.space_groups:
            _check_space_group(number)
        for name in self.crystal_systems:
            _crystal_system(name)


@dataclass(frozen=True, kw_only=True)
class Target(_Conditions):
    """The material that somebody is looking for.

    Searches write it out in words and go near it: hits need not fulfil it. What they must fulfil says a
    filter, for example `as_filter()`. Parts that exclude each other are refused by the server
    (CONTRADICTORY_TARGET). Raises InvalidFieldError like `MaterialFilter`.
    """

    space_group: int | None = None  # number; this or a crystal system
    crystal_system: CrystalSystemName | None = None
    free_text: str = ""  # what else matters, in words

    def to_proto(self) -> target_pb2.Target:
        """The message."""
        message = target_pb2.Target(free_text=self.free_text)
        if self.space_group is not None:
            message.space_group_number = self.space_group
        if self.crystal_system is not None:
            message.crystal_system = _crystal_system(self.crystal_system)
        self._fill(message)
        return message

    def as_filter(self) -> MaterialFilter:
        """The filter that demands all of it, but what the free text says."""
        shared = {name: getattr(self, name) for name in _Conditions.__dataclass_fields__}
        return MaterialFilter(
            **shared,
            space_groups=() if self.space_group is None else (self.space_group,),
            crystal_systems=() if self.crystal_system is None else (self.crystal_system,),
        )

    def _check(self) -> None:
        super()._check()
        if self.space_group is not None:
            _check_space_group(self.space_group)
        if self.crystal_system is not None:
            _crystal_system(self.crystal_system)
        if self.space_group is not None and self.crystal_system is not None:
            raise InvalidFieldError("a target has a space group or a crystal system, not both")
        if len(self.free_text) > _MAX_FREE_TEXT_CHARACTERS:
            raise InvalidFieldError(
                f"{len(self.free_text):,} characters of free text; at most {_MAX_FREE_TEXT_CHARACTERS:,}",
                field="free_text",
            )
        check_encodable(self.free_text, "free_text")


def check_encodable(text: str, field: str) -> None:
    """Raise InvalidFieldError for text that came from bytes which are no text, and cannot travel."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidFieldError(f"{field} is no valid UTF-8", field=field) from None


def _symbols_or_numbers(given: Elements) -> tuple[str | int, ...]:
    if isinstance(given, str):
        return tuple(filter(None, re.split(r"[\s,-]+", given)))
    return tuple(given)


def _atomic_numbers(given: Elements, field: str) -> Iterator[int]:
    for element in given:
        if isinstance(element, str) and element in ATOMIC_NUMBERS:
            yield ATOMIC_NUMBERS[element]
        elif isinstance(element, int) and 1 <= element <= MAX_ATOMIC_NUMBER:
            yield element
        else:
            raise InvalidFieldError(f"{str(element)[:_SHOWN_CHARACTERS]} is no element", field=field)


def _check_chemical_system(system: str) -> None:
    if system and any(symbol not in ATOMIC_NUMBERS for symbol in system.split("-")):
        raise InvalidFieldError(
            f"{system[:_SHOWN_CHARACTERS]!r} is no chemical system like Li-Fe-O", field="chemical_system"
        )


def _check_formula(formula: str) -> None:
    """What pymatgen would say, on the server, as far as that can be said without pymatgen."""
    symbol = r"[A-Z][a-z]?"
    symbols = re.findall(symbol, formula)
    beside = re.sub(rf"{symbol}|[\d.()\[\]\s]", "", formula)
    if formula and (not symbols or beside or not set(symbols) <= set(ATOMIC_NUMBERS)):
        raise InvalidFieldError(f"{formula[:_SHOWN_CHARACTERS]!r} is no chemical formula", field="formula")


def _check_space_group(number: int) -> None:
    if number not in range(1, _SPACE_GROUPS + 1):
        raise InvalidFieldError(
            f"{str(number)[:_SHOWN_CHARACTERS]} is no space group, 1 to {_SPACE_GROUPS} are",
            field="space_groups",
        )


def _crystal_system(name: str) -> crystal_pb2.CrystalSystem.ValueType:
    if name not in _CRYSTAL_SYSTEMS:
        raise InvalidFieldError(
            f"{name[:_SHOWN_CHARACTERS]!r} is no crystal system; these are: {', '.join(_CRYSTAL_SYSTEMS)}",
            field="crystal_systems",
        )
    return crystal_pb2.CrystalSystem.Value(f"CRYSTAL_SYSTEM_{name.upper()}")
