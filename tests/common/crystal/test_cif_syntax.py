"""The syntax of CIF."""

from __future__ import annotations

import pytest

from crystalmesh_common.crystal.cif_syntax import read_blocks
from crystalmesh_common.runtime.errors import UnreadableCrystalError


def test_values_in_every_form() -> None:
    """Bare, quoted and multi-line values are read, comments are not, and tags lose case and dots."""
    (block,) = read_blocks(
        "#\\#CIF_2.0\nDATA_one # a comment\n_Bare a#b\n_single 'it's here' _double \"x 'y' z\"\n"
        "_field\n;line one\n_not a tag\n;\n_Cell.Length_a 5 global_\n"
    )
    assert block.name == "one"
    assert block.values == {
        "_bare": "a#b",
        "_single": "it's here",
        "_double": "x 'y' z",
        "_field": "line one\n_not a tag",
        "_cell_length_a": "5",
    }


def test_loops() -> None:
    """Rows go to columns, a quoted keyword is a value, and a loop of one row answers like a value."""
    (block,) = read_blocks("data_x\nloop_\n_a _b\n1 'loop_'\n3 4\nloop_ _c only _d .\n_e ?")
    assert block.column("_a") == ["1", "3"]
    assert block.column("_b") == ["loop_", "4"]
    assert block.value("_a") is None
    assert block.value("_missing", "_c") == "only"
    assert block.value("_d", "_e") is None
    assert block.column("_d") == ["."]
    assert block.column("_none") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data_x\n_a _b", "line 2: '_a' has no value"),
        ("data_x\n_a", "line 2: '_a' has no value"),
        ("data_x\n\nstray", "line 3: the value 'stray' belongs to no tag"),
        ("data_x loop_ 1 2", "line 1: a loop without tags"),
        ("data_x loop_ _a _b 1 2 3", "a loop of 2 tags has 3 values"),
        ("data_x\n_a\n;never", "line 3: a text field is never closed"),
        ("data_x _" + "a" * 500, "…' has no value"),
    ],
)
def test_bad_syntax(text: str, message: str) -> None:
    """Bad syntax is refused with its line, and long words are cut in messages."""
    with pytest.raises(UnreadableCrystalError) as refused:
        read_blocks(text)
    assert message in refused.value.message
    assert len(refused.value.message) < 200
