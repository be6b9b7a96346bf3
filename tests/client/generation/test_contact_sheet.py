"""Pictures of crystals, the page that holds them, and what notebooks show."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh_client import Candidate, Candidates, FailedSample, ParseFailure
from crystalmesh_client.candidates import candidate_from, parse_failure_from
from crystalmesh_client.plots.contact_sheet import contact_sheet
from crystalmesh_client.plots.crystal_picture import conventional_cell_of, crystal_picture
from crystalmesh_common.crystal.structure import Crystal, cell_from_parameters
from crystalmesh_common.runtime import errors
from tests.client.generation.hosting import candidate, malformed, substituted
from tests.conftest import lone_atom, silicon, sodium_chloride

NASTY = "<script>alert('1')</script>\"&"


def picture(crystal: Crystal) -> str:
    return crystal_picture(crystal.cell, crystal.numbers, crystal.frac_coords)


def balls(text: str) -> list[ET.Element]:
    """The balls of a well-formed picture, those of the legend too."""
    root = ET.fromstring(text)  # noqa: S314 -- we wrote it
    return list(root.iter("{http://www.w3.org/2000/svg}circle"))


def drawn(text: str) -> int:
    """How many balls a picture has, the legend left out."""
    return sum("url(#" in ball.get("fill", "") for ball in balls(text))


def made(prompt_id: str = "0", sample: int = 0) -> Candidate:
    return candidate_from(candidate(prompt_id, 0, sample).candidate, prompt_id, sample)


def unread() -> ParseFailure:
    response = candidate("0", 0, 5)
    malformed(response)
    return parse_failure_from(response.parse_failure, "0", 5)


def nasty() -> Candidate:
    """One whose every text wants to be markup."""
    response = candidate("0", 0, 1)
    substituted(response)
    message = response.candidate
    message.transition.text = message.duplicate_of = message.crystal.id = NASTY
    message.origin.reference_id = message.validity.formula = NASTY
    message.validity.missed_target_fields.append(NASTY)
    message.predicted_properties.add(property=2, value=1.0)
    return candidate_from(message, NASTY, 1)


class Tags(HTMLParser):
    """All tags of a page, and whether each is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "input"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)


def test_atoms_on_faces_are_repeated() -> None:
    """Rock salt's conventional cell has eight atoms, and 27 in the picture."""
    conventional = conventional_cell_of(sodium_chloride())
    assert len(conventional) == 8
    text = picture(conventional)
    assert drawn(text) == 27
    assert text == picture(conventional)


def test_a_legend_names_the_elements() -> None:
    """Once each, in their order."""
    text = picture(sodium_chloride())
    assert re.findall(r">([A-Z][a-z]?)</text>", text) == ["Na", "Cl"]


def test_short_cells_are_repeated_and_say_so() -> None:
    """One atom in a cell of 2.5 Å shows nothing."""
    text = picture(Crystal(2.5 * np.eye(3), np.array([26]), np.zeros((1, 3))))
    assert "2 × 2 × 2 cells" in text
    assert drawn(text) == 27
    assert "cells" not in picture(lone_atom())


