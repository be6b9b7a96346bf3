"""The page about a campaign: whole, honest, and safe whatever texts it was given."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from crystalmesh.agent.v1 import campaign_candidate_pb2, campaign_pb2, run_pb2
from crystalmesh.crystal.v1 import crystal_pb2, property_pb2
from crystalmesh_client.properties import property_name
from crystalmesh_client.reports import campaign_report, write_report
from crystalmesh_client.reports.findings import findings_of
from crystalmesh_client.reports.pareto import pareto_axes
from crystalmesh_common.crystal.text import crystal_from_cif
from tests.client.reports import fluorides

NASTY = "<script>alert('1')</script>\"&$--><style>*{}"
VOID = {"meta", "input", "br"}


class Page(HTMLParser):
    """All tags of a page with their attributes, whether each is closed, and its words."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open, self._open

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [value or "" for attribute, value in self.attributes if attribute == name]


@pytest.fixture(scope="module")
def text() -> str:
    return campaign_report(fluorides.campaign(), fluorides.candidates(), fluorides.diagrams())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def strings_of(message: Message) -> Iterator[tuple[Message, Any]]:
    """Every string field of a message and of all that it holds."""
    for field in message.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            yield message, field
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE and field.name != "scalars":
            for each in value if field.is_repeated else [value]:
                yield from strings_of(each)


def spoil(message: Message) -> None:
    """Have every text of a message want to be markup."""
    for holder, field in list(strings_of(message)):
        if field.is_repeated:
            getattr(holder, field.name).append(NASTY)
        else:
            setattr(holder, field.name, NASTY)


def test_the_page_needs_nothing_but_itself(text: str, page: Page) -> None:
    """No script, no address, no file beside it; the policy forbids them all."""
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert "img" not in page.tags
    assert all(link.startswith("#") for link in page.values("href") + page.values("xlink:href"))
    assert not page.values("src")
    assert "default-src 'none'" in text
    assert not re.search(r"url\((?!#)|@import|javascript:", text)
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_links_lead_somewhere(page: Page) -> None:
    """Within the page, and to one place each; the colours of pictures may be told twice."""
    ids = [each for each in page.values("id") if not each.startswith("cm-")]
    assert len(ids) == len(set(ids))
    targets = {link[1:] for link in page.values("href") + page.values("xlink:href")}
    assert targets <= set(page.values("id"))


def test_the_whole_target_is_told(page: Page) -> None:
    """Ranges with units, elements, words, and how the search was to go."""
    for told in (
        "Band gap at least 6.5 eV".replace(" at", "at"),
        "at most 0.05 eV/atom",
        "Must not containBe, Hg, Tl, Pb",
        "polished & coated",
        "crystalmesh-lm",
        "Seed7",
        "Finished: enough hits were found",
        "14 min 20 s",
    ):
        assert told in page.text


def test_the_funnel_counts_and_gives_reasons(page: Page) -> None:
    """Each stage with its numbers; reasons as far as they are known, and how far that is."""
    assert "4833151.0 s" in page.text  # 48 entered, 33 passed, 15 dropped
    assert "1 impossible structure" in page.text
    assert "1 off target" in page.text
    assert "Reasons are those of the 4 dropped candidates" in page.text
    bare = campaign_report(fluorides.campaign(), fluorides.candidates()[:10])
    assert "Why 38 candidates were dropped was not given" in bare


def test_each_candidate_has_its_values_and_its_origin(page: Page) -> None:
    """Distance, intervals with units, products, start, transition, novelty."""
    for told in (
        "+31 meV/atom",
        f"{chr(0x2212)}6 meV/atom",
        "7.41 ± 0.47 eV",
        "Would decompose into 0.40 RbF + 0.60 MgF2",
        "Started from KZnF3 mp-3465, catalog mp20, similarity 0.91",
        "Replace Zn by Mg.",
        "known: mp-1249",
        "band gap 6.42 eV, asked for at least 6.5 eV",
        "band gap, bulk modulus: prediction crystalmesh-property 0.4",
    ):
        assert told in page.text


def test_provenance_is_whole(page: Page) -> None:
    """Sampling, seeds, probabilities, convergence, reference and versions of every stage."""
    for told in (
        "temperature 0.8, top_p 0.95, well-formed crystals only",
        "Seed9007199255",
        "Log probability",
        "K → Rb",
        "icsd-2012",
        "Largest force0.041 eV/Å",
        "mp20-chgnet-0.3.0, MP2020, 40,476 entries",
        "Versionv3-61d0",
        "Relaxchgnet-0.3.0 0.3.0",
    ):
        assert told in page.text


def test_the_cif_text_is_the_relaxed_crystal(text: str) -> None:
    """Copied out of the page it reads back as the same numbers."""
    block = re.search(r"CIF of the relaxed crystal.*?<pre>(.*?)</pre>", text, re.DOTALL)
    assert block is not None
    crystal = crystal_from_cif(html.unescape(block.group(1)))
    np.testing.assert_allclose(crystal.cell, fluorides.MADE[0].crystal.cell, atol=1e-9)
    np.testing.assert_array_equal(crystal.numbers, fluorides.MADE[0].crystal.numbers)


def test_pictures_show_wishes_and_hulls(page: Page) -> None:
    """A picture of the two wishes, and a hull for each system that was given, the others named."""
    labels = page.values("aria-label")
    assert "Energy above hull (meV/atom) over Band gap (eV)" in labels
    assert "convex hull of F-K-Mg" in labels
    assert "convex hull of F-Mg" in labels
    assert "Hulls not drawn: Ca-Cs-F, F-Mg-Na, F-Mg-Rb." in page.text


