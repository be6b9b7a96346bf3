"""What a target asks, as checks on crystals and on what is known of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import NormalDist

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, TargetFit
from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec
from crystalmesh.crystal.v1.property_pb2 import Property, PropertyValue, SourceKind, ValueSource
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh_agent.campaigns.telling import lies_within, miss_in_words
from crystalmesh_common.crystal.composition import (
    chemical_system,
    composition_of,
    density_g_per_cubic_centimeter,
    reduced_composition,
    reduced_formula,
    reduced_formula_of_text,
)
from crystalmesh_common.crystal.composition_limits import formula_composition
from crystalmesh_common.crystal.description.property_text import PROPERTY_PHRASES, Range
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, symbol_of
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import atoms_in_primitive_cell, symmetry_of
from crystalmesh_common.crystal.targets import crystal_system_of_target, property_name, target_ranges
from crystalmesh_common.runtime.errors import InvalidCrystalError, UnknownEnumValueError

DEFAULT_MAX_ENERGY_ABOVE_HULL_EV_PER_ATOM = 0.1
SYMPREC_ANGSTROM = 0.1
"""Within which the symmetry of a candidate is found."""

HOPELESS_SIGMAS = 2.0
"""So many standard deviations, and the room below, a prediction may miss by before it is hopeless."""
LEAST_CREDIBLE_EV_PER_ATOM = -0.3
"""Below this, it is rather the hull that lacks what competes than the material that is so stable. Chosen, not
fitted: a reference without any fluoride of Nd had NdF2 at -3.5 (benchmarks/LOG.md)."""
UNKNOWN_HOLDS = 0.1
"""How probable it is that a wish holds for a value that nobody knows: rather not."""
OTHER_SYMMETRY_HOLDS = 0.05
"""How probable it is that a crystal has the wanted symmetry after all, where it was found to have another."""

_HULL = "energy_above_hull_ev_per_atom"
_DENSITY, _ATOMS = "density_g_per_cubic_centimeter", "atoms_in_cell"
_FAR = 100.0
"""A wish is not missed by more; values that nobody knows miss by so much."""
_DECIMALS = 6
"""Of scores and merits: the last digits differ between machines."""


@dataclass(frozen=True)
class _Trust:
    """How far a value of a property may be off, in its unit or as a part of the value, whichever is more."""

    sigma: float  # one standard deviation where a value brings none: what models of today err by
    sigma_part: float = 0.0
    room: float = 0.0  # by how much relaxation may move it
    room_part: float = 0.0
    zero_is_no_bound: bool = True  # no crystal is below 0, or below is what everybody wants

    def sigma_at(self, value: float) -> float:
        return max(self.sigma, self.sigma_part * abs(value))

    def room_at(self, value: float) -> float:
        return max(self.room, self.room_part * abs(value))


# Chosen, not fitted: about the errors that the cards of the shipped models report, on test crystals like
# those that they learnt from; generated crystals are less like those.
_TRUST: Mapping[str, _Trust] = {
    "formation_energy_ev_per_atom": _Trust(0.06, room=0.3, zero_is_no_bound=False),
    "band_gap_ev": _Trust(0.4, room=0.5),
    _HULL: _Trust(0.03, room=0.3),
    "bulk_modulus_gpa": _Trust(5.0, 0.2, room=10.0, room_part=0.3),
    "shear_modulus_gpa": _Trust(5.0, 0.4, room=10.0, room_part=0.3),
    "magnetization_mu_b_per_cubic_angstrom": _Trust(0.01, room=0.02),
    _DENSITY: _Trust(0.05, 0.02, room=0.5, room_part=0.3),
    _ATOMS: _Trust(0.0),
}


@dataclass(frozen=True)
class _Known:
    """A value that may be off."""

    value: float
    sigma: float


class Wishes:
    """What a target that passed `check_target` asks; without a range of the hull distance, at most 0.1.

    Below the hull is more stable still: a range that begins on it has no lower bound. Crystals are those that
    the mesh computes with, values are messages: one per property, else the first counts; a value that is no
    finite number is not known. The first formula takes half a second, so this is not for an event loop.
    """

    def __init__(self, target: Target) -> None:
        self._ranges = _with_stability(target_ranges(target))
        self._required = frozenset(target.required_elements)
        self._allowed = self._required | set(target.allowed_elements) if target.allowed_elements else None
        self._forbidden = frozenset(target.forbidden_elements)
        self._formula = formula_composition(target.formula) if target.formula else None
        self._formula_text = reduced_formula_of_text(target.formula) if target.formula else ""
        system = target.chemical_system
        self._system = frozenset(ATOMIC_NUMBERS[symbol] for symbol in system.split("-")) if system else None
        self._space_group = target.space_group_number if target.HasField("space_group_number") else None
        self._crystal_system = crystal_system_of_target(target)

    @property
    def max_energy_above_hull_ev_per_atom(self) -> float:
        """Up to which a crystal is stable enough; infinite where only a least distance is asked for."""
        bound = self._ranges[_HULL].max
        return math.inf if bound is None else bound

    def composition_misses(self, crystal: Crystal) -> list[str]:
        """What is wrong with the composition, one sentence each; nothing: []."""
        present = {number for number, _ in composition_of(crystal)}
        is_named = reduced_formula(crystal)
        misses = []
        if self._formula is not None and reduced_composition(crystal) != self._formula:
            misses.append(f"formula {is_named}, asked for {self._formula_text}")
        if self._system is not None and present != self._system:
            wanted = "-".join(sorted(map(symbol_of, self._system)))
            misses.append(f"elements {chemical_system(crystal)}, asked for {wanted}")
        if missing := self._required - present:
            misses.append(f"{is_named} has no {_symbols(missing)}, asked for {_symbols(self._required)}")
        if excess := present - self._allowed if self._allowed is not None else None:
            misses.append(
                f"{is_named} has {_symbols(excess)}, allowed is only {_symbols(self._allowed or ())}"
            )
        if unwanted := self._forbidden & present:
            misses.append(f"{is_named} has {_symbols(unwanted)}, which is forbidden")
        return misses

    def screening_misses(self, values: Sequence[PropertyValue]) -> list[str]:
        """Why a crystal is hopeless by what was predicted before relaxation, one sentence each.

        Values far outside their range alone count: by more than two standard deviations and what relaxation
        may change. Values that are not known speak against nothing.
        """
        known = _known(values)
        misses = []
        for name, wanted in self._ranges.items():
            if (found := known.get(name)) is None:
                continue
            slack = HOPELESS_SIGMAS * found.sigma + _TRUST[name].room_at(found.value)
            if _distance_outside(found.value, wanted) > slack:
                words = miss_in_words(name, found.value, wanted, spread=found.sigma)
                misses.append(f"{words} (before relaxation)")
        return misses

    def fit(self, crystal: Crystal, values: Sequence[PropertyValue]) -> TargetFit:
        """How well a relaxed crystal fulfils the target.

        The score is half of whether it does, and half the probability that all parts hold: values are taken
        as independent and normal about what is known, with the uncertainty that they bring, else with the
        property's own. So those that fulfil the target are at 0.5 or more, the surest first, and all others
        below. Density and number of atoms follow from the crystal, whatever the values say.
        """
        misses = self.composition_misses(crystal)
        probability = 0.0 if misses else 1.0
        if miss := self._symmetry_miss(crystal):
            misses.append(miss)
            probability *= OTHER_SYMMETRY_HOLDS
        known = self._known_of(crystal, values)
        for name, wanted in self._ranges.items():
            found = known.get(name)
            probability *= UNKNOWN_HOLDS if found is None else _probability(found, wanted)
            if found is None:
                misses.append(f"{PROPERTY_PHRASES[name].words}: not known")
            elif not lies_within(found.value, wanted):
                misses.append(miss_in_words(name, found.value, wanted))
            elif _is_incredible(name, found):
                misses.append(f"{-found.value:.2f} eV/atom below the hull: the reference lacks what competes")
                probability *= UNKNOWN_HOLDS
        score = 0.5 * (not misses) + 0.5 * probability
        return TargetFit(fulfilled=not misses, misses=misses, score=round(score, _DECIMALS))

    def merits(self, crystal: Crystal | None, values: Sequence[PropertyValue]) -> tuple[float, ...]:
        """One number per wish, larger being better: each range, stability among them, then the symmetry.

        Inside a range it is the probability that the range holds, outside minus the distance in the
        property's standard deviations. Of stability it is minus the distance from the hull, unless the
        target asks for a least one. Finite for everything, and never below -100.
        """
        known = _known(values) if crystal is None else self._known_of(crystal, values)
        merits = [_merit(name, known.get(name), wanted) for name, wanted in self._ranges.items()]
        if self._space_group is not None or self._crystal_system:
            merits.append(float(crystal is not None and not self._symmetry_miss(crystal)))
        return tuple(round(merit, _DECIMALS) for merit in merits)

    def _symmetry_miss(self, crystal: Crystal) -> str:
        """What is wrong with the symmetry; nothing: ""."""
        if self._space_group is None and not self._crystal_system:
            return ""
        number, system = 1, "triclinic"  # of what has no symmetry that can be determined
        with suppress(InvalidCrystalError):
            symmetry = symmetry_of(crystal, symprec=SYMPREC_ANGSTROM)
            number, system = symmetry.space_group_number, symmetry.crystal_system
        if self._space_group is not None:
            is_missed = number != self._space_group
            return f"space group {number}, asked for {self._space_group}" if is_missed else ""
        is_missed = system != self._crystal_system
        return f"{system}, space group {number}, asked for {self._crystal_system}" if is_missed else ""

    def _known_of(self, crystal: Crystal, values: Sequence[PropertyValue]) -> dict[str, _Known]:
        """All that is known and asked for, with what follows from the crystal."""
        known = _known(values)
        if _DENSITY in self._ranges or _ATOMS in self._ranges:
            known |= _known(geometry_values(crystal))
        return known


def merits(spec: CampaignSpec, candidate: CampaignCandidate) -> Sequence[float]:
    """`Wishes.merits` of a candidate, for `store.Merits`."""
    values = list(candidate.properties)
    if candidate.HasField("hull_distance"):
        distance = candidate.hull_distance.energy_above_hull_ev_per_atom
        hull = Property.PROPERTY_ENERGY_ABOVE_HULL_EV_PER_ATOM
        values.append(PropertyValue(property=hull, value=distance))
    relaxed = candidate.relaxation.crystal if candidate.HasField("relaxation") else None
    crystal = None
    with suppress(InvalidCrystalError):
        crystal = crystal_from_proto(candidate.generated.crystal if relaxed is None else relaxed)
    return Wishes(spec.target).merits(crystal, values)


def geometry_values(crystal: Crystal) -> list[PropertyValue]:
    """What follows from the structure alone: density, and the number of atoms in the primitive cell."""
    follows = {
        _DENSITY: density_g_per_cubic_centimeter(crystal),
        _ATOMS: atoms_in_primitive_cell(crystal, symprec=SYMPREC_ANGSTROM),
    }
    return [
        PropertyValue(
            property=Property.Value(f"PROPERTY_{name.upper()}"),
            value=value,
            unit=PROPERTY_PHRASES[name].unit.strip(),
            source=ValueSource(kind=SourceKind.SOURCE_KIND_GEOMETRY),
        )
        for name, value in follows.items()
    ]


def _with_stability(ranges: Mapping[str, Range]) -> dict[str, Range]:
    """The ranges with that of the hull distance, and without lower bounds that bound nothing."""
    whole = {**ranges}
    whole.setdefault(_HULL, Range(max=DEFAULT_MAX_ENERGY_ABOVE_HULL_EV_PER_ATOM))
    return {
        name: Range(max=wanted.max) if _TRUST[name].zero_is_no_bound and (wanted.min or 0) <= 0 else wanted
        for name, wanted in whole.items()
    }


def _known(values: Iterable[PropertyValue]) -> dict[str, _Known]:
    """By the names that properties have in the API; the first of each."""
    known: dict[str, _Known] = {}
    for message in values:
        try:
            name = property_name(message.property, "properties")
        except UnknownEnumValueError:  # of a service that is newer than this one
            continue
        if name not in known and math.isfinite(message.value):
            known[name] = _Known(message.value, _sigma(name, message))
    return known


def _sigma(name: str, message: PropertyValue) -> float:
    if message.HasField("uncertainty") and 0 <= message.uncertainty < math.inf:
        return message.uncertainty
    return _TRUST[name].sigma_at(message.value)


def _distance_outside(value: float, wanted: Range) -> float:
    below = 0.0 if wanted.min is None else wanted.min - value
    above = 0.0 if wanted.max is None else value - wanted.max
    return max(below, above, 0.0)


def _probability(known: _Known, wanted: Range) -> float:
    """That the true value lies in the range."""
    if known.sigma == 0:
        return float(lies_within(known.value, wanted))
    around = NormalDist(known.value, known.sigma)
    below = 0.0 if wanted.min is None else around.cdf(wanted.min)
    return max(0.0, (1.0 if wanted.max is None else around.cdf(wanted.max)) - below)


def _is_incredible(name: str, known: _Known) -> bool:
    return name == _HULL and known.value < LEAST_CREDIBLE_EV_PER_ATOM


def _merit(name: str, known: _Known | None, wanted: Range) -> float:
    if known is None or _is_incredible(name, known):
        return -_FAR
    if name == _HULL and wanted.min is None:
        return min(max(-known.value, -_FAR), _FAR)
    outside = _distance_outside(known.value, wanted)
    if not outside:
        return _probability(known, wanted)
    is_below = wanted.min is not None and known.value < wanted.min
    bound = wanted.min if is_below else wanted.max
    sigma = _TRUST[name].sigma_at(bound or 0.0) or 1.0
    return max(-outside / sigma, -_FAR)


def _symbols(elements: Iterable[int]) -> str:
    return ", ".join(symbol_of(number) for number in sorted(elements))
