"""Crystals for property tests, and texts that are nearly crystals."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from crystalmesh_common.crystal.structure import Crystal

_names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
_numbers = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def crystals(draw: st.DrawFn, *, max_atoms: int = 6) -> Crystal:
    """Any crystal with a cell that is not flat: sheared, of either handedness, atoms anywhere."""
    lengths = draw(st.lists(st.floats(2.0, 15.0), min_size=3, max_size=3))
    shears = draw(st.lists(st.floats(-0.8, 0.8), min_size=3, max_size=3))
    cell = np.diag(lengths)
    cell[1, 0], cell[2, 0], cell[2, 1] = (
        shears[0] * lengths[1],
        shears[1] * lengths[2],
        shears[2] * lengths[2],
    )
    if draw(st.booleans()):
        cell = cell[[1, 0, 2]]  # left-handed
    n_atoms = draw(st.integers(1, max_atoms))
    coordinates = draw(st.lists(st.floats(-2.0, 2.0), min_size=3 * n_atoms, max_size=3 * n_atoms))
    moments = draw(st.none() | st.lists(st.floats(-10, 10), min_size=n_atoms, max_size=n_atoms))
    return Crystal(
        cell=cell,
        numbers=np.array(draw(st.lists(st.integers(1, 118), min_size=n_atoms, max_size=n_atoms))),
        frac_coords=np.array(coordinates).reshape(-1, 3),
        id=draw(st.just("") | _names),
        magnetic_moments=None if moments is None else np.array(moments),
        scalars=draw(st.dictionaries(_names.filter(lambda name: name != "id"), _numbers, max_size=3)),
    )


_SILLY_WORDS = (
    *("nan", "inf", "-inf", "1e308", "-1e308", "1e999", "0", "-1", "1e-320", "1_000", "9" * 400, "0x10"),
    *("1/0", "x,y", "x,y,z", "2x,y,z", "x+1e9,y,z", "'", '"', ";", "#", "?", ".", "(3)", "1.5(", "()"),
    *("data_", "data_x", "loop_", "save_x", "global_", "stop_", "_", "_atom_site_fract_x", "_cell_length_a"),
    *("Xx", "Og", "Wat", "D", "Fe3+", "\x00", "\u2028", "é", "𝟙", "١", "\ud7ff", "S", "Cartesian", "-5"),
)


@st.composite
def mutations(draw: st.DrawFn, text: str) -> str:
    """The text after a few accidents: words replaced, lines repeated, dropped or moved, pieces cut."""
    for _ in range(draw(st.integers(1, 6))):
        accident = draw(st.sampled_from(["word", "insert", "line", "cut", "join", "noise"]))
        position = draw(st.integers(0, len(text)))
        if accident == "word":
            words = text.split(" ")
            words[position % len(words)] = draw(st.sampled_from(_SILLY_WORDS))
            text = " ".join(words)
        elif accident == "line":
            lines = text.split("\n")
            taken = lines.pop(position % len(lines))
            for _ in range(draw(st.integers(0, 3))):
                lines.insert(draw(st.integers(0, len(lines))), taken)
            text = "\n".join(lines)
        elif accident == "cut":
            text = text[:position] + text[position + draw(st.integers(0, 30)) :]
        elif accident == "join":
            text = text.replace("\n", draw(st.sampled_from([" ", "", "\r", "\r\n", "\n\n"])), 3)
        else:
            noise = draw(st.sampled_from(_SILLY_WORDS) | st.text(max_size=8))
            text = text[:position] + noise + text[position:]
    return text
