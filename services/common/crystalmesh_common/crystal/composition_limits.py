"""What a target demands of a composition: the elements, their ratio and how many atoms there may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm

from crystalmesh_common.crystal.composition import Composition, reduced_formula_of_text
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, MAX_ATOMIC_NUMBER, symbol_of
from crystalmesh_common.runtime.errors import ContradictoryTargetError, InvalidFieldError

DEFAULT_MAX_ATOMS = 20
_FORMULAS_KEPT = 4096
_MAX_DENOMINATOR = 100
"""Of the amounts in a formula: "Li0.33CoO2" is LiCo3O6 within rounding."""


@dataclass(frozen=True)
class CompositionLimits:
    """Which compositions are wanted; all parts hold together. `composition_limits` makes sound ones.

    With a formula or a chemical system, `required` and `allowed` are its elements.
    """

    formula: Composition | None = None  # without common factor; None: any
    required: frozenset[int] = frozenset()
    allowed: frozenset[int] | None = None  # with the required ones, without forbidden ones; None: any
    forbidden: frozenset[int] = frozenset()
    min_atoms: int = 1
    max_atoms: int = DEFAULT_MAX_ATOMS

    def admits(self, numbers: Sequence[int]) -> bool:
        """Whether a cell with atoms of these atomic numbers is what is wanted."""
        if not self.min_atoms <= len(numbers) <= self.max_atoms:
            return False
        counts = Counter(int(number) for number in numbers)
        if not self.required <= counts.keys() or not all(map(self.admits_element, counts)):
            return False
        if self.formula is None:
            return True
        factor = gcd(*counts.values())
        return dict(self.formula) == {number: count // factor for number, count in counts.items()}

    def admits_element(self, number: int) -> bool:
        """Whether atoms of an element may be there at all."""
        return number not in self.forbidden and (self.allowed is None or number in self.allowed)

    @property
    def elements(self) -> frozenset[int]:
        """All elements that may be there."""
        return frozenset(filter(self.admits_element, range(1, MAX_ATOMIC_NUMBER + 1)))

    @property
    def least_atoms(self) -> int:
        """How many atoms the smallest cell within the limits has."""
        if self.formula is not None:
            return self.formula_units.start * sum(count for _, count in self.formula)
        return max(self.min_atoms, len(self.required), 1)

    @property
    def formula_units(self) -> range:
        """How many formula units a cell may hold; empty without a formula."""
        if self.formula is None:
            return range(0)
        atoms = sum(count for _, count in self.formula)
        return range(max(1, -(-self.min_atoms // atoms)), self.max_atoms // atoms + 1)


def composition_limits(
    *,
    formula: str = "",
    chemical_system: str = "",
    required: Iterable[int] = (),
    allowed: Iterable[int] = (),
    forbidden: Iterable[int] = (),
    min_atoms: int = 1,
    max_atoms: int = DEFAULT_MAX_ATOMS,
) -> CompositionLimits:
    """The limits of a target whose parts are those of the proto `Target`; empty parts demand nothing.

    Raises InvalidFieldError for what is no element or formula, and ContradictoryTargetError where no
    composition can be all of it, the number of atoms included.
    """
    must, may, must_not = (
        _elements(field, numbers)
        for field, numbers in (
            ("required_elements", required),
            ("allowed_elements", allowed),
            ("forbidden_elements", forbidden),
        )
    )
    wanted = formula_composition(formula) if formula else None
    system = _system(chemical_system) if chemical_system else None
    _refuse("required_elements", "forbidden_elements", must & must_not)
    open_elements = may | must if may else None
    exact = {"formula": frozenset(dict(wanted)) if wanted else None, "chemical_system": system}
    if exact["formula"] and system:
        _refuse("formula", "chemical_system", exact["formula"] ^ system)
    for field, elements in exact.items():
        if elements is not None:
            _refuse(field, "forbidden_elements", elements & must_not)
            _refuse("required_elements", field, must - elements)
            _refuse(field, "allowed_elements", elements - open_elements if open_elements else ())
            must, open_elements = elements, elements
    if open_elements is not None and not open_elements - must_not:
        _refuse("allowed_elements", "forbidden_elements", open_elements)
    allowed_elements = None if open_elements is None else open_elements - must_not
    limits = CompositionLimits(wanted, must, allowed_elements, must_not, min_atoms, max_atoms)
    _check_atoms(limits)
    return limits


@lru_cache(_FORMULAS_KEPT)
def formula_composition(formula: str, field: str = "target.formula") -> Composition:
    """The composition of a formula that somebody wrote, in whole numbers without a common factor.

    Raises InvalidFieldError, naming the field that it stands in, for text that is no formula.
    """
    try:
        reduced = reduced_formula_of_text(formula)
    except InvalidFieldError as error:
        raise InvalidFieldError(f"{field}: {error.message}", field=field) from None
    from pymatgen.core.composition import Composition as NamedComposition  # noqa: PLC0415 -- half a second

    shares: dict[int, Fraction] = {}
    for symbol, amount in NamedComposition(reduced).get_el_amt_dict().items():
        number = ATOMIC_NUMBERS[symbol]
        share = Fraction(amount).limit_denominator(_MAX_DENOMINATOR)
        shares[number] = shares.get(number, Fraction(0)) + share
    shares = {number: share for number, share in shares.items() if share > 0}
    if not shares:
        raise InvalidFieldError(f"{field}: {formula[:80]!r} holds no atom worth counting", field=field)
    whole = lcm(*(share.denominator for share in shares.values()))
    factor = gcd(*(int(share * whole) for share in shares.values()))
    return tuple((number, int(share * whole) // factor) for number, share in sorted(shares.items()))


def _elements(field: str, numbers: Iterable[int]) -> frozenset[int]:
    elements = frozenset(int(number) for number in numbers)
    for number in sorted(elements):
        if not 1 <= number <= MAX_ATOMIC_NUMBER:
            raise InvalidFieldError(f"target.{field}: {number} is no atomic number", field=f"target.{field}")
    return elements


def _system(text: str) -> frozenset[int]:
    for symbol in text.split("-"):
        if symbol not in ATOMIC_NUMBERS:
            raise InvalidFieldError(
                f"target.chemical_system: {symbol[:20]!r} is no element; write Fe-Li-O",
                field="target.chemical_system",
            )
    return frozenset(ATOMIC_NUMBERS[symbol] for symbol in text.split("-"))


def _refuse(first: str, second: str, elements: Collection[int]) -> None:
    if elements:
        symbols = ", ".join(symbol_of(number) for number in sorted(elements))
        raise ContradictoryTargetError(
            f"target.{first} and target.{second} exclude each other: {symbols}", field=f"target.{first}"
        )


def _check_atoms(limits: CompositionLimits) -> None:
    """Raise ContradictoryTargetError where no number of atoms is left."""
    low, high = limits.min_atoms, limits.max_atoms
    if high < max(low, 1):
        raise ContradictoryTargetError(
            f"at least {low} and at most {high} atoms are asked for", field="target"
        )
    if len(limits.required) > high:
        raise ContradictoryTargetError(
            f"{len(limits.required)} elements are required, and at most {high} atoms are allowed",
            field="target.required_elements",
        )
    if limits.formula is not None and not limits.formula_units:
        atoms = sum(count for _, count in limits.formula)
        raise ContradictoryTargetError(
            f"a formula unit has {atoms} atoms, and no multiple of it lies between {low} and {high}",
            field="target.formula",
        )
