"""The way from one material to another, as our analyser writes it: what changes, how far, and why.

MatExpert has GPT-4 write these. The analyser says the same of the same pair every time, in the words of
the shipped model; an endpoint of a language model can take its place (`endpoint`).
"""

from __future__ import annotations

from collections.abc import Mapping

from crystalmesh_common.crystal.description.elements import ELECTRONEGATIVITIES
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_generation.language.portrait import Portrait
from crystalmesh_generation.language.templates import amount, counted, environment_phrase
from crystalmesh_generation.language.words import MAX_CHANGE_PERCENT

_PROPERTY_CHANGES = {
    "formation_energy_ev_per_atom": ("formation energy", 0.05),
    "band_gap_ev": ("band gap", 0.1),
    "bulk_modulus_gpa": ("bulk modulus", 5.0),
}


def write_transition(source: Portrait, target: Portrait, elements: Mapping[int, int] | None) -> str:
    """The transition between two materials.

    `elements` says which element of the target plays the role of each of the source, where both are
    expressed in one setting; None where they have no setting in common.
    """
    clauses = _composition_clauses(source, target, elements)
    clauses.append(_symmetry_clause(source, target))
    clauses.append(_lattice_clause(source, target, same_setting=elements is not None))
    before = {(each.shape, each.coordination) for each in source.environments}
    clauses += [
        environment_phrase(each)
        for each in target.environments
        if (each.shape, each.coordination) not in before
    ]
    clauses += _property_clauses(source, target, elements)
    return " ; ".join(clauses)


def _composition_clauses(source: Portrait, target: Portrait, elements: Mapping[int, int] | None) -> list[str]:
    if elements is None:
        return [f"new prototype : {counted(target.composition)}"]
    changed = [
        f"{symbol_of(old)} becomes {symbol_of(elements[old])}"
        for old, _ in source.composition
        if elements[old] != old
    ]
    return changed or ["composition kept"]


def _symmetry_clause(source: Portrait, target: Portrait) -> str:
    if source.space_group_number == target.space_group_number:
        return f"{target.space_group_symbol} kept"
    return f"{source.space_group_symbol} to {target.space_group_symbol}"


def _lattice_clause(source: Portrait, target: Portrait, *, same_setting: bool) -> str:
    volume = f"volume per atom {_change(source.volume_per_atom, target.volume_per_atom)}"
    if not same_setting:
        return volume
    axes = [
        f"{axis} {_change(old, new)}"
        for axis, old, new in zip("abc", source.lengths_angstrom, target.lengths_angstrom, strict=True)
    ]
    return f"{volume} : {' '.join(axes)}"


def _change(old: float, new: float) -> str:
    percent = round(100 * (new / old - 1))
    return f"{min(max(-MAX_CHANGE_PERCENT, percent), MAX_CHANGE_PERCENT):+d}"


def _property_clauses(source: Portrait, target: Portrait, elements: Mapping[int, int] | None) -> list[str]:
    clauses = []
    for name, (words, least) in _PROPERTY_CHANGES.items():
        if name not in source.properties or name not in target.properties:
            continue
        old, new = source.properties[name], target.properties[name]
        if abs(new - old) < least:
            clauses.append(f"{words} keeps {amount(name, new)}")
            continue
        verb = "rises" if new > old else "falls"
        reason = _reason(name, new > old, elements) if elements else ""
        clauses.append(f"{words} {verb} to {amount(name, new)}{reason}")
    return clauses


def _reason(name: str, rises: bool, elements: Mapping[int, int]) -> str:  # noqa: FBT001 -- reads as a fact
    """Why a gap moves, where the anions say it: a more electronegative anion binds its electrons more."""
    if name != "band_gap_ev":
        return ""
    old = max(elements, key=lambda number: ELECTRONEGATIVITIES[number])
    new = elements[old]
    difference = ELECTRONEGATIVITIES[new] - ELECTRONEGATIVITIES[old]
    if old == new or (difference > 0) != rises:
        return ""
    more = "more" if difference > 0 else "less"
    return f" since {symbol_of(new)} is {more} electronegative than {symbol_of(old)}"