def test_hostile_text_stays_text() -> None:
    """Whatever names, models, transitions and failures say, the page has the same tags as without."""
    campaign, candidates = fluorides.campaign(), fluorides.candidates()
    plain = Page(campaign_report(campaign, candidates))
    spoil(campaign)
    for candidate in candidates:
        spoil(candidate)
    diagrams = {"F-Mg": fluorides.diagrams()["F-Mg"]}
    text = campaign_report(campaign, candidates, diagrams)
    spoiled = Page(text)
    assert "<script" not in text
    assert "<style>*" not in text
    assert set(spoiled.tags) - {"li"} <= set(plain.tags) | {"ul", "path", "use", "br"}
    assert "alert('1')" in spoiled.text
    assert not [name for name, _ in spoiled.attributes if name.startswith("on")]


def test_broken_crystals_are_told_not_drawn() -> None:
    """Arrays that do not fit together, no crystal at all, elements that are none."""
    candidates = fluorides.candidates()
    candidates[0].relaxation.crystal.cell_angstrom.pop()
    candidates[1].ClearField("relaxation")
    candidates[1].generated.ClearField("crystal")
    candidates[2].relaxation.crystal.atomic_numbers[0] = 0
    candidates[3].hull_distance.energy_above_hull_ev_per_atom = float("nan")
    candidates[3].properties[0].value = float("inf")
    page = Page(campaign_report(fluorides.campaign(), candidates[:5]))
    assert page.text.count("no crystal to draw") == 2


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (run_pb2.RUN_STATE_QUEUED, "Waits to begin"),
        (run_pb2.RUN_STATE_RUNNING, "Still at work"),
        (run_pb2.RUN_STATE_PAUSED, "Paused: it waits for relaxation (no model is ready)"),
        (run_pb2.RUN_STATE_FAILED, "Failed: the catalog is gone"),
        (run_pb2.RUN_STATE_CANCELLED, "Cancelled"),
        (run_pb2.RUN_STATE_UNSPECIFIED, "Its state is not known"),
    ],
)
def test_a_campaign_that_has_nothing_yet_has_a_page(state: run_pb2.RunState.ValueType, told: str) -> None:
    """It says where the campaign is, and that none is ranked."""
    campaign = campaign_pb2.Campaign(id="new", state=state)
    campaign.pause.service, campaign.pause.error.message = "relaxation", "no model is ready"
    campaign.failure.message = "the catalog is gone"
    page = Page(campaign_report(campaign, []))
    assert told in page.text
    assert "None is ranked yet." in page.text


def test_every_other_part_of_a_target_is_told() -> None:
    """Formula, chemical system, symmetry of either kind, allowed elements, ranges of both ends."""
    campaign = campaign_pb2.Campaign()
    target = campaign.spec.target
    target.formula, target.chemical_system, target.space_group_number = "LiFePO4", "Fe-Li-O-P", 62
    target.allowed_elements.extend([3, 8])
    target.properties.add(property=property_pb2.PROPERTY_BULK_MODULUS_GPA, min=100, max=250.5)
    campaign.spec.skip_retrieval = campaign.spec.skip_transition = True
    text = Page(campaign_report(campaign, [])).text
    for told in ("LiFePO4", "Fe-Li-O-P", "Pnma (62)", "May containLi, O", "100 to 250.5 GPa"):
        assert told in text
    assert "known materials and transitions" in text
    target.crystal_system = crystal_pb2.CRYSTAL_SYSTEM_CUBIC
    assert "any cubic space group" in Page(campaign_report(campaign, [])).text


def test_wishes_that_compete_are_chosen_by_the_target() -> None:
    """A property that was asked for against stability; without one, what most candidates know."""
    campaign, findings = fluorides.campaign(), findings_of(fluorides.candidates())
    target = campaign.spec.target
    assert [(across.name, up.name) for across, up in pareto_axes(target, findings)] == [
        ("band_gap_ev", "energy_above_hull_ev_per_atom")
    ]
    target.properties.add(property=property_pb2.PROPERTY_BULK_MODULUS_GPA, min=50)
    assert len(pareto_axes(target, findings)) == 3
    del target.properties[:]
    ((across, _),) = pareto_axes(target, findings)
    assert across.name in {property_name(each) for each in property_pb2.Property.values()}
    assert pareto_axes(target, findings[:1]) == []


def many() -> list[campaign_candidate_pb2.CampaignCandidate]:
    """A hundred that are ranked."""
    made = [fluorides.ranked(rank, fluorides.MADE[rank % 10]) for rank in range(1, 101)]
    for rank, each in enumerate(made, 1):
        each.rank = rank
    return made


def test_a_hundred_candidates_fit_in_a_mail() -> None:
    """The best have a card with a picture, the others a line that opens; all have their provenance."""
    text = campaign_report(fluorides.campaign(), many())
    assert len(text.encode()) < 5_000_000
    assert text.count('class="card"') == 24
    assert text.count('class="more"') == 76
    assert text.count("Provenance and CIF") == 100
    Page(text)


def test_the_same_campaign_gives_the_same_file(tmp_path: Path, text: str) -> None:
    """Written by `write_report` in any order of candidates, byte for byte."""
    shuffled = [*fluorides.candidates()[9::-1], *fluorides.candidates()[10:]]
    write_report(fluorides.campaign(), shuffled, tmp_path / "report.html", fluorides.diagrams())
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
