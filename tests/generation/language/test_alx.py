"""ALX: crystals as the text that the language model writes."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal.structure import Crystal, cell_from_parameters, cell_parameters
from crystalmesh_generation.language.alx import AlxError, AlxFault, in_lines, read_alx, write_alx

SALT = "5.6 5.6 5.6\n90 90 90\nNa 0.00 0.00 0.00\nCl 0.50 0.50 0.50"

tenths = st.integers(10, 599).map(lambda n: n / 10)
hundredths = st.integers(0, 99).map(lambda n: n / 100)
sites = st.tuples(st.integers(1, 103), hundredths, hundredths, hundredths)


def test_a_crystal_is_told_in_lines() -> None:
    """Lengths to one decimal, whole degrees, coordinates to two decimals, one atom a line."""
    crystal = Crystal(5.61 * np.eye(3), np.array([11, 17]), np.array([[0.0, -0.004, 0.996], [0.5, 0.5, 1.5]]))
    assert write_alx(crystal) == SALT


@given(st.tuples(tenths, tenths, tenths), st.integers(60, 110), st.lists(sites, min_size=1, max_size=20))
@settings(max_examples=100)
def test_what_is_written_is_read(
    lengths: tuple[float, float, float], angle: int, atoms: list[tuple[int, float, float, float]]
) -> None:
    """A crystal of the format's numbers comes back with the same text, however its words are parted."""
    crystal = Crystal(
        cell_from_parameters(lengths, (angle, 90, 90)),
        np.array([atom[0] for atom in atoms]),
        np.array([atom[1:] for atom in atoms]),
    )
    text = write_alx(crystal)
    again = read_alx(" ".join(text.split()), max_atoms=20)
    assert write_alx(again) == text
    assert in_lines(" ".join(text.split())) == text
    assert np.allclose(cell_parameters(again.cell)[0], lengths)


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from([*SALT.split(), "nan", "1e9", "²", "-0.5"])).map(" ".join)
)
@settings(max_examples=300)
def test_any_text_is_a_crystal_or_says_why_not(text: str) -> None:
    """Nothing but AlxError comes of text that is no crystal."""
    with suppress(AlxError):
        assert len(read_alx(text, max_atoms=20)) > 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", AlxFault.TRUNCATED),
        ("5.6 5.6 5.6 90 90 90", AlxFault.TRUNCATED),
        ("5.6 5.6 5.6 90 90 90 Na 0.00 0.00", AlxFault.TRUNCATED),
        ("5.6 5.6 5.6 90 90 90 Xx 0.00 0.00 0.00", AlxFault.MALFORMED),
        ("5.6 5.6 5 90 90 90 Na 0.00 0.00 0.00", AlxFault.MALFORMED),
        ("5.6 5.6 5.6 90 90 90.0 Na 0.00 0.00 0.00", AlxFault.MALFORMED),
        ("5.6 5.6 5.6 90 90 90 Na 0.5 0.00 0.00", AlxFault.MALFORMED),
        ("5.6 5.6 5.6 90 90 90 Na 0.0٣ 0.00 0.00", AlxFault.MALFORMED),
        ("5.6 5.6 5.6 30 30 120 Na 0.00 0.00 0.00", AlxFault.IMPOSSIBLE_CELL),
        ("0.0 5.6 5.6 90 90 90 Na 0.00 0.00 0.00", AlxFault.IMPOSSIBLE_CELL),
        (SALT + " H 0.10 0.10 0.10", AlxFault.MALFORMED),
    ],
)
def test_faults_are_told_apart(text: str, fault: AlxFault) -> None:
    """What is cut short, what is no ALX, and what is no cell are different faults."""
    with pytest.raises(AlxError) as caught:
        read_alx(text, max_atoms=2)
    assert caught.value.fault is fault


def test_what_has_no_numbers_in_the_format_is_refused() -> None:
    """A cell that is too long or too flat is a ValueError that says so."""
    atom = np.array([1]), np.zeros((1, 3))
    with pytest.raises(ValueError, match="long"):
        write_alx(Crystal(60.0 * np.eye(3), *atom))
    with pytest.raises(ValueError, match="angle"):
        write_alx(Crystal(cell_from_parameters((5, 5, 5), (3, 90, 90)), *atom))
