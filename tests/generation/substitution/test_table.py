from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_generation.substitution.table import SubstitutionTable, shipped_substitutions

_NA, _K, _RB, _CL, _FE = 11, 19, 37, 17, 26


def _said(**changed: object) -> dict[str, Any]:
    """Sodium was seen instead of potassium three times as often as instead of rubidium."""
    return {
        "version": "1",
        "made_from": "nothing",
        "elements": ["Na", "K", "Rb"],
        "counts": [[0, 3, 1], [3, 0, 2], [1, 2, 0]],
        "volumes_cubic_angstrom": {symbol: 10.0 + place for place, symbol in enumerate(SYMBOLS)},
        **changed,
    }


def test_probabilities_of_replacements_add_up() -> None:
    """Of what replaces an element, each has its share of the counts; what was never seen has none."""
    table = SubstitutionTable.of(_said())
    assert table.probability(_NA, _K) == pytest.approx(0.75)
    assert table.probability(_NA, _RB) == pytest.approx(0.25)
    assert table.probability(_NA, _NA) == table.probability(_NA, _CL) == table.probability(_FE, _NA) == 0


def test_correlation_is_symmetric_and_relative_to_chance() -> None:
    """Common elements replace many others by their number alone; the correlation takes that out."""
    table = SubstitutionTable.of(_said())
    assert table.correlation(_NA, _K) == table.correlation(_K, _NA)
    assert table.correlation(_NA, _K) == pytest.approx((3 / 12) / ((4 / 12) * (5 / 12)))
    assert table.correlation(_NA, _FE) == 0


@given(data=st.data(), size=st.integers(2, 6))
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(
    data: st.DataObject, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A table comes back from its file as it was."""
    values = data.draw(st.lists(st.integers(0, 9_999), min_size=size * size, max_size=size * size))
    half = np.triu(np.array(values).reshape(size, size) / 1000, 1)
    listed = (half + half.T).tolist()
    table = SubstitutionTable.of(_said(elements=list(SYMBOLS[:size]), counts=listed))
    path = tmp_path_factory.mktemp("tables") / "table.json"
    table.write(path)
    read = SubstitutionTable.read(path)
    np.testing.assert_array_equal(read.counts, table.counts)
    np.testing.assert_array_equal(read.volumes, table.volumes)
    assert (read.version, read.made_from) == (table.version, table.made_from)


@pytest.mark.parametrize(
    "changed",
    [
        {"elements": ["Na", "K"]},
        {"elements": ["Na", "K", "Na"]},
        {"elements": ["Na", "K", "Xy"]},
        {"counts": [[0, 3, 1], [3, 0, 2], [9, 2, 0]]},
        {"counts": [[0, -3, 1], [-3, 0, 2], [1, 2, 0]]},
        {"counts": "many"},
        {"volumes_cubic_angstrom": {"Na": 20.0}},
        {"volumes_cubic_angstrom": None},
    ],
)
def test_refuses_what_is_no_table(changed: dict[str, object], tmp_path: Path) -> None:
    """A file that contradicts itself is no table."""
    path = tmp_path / "table.json"
    path.write_text(json.dumps(_said(**changed)))
    with pytest.raises(DataCorruptError):
        SubstitutionTable.read(path)


def test_shipped_table_knows_chemistry() -> None:
    """In the shipped table alike elements replace each other, and larger atoms take more room."""
    table = shipped_substitutions()
    symbols = ATOMIC_NUMBERS
    for one, alike, unlike in [("Na", "K", "Cl"), ("Cl", "Br", "Fe"), ("La", "Nd", "S"), ("Ti", "Zr", "I")]:
        near, far = (table.probability(symbols[one], symbols[other]) for other in (alike, unlike))
        assert near > 0.02
        assert near > 10 * far
        assert table.correlation(symbols[one], symbols[alike]) > 2
    assert table.volume_of(symbols["Cs"]) > table.volume_of(symbols["Na"]) > table.volume_of(symbols["O"]) > 0
    assert all(table.volume_of(number) > 0 for number in range(1, 119))
    assert table.version