def test_bonds_join_cations_and_anions() -> None:
    """In perovskite titanium has six, and strontium in its hole has none."""
    cubic = Crystal(
        3.905 * np.eye(3),
        np.array([38, 22, 8, 8, 8]),
        np.array([[0.0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]),
    )
    sticks = re.findall(r'stroke-width="([\d.]+)"', picture(cubic).split("</defs>")[1])
    thick = [width for width in sticks if float(width) > 2 and float(width) != 1.8]
    assert len(thick) >= 2 * 6  # two halves each


@pytest.mark.parametrize(
    ("cell", "coords"),
    [
        (np.array([[1.0, 0, 0], [2, 0, 0], [0, 0, 3]]), np.zeros((1, 3))),
        (np.full((3, 3), np.nan), np.zeros((1, 3))),
        (4 * np.eye(3), np.array([[0.0, np.inf, 0]])),
        (4 * np.eye(3), np.zeros((0, 3))),
    ],
)
def test_what_cannot_be_drawn_is_a_picture_that_says_so(cell: np.ndarray, coords: np.ndarray) -> None:
    """Flat and endless cells, and none at all."""
    text = crystal_picture(cell, np.full(len(coords), 8), coords)
    assert "no picture" in text
    assert not balls(text)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.tuples(*[st.floats(0.5, 60)] * 3),
    angles=st.tuples(*[st.floats(50, 110)] * 3),
    atoms=st.lists(st.tuples(st.integers(0, 130), *[st.floats(-3, 3)] * 3), min_size=1, max_size=12),
)
def test_any_crystal_is_a_picture_within_its_frame(
    lengths: tuple[float, float, float],
    angles: tuple[float, float, float],
    atoms: list[tuple[int, float, float, float]],
) -> None:
    """Well-formed, every ball inside, whatever a model makes up."""
    try:
        cell = cell_from_parameters(lengths, angles)
    except ValueError:
        return
    numbers = np.array([number for number, *_ in atoms])
    text = crystal_picture(cell, numbers, np.array([coords for _, *coords in atoms]), width=200, height=160)
    for ball in balls(text):
        x, y, r = (float(ball.get(name, "nan")) for name in ("cx", "cy", "r"))
        assert -0.5 <= x - r <= x + r <= 200.5
        assert -0.5 <= y - r <= y + r <= 160.5


def test_cells_without_symmetry_are_drawn_as_they_are() -> None:
    """Two atoms at one place have no conventional cell."""
    twins = replace(silicon(), frac_coords=np.zeros((2, 3)))
    assert conventional_cell_of(twins) is twins


def test_a_page_has_a_card_for_each_crystal() -> None:
    """With picture, facts, transition and a link to its file, and a line for what is none."""
    failed = FailedSample("0-7", errors.ModelFailedError("down"), prompt_id="0", sample_index=7)
    page = contact_sheet(
        [made(sample=2), made(), unread(), failed],
        title="Salts",
        asked={"target": "NaCl"},
        files={"0-0": "a b#.cif"},
    )
    tags = Tags(page).tags
    assert (tags.count("article"), tags.count("svg"), tags.count("pre")) == (2, 2, 1)
    assert page.index('id="0-0"') < page.index('id="0-2"')
    assert 'href="a%20b%23.cif"' in page
    assert "gap eV</th><td>5.10 ± 0.39" in page
    assert "Fm<span" in page
    assert "(225)" in page
    assert "MODEL_FAILED: down" in page
    assert "2 crystals" in page


def test_text_of_others_stays_text() -> None:
    """Of models and callers, on the page and in notebooks."""
    page = contact_sheet([nasty()], title=NASTY, asked={NASTY: NASTY}, files={NASTY: NASTY})
    made_of = Candidates("0", (nasty(),), (), ())
    shown = [page, nasty()._repr_html_(), made_of._repr_html_(), unread()._repr_html_()]
    transition = nasty().transition
    assert transition is not None
    for text in [*shown, transition._repr_html_()]:
        assert not {"script", "4.0"} & set(Tags(text).tags)
        assert "<script" not in text
        assert "<4.0>" not in text


def test_a_page_needs_nothing_from_elsewhere() -> None:
    """No address, no script, and a policy that forbids both."""
    page = contact_sheet([made(), nasty()], title="Salts")
    page = page.replace("http://www.w3.org/2000/svg", "")
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    assert "src=" not in page.replace("default-src", "")


def test_a_large_page_shows_the_good_ones() -> None:
    """Beyond the most cards duplicates and invalid ones have none."""
    many = [made("p", sample) for sample in range(3)] + [nasty()] * 400
    page = contact_sheet(many, title="Salts")
    assert page.count("<article") == 3
    assert "3 of them shown" in page


def test_pictures_of_crystals_need_no_matplotlib() -> None:
    """It takes most of a second to import."""
    code = "import sys, crystalmesh_client.plots.contact_sheet; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
