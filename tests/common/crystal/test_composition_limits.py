from __future__ import annotations

from math import gcd
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalmesh_common.crystal.composition_limits import (
    CompositionLimits,
    composition_limits,
    formula_composition,
)
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.runtime.errors import ContradictoryTargetError, InvalidFieldError

LITHIUM, SODIUM, CHLORINE = 3, 11, 17


def test_nothing_demanded_admits_anything_of_the_default_size() -> None:
    """Without demands 1 to 20 atoms of any element are admitted."""
    limits = composition_limits()
    assert limits == CompositionLimits()
    assert limits.admits([1])
    assert limits.admits([94] * 20)
    assert not limits.admits([])
    assert not limits.admits([1] * 21)


@pytest.mark.parametrize(
    ("demands", "admitted", "refused"),
    [
        ({"formula": "NaCl"}, [11, 17, 17, 11], [11, 17, 17]),
        ({"formula": "Na2Cl2"}, [11, 17], [11, 19]),
        ({"formula": "O2"}, [8, 8, 8], [8, 1]),
        ({"formula": "Li0.5CoO2"}, [3, 27, 27, 8, 8, 8, 8], [3, 27, 8, 8]),
        ({"formula": "D2O"}, [1, 1, 8], [1, 8]),
        ({"chemical_system": "Na-Cl"}, [11, 17, 17], [11]),
        ({"chemical_system": "Na-Cl"}, [11, 17, 17], [11, 17, 19]),
        ({"required": [11]}, [11, 8], [8]),
        ({"required": [11], "allowed": [17]}, [11, 17], [11, 8]),
        ({"allowed": [11, 17]}, [17], [8]),
        ({"forbidden": [11]}, [19, 17], [11, 17]),
        ({"min_atoms": 3, "max_atoms": 4}, [8, 8, 8], [8, 8]),
    ],
)
def test_admits_what_is_demanded(demands: dict[str, Any], admitted: list[int], refused: list[int]) -> None:
    """A composition is admitted only if every part of the target holds."""
    limits = composition_limits(**demands)
    assert limits.admits(admitted)
    assert not limits.admits(refused)


@pytest.mark.parametrize(
    "demands",
    [
        {"formula": "LiFePO4", "forbidden": [3]},
        {"formula": "NaCl", "required": [8]},
        {"formula": "NaCl", "allowed": [11]},
        {"formula": "NaCl", "chemical_system": "K-Cl"},
        {"formula": "LiFePO4", "max_atoms": 6},
        {"formula": "LiFePO4", "min_atoms": 8, "max_atoms": 13},
        {"chemical_system": "Na-Cl", "forbidden": [17]},
        {"chemical_system": "Na-Cl", "required": [8]},
        {"chemical_system": "Na-Cl", "allowed": [11]},
        {"required": [11], "forbidden": [11]},
        {"required": [3, 8, 11], "max_atoms": 2},
        {"allowed": [11], "forbidden": [11]},
        {"min_atoms": 5, "max_atoms": 4},
        {"max_atoms": 0},
    ],
)
def test_parts_that_exclude_each_other_are_refused(demands: dict[str, Any]) -> None:
    """A target that no composition can fulfil is CONTRADICTORY_TARGET and names the field."""
    with pytest.raises(ContradictoryTargetError) as refusal:
        composition_limits(**demands)
    assert refusal.value.details["field"].startswith("target")


@pytest.mark.parametrize(
    "demands",
    [
        {"formula": "Xx2"},
        {"formula": "Na("},
        {"formula": "Na0.00001"},
        {"chemical_system": "Na-Xx"},
        {"chemical_system": "Na-"},
        {"required": [0]},
        {"allowed": [119]},
        {"forbidden": [-1]},
    ],
)
def test_what_is_no_element_or_formula_is_an_invalid_field(demands: dict[str, Any]) -> None:
    """Text and numbers that name no element are INVALID_FIELD."""
    with pytest.raises(InvalidFieldError):
        composition_limits(**demands)


def test_a_forbidden_element_is_no_longer_allowed() -> None:
    """What is allowed and forbidden at once is forbidden, as long as something is left."""
    limits = composition_limits(allowed=[LITHIUM, SODIUM], required=[CHLORINE], forbidden=[SODIUM])
    assert limits.elements == {LITHIUM, CHLORINE}
    assert not limits.admits_element(SODIUM)


def test_formula_units_fill_the_allowed_sizes() -> None:
    """A cell may hold as many formula units as the bounds on atoms leave."""
    assert composition_limits(formula="NaCl", min_atoms=3, max_atoms=9).formula_units == range(2, 5)
    assert composition_limits(formula="NaCl").formula_units == range(1, 11)
    assert not composition_limits().formula_units


COUNTS = st.dictionaries(st.integers(1, 94), st.integers(1, 30), min_size=1, max_size=6)


@given(COUNTS)
def test_a_formula_is_read_back_as_written(counts: dict[int, int]) -> None:
    """Whole numbers of any elements come back without their common factor, by atomic number."""
    text = "".join(f"{symbol_of(number)}{count}" for number, count in counts.items())
    factor = gcd(*counts.values())
    assert formula_composition(text) == tuple(sorted((n, c // factor) for n, c in counts.items()))


@given(COUNTS)
def test_a_formula_admits_itself_and_nothing_with_one_atom_more(counts: dict[int, int]) -> None:
    """The atoms of a formula are admitted; one atom of another element spoils them."""
    text = "".join(f"{symbol_of(number)}{count}" for number, count in counts.items())
    limits = composition_limits(formula=text, max_atoms=200)
    atoms = [number for number, count in counts.items() for _ in range(count)]
    assert limits.admits(atoms)
    assert not limits.admits([*atoms, 95])
