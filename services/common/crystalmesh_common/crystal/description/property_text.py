"""The properties of a material, known or wanted, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crystalmesh.crystal.v1.crystal_pb2 import CrystalSystem
from crystalmesh.crystal.v1.property_pb2 import Property
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh_common.crystal.composition import reduced_formula_of_text
from crystalmesh_common.crystal.elements import symbol_of


@dataclass(frozen=True)
class Range:
    """Where a wanted property may lie, at least one bound set, in the unit of the property's name."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class PropertyPhrase:
    """How a property is called and with how many decimals it is told apart."""

    words: str
    unit: str  # with the space before it: " eV"
    decimals: int


PROPERTY_PHRASES: Mapping[str, PropertyPhrase] = {
    "formation_energy_ev_per_atom": PropertyPhrase("formation energy", " eV/atom", 3),
    "band_gap_ev": PropertyPhrase("band gap", " eV", 3),
    "energy_above_hull_ev_per_atom": PropertyPhrase("energy above hull", " eV/atom", 3),
    "bulk_modulus_gpa": PropertyPhrase("bulk modulus", " GPa", 0),
    "shear_modulus_gpa": PropertyPhrase("shear modulus", " GPa", 0),
    "magnetization_mu_b_per_cubic_angstrom": PropertyPhrase("magnetization", " mu_B/Å³", 4),
    "density_g_per_cubic_centimeter": PropertyPhrase("density", " g/cm³", 2),
    "atoms_in_cell": PropertyPhrase("atoms in the primitive cell", "", 0),
}
"""By the name that a property has in the API, in the order of the line."""


def describe_properties(
    properties: Mapping[str, float | Range], *, formula: str = "", space_group_number: int | None = None
) -> str:
    """One line on what is known of a material or wanted: "NaCl; space group 225; band gap 5.000 eV".

    Properties go by their names in the API, in small letters and without their prefix ("band_gap_ev"), and
    are told in the API's order. Raises `ValueError` for a name that is none. What is not given is left
    out, the formula too where the line is to say nothing of the elements; of nothing it says "".
    """
    symmetry = [] if space_group_number is None else [f"space group {space_group_number}"]
    return "; ".join([*([formula] if formula else []), *symmetry, *_property_phrases(properties)])


def describe_target(target: Target, *, formula: bool = True) -> str:
    """The same line for a valid target, with its elements, crystal system and free text.

    Without `formula` nothing is said of elements. Raises `InvalidFieldError` for a formula that is none.
    """
    wanted = {_name(bounds.property): _range(bounds) for bounds in target.properties}
    parts = [
        *(_element_phrases(target) if formula else []),
        *_symmetry_phrases(target),
        *_property_phrases(wanted),
        " ".join(target.free_text.split()),
    ]
    return "; ".join(part for part in parts if part)


def _property_phrases(properties: Mapping[str, float | Range]) -> list[str]:
    unknown = sorted(set(properties) - set(PROPERTY_PHRASES))
    if unknown:
        raise ValueError(f"no such property: {', '.join(unknown)}")
    return [
        f"{phrase.words} {_amount(properties[name], phrase)}"
        for name, phrase in PROPERTY_PHRASES.items()
        if name in properties
    ]


def _amount(value: float | Range, phrase: PropertyPhrase) -> str:
    if not isinstance(value, Range):
        return f"{_rounded(value, phrase.decimals)}{phrase.unit}"
    low = None if value.min is None else _rounded(value.min, phrase.decimals)
    high = None if value.max is None else _rounded(value.max, phrase.decimals)
    if low == high:
        return f"{low}{phrase.unit}"
    if high is None:
        return f"at least {low}{phrase.unit}"
    if low is None:
        return f"at most {high}{phrase.unit}"
    return f"{low} to {high}{phrase.unit}"


def _rounded(value: float, decimals: int) -> str:
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # -0.0 + 0.0 is 0.0


def _element_phrases(target: Target) -> list[str]:
    return [
        reduced_formula_of_text(target.formula) if target.formula else "",
        f"elements {target.chemical_system}" if target.chemical_system else "",
        _listed("with", target.required_elements),
        _listed("made of", {*target.allowed_elements, *target.required_elements})
        if target.allowed_elements
        else "",
        _listed("without", target.forbidden_elements),
    ]


def _listed(word: str, atomic_numbers: Iterable[int]) -> str:
    symbols = [symbol_of(number) for number in sorted(set(atomic_numbers))]
    return f"{word} {', '.join(symbols)}" if symbols else ""


def _symmetry_phrases(target: Target) -> list[str]:
    if target.HasField("space_group_number"):
        return [f"space group {target.space_group_number}"]
    if target.crystal_system:
        return [CrystalSystem.Name(target.crystal_system).removeprefix("CRYSTAL_SYSTEM_").lower()]
    return []


def _name(of: Property.ValueType) -> str:
    return Property.Name(of).removeprefix("PROPERTY_").lower()


def _range(bounds: PropertyRange) -> Range:
    return Range(
        min=bounds.min if bounds.HasField("min") else None,
        max=bounds.max if bounds.HasField("max") else None,
    )
