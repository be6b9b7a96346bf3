from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.composition import Composition

from crystalmesh_common.crystal.elements import SYMBOLS
from crystalmesh_common.runtime.errors import InvalidFieldError
from crystalmesh_relaxation.stability.formulas import amounts_of


@pytest.mark.parametrize(
    "formula",
    ["Fe", "Li2O", "Ca(OH)2", "Na3Mn1Co1Ni1O6", "(NH4)2SO4", "Li0.5CoO2", "Mg3(Fe(CN)6)2", "CoO", "O.5Ti"],
)
def test_formulas_mean_what_pymatgen_takes_them_for(formula: str) -> None:
    """Groups, fractions and repeated elements are counted as pymatgen counts them."""
    assert amounts_of(formula) == pytest.approx(Composition(formula).get_el_amt_dict())


@pytest.mark.parametrize(
    "formula", ["", "x", "Xx2", "Li2O)", "(Li", "2Li", "Li-2", "Li 2", "H0", "()2", "D2O", "Li2O!", "A" * 201]
)
def test_what_is_no_formula_is_said_to_be_none(formula: str) -> None:
    """Each is one InvalidFieldError, and nothing else is raised."""
    with pytest.raises(InvalidFieldError):
        amounts_of(formula)


@given(st.text(alphabet="LiOFeXx()0123456789. -", max_size=20))
def test_any_text_is_a_formula_or_an_error(text: str) -> None:
    """Nothing crashes the parser, and what it accepts has positive amounts of elements."""
    try:
        amounts = amounts_of(text)
    except InvalidFieldError:
        return
    assert amounts
    assert all(symbol in SYMBOLS and amount > 0 for symbol, amount in amounts.items())
