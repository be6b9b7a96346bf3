"""Numbers and elements as files write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, SYMBOLS, symbol_of
from crystalmesh_common.crystal.notation import parse_element, parse_number, quoted
from crystalmesh_common.runtime.errors import UnreadableCrystalError


@given(value=st.floats(-1e12, 1e12))
def test_numbers(value: float) -> None:
    """Any number that Python writes is read back."""
    assert parse_number(repr(value), "it") == value


@pytest.mark.parametrize(("text", "value"), [("1.25(3)", 1.25), (".5", 0.5), ("5.", 5), ("-1.5D-01", -0.15)])
def test_spellings(text: str, value: float) -> None:
    """Standard uncertainties, bare points and Fortran exponents are understood."""
    assert parse_number(text, "it") == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "1_0", "0x1", "1e9999", "1,5", "--1", "9" * 99, "1.5(a)", "٣x"]
)
def test_no_number(text: str) -> None:
    """What is no finite number is refused, quoted and named."""
    with pytest.raises(UnreadableCrystalError, match="the length is '"):
        parse_number(text, "the length")


@pytest.mark.parametrize(
    ("text", "number"),
    [("Fe", 26), ("FE2+", 26), ("o2-", 8), ("D", 1), ("Og", 118), ("Wat", None), ("T1", None), ("3", None)],
)
def test_symbols(text: str, number: int | None) -> None:
    """A symbol may carry a charge and any case, and nothing that makes it another word."""
    assert parse_element(text) == number


@pytest.mark.parametrize(("text", "number"), [("O1W", 8), ("CA1", 20), ("Fe2A", 26), ("X1", None)])
def test_labels(text: str, number: int | None) -> None:
    """A label starts with its element and goes on as it likes."""
    assert parse_element(text, is_label=True) == number


def test_table() -> None:
    """There are 118 elements, and symbols and numbers are inverse."""
    assert len(SYMBOLS) == 118
    assert all(symbol_of(ATOMIC_NUMBERS[symbol]) == symbol for symbol in SYMBOLS)
    assert symbol_of(0) == symbol_of(119) == "X"


def test_quoted() -> None:
    """Other people's text is short and printable in messages."""
    assert quoted("a\x00\n" + "b" * 100) == "'a\\x00\\n" + "b" * 37 + "…'"
