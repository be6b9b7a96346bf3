"""Whether samples are what was asked for: formula, elements, space group, distance above the hull."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.quality.magpie import composition_of_formula
from benchmarks.quality.samples import share
from benchmarks.quality.stability import HullPlace
from crystalmesh_common.crystal.composition import reduced_composition
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import space_group_number
from crystalmesh_common.runtime.errors import CrystalMeshError

SYMPREC_ANGSTROM = 0.1


@dataclass(frozen=True)
class Conditions:
    """What a sample was asked to be; what is not set was not asked for."""

    formula: str = ""
    required_elements: frozenset[str] = frozenset()  # each occurs
    forbidden_elements: frozenset[str] = frozenset()  # none occurs
    space_group: int | None = None
    hull_ev_per_atom: tuple[float, float] | None = None  # from, to, both included


@dataclass(frozen=True)
class Satisfaction:
    """Shares of the samples that were asked for each condition; NaN where none was."""

    formula: float
    elements: float
    space_group: float
    hull_distance: float
    everything: float  # all that was asked for, of all samples


@dataclass(frozen=True)
class Kept:
    """Which conditions one sample keeps; None: it was not asked for."""

    formula: bool | None
    elements: bool | None
    space_group: bool | None
    hull_distance: bool | None

    @property
    def everything(self) -> bool:
        return False not in (self.formula, self.elements, self.space_group, self.hull_distance)


def kept(conditions: Conditions, crystal: Crystal | None, place: HullPlace | None = None) -> Kept:
    """What a sample keeps: nothing where there is no crystal, no hull distance where it has no place.

    The space group is that within 0.1 Å. Raises InvalidFieldError for a formula that is none.
    """
    asks_elements = bool(conditions.required_elements or conditions.forbidden_elements)
    return Kept(
        formula=_formula_kept(conditions.formula, crystal) if conditions.formula else None,
        elements=_elements_kept(conditions, crystal) if asks_elements else None,
        space_group=None
        if conditions.space_group is None
        else _space_group(crystal) == conditions.space_group,
        hull_distance=None
        if conditions.hull_ev_per_atom is None
        else _within(conditions.hull_ev_per_atom, place),
    )


def satisfaction(samples: Sequence[Kept]) -> Satisfaction:
    """The shares over samples, each of those that were asked for the condition."""

    def rate(answers: Sequence[bool | None]) -> float:
        asked = [answer for answer in answers if answer is not None]
        return share(sum(asked), len(asked))

    return Satisfaction(
        formula=rate([sample.formula for sample in samples]),
        elements=rate([sample.elements for sample in samples]),
        space_group=rate([sample.space_group for sample in samples]),
        hull_distance=rate([sample.hull_distance for sample in samples]),
        everything=rate([sample.everything for sample in samples]),
    )


def _formula_kept(formula: str, crystal: Crystal | None) -> bool:
    wanted = composition_of_formula(formula)
    return crystal is not None and len(crystal) > 0 and reduced_composition(crystal) == wanted


def _elements_kept(conditions: Conditions, crystal: Crystal | None) -> bool:
    if crystal is None:
        return False
    present = set(crystal.numbers.tolist())
    required = {ATOMIC_NUMBERS[symbol] for symbol in conditions.required_elements}
    forbidden = {ATOMIC_NUMBERS[symbol] for symbol in conditions.forbidden_elements}
    return required <= present and not forbidden & present


def _space_group(crystal: Crystal | None) -> int | None:
    if crystal is None:
        return None
    try:
        return space_group_number(crystal, symprec=SYMPREC_ANGSTROM)
    except CrystalMeshError:
        return None


def _within(wanted: tuple[float, float], place: HullPlace | None) -> bool:
    if place is None or place.ev_per_atom is None:
        return False
    return wanted[0] <= place.ev_per_atom <= wanted[1]
