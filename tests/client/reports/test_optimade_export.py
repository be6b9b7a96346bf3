"""What is exported obeys the standard, and is the same crystal when it comes back."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from math import gcd, isclose
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate
from crystalmesh_client.optimade_export import crystal_of, optimade_entry, optimade_lines, optimade_response
from crystalmesh_client.optimade_properties import PREFIX
from crystalmesh_common.crystal.elements import SYMBOLS, symbol_of
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_retrieval.catalog.material import MaterialInput, Property
from crystalmesh_retrieval.sources.optimade import OptimadeProvider
from crystalmesh_retrieval.sources.source import Page
from tests.client.reports import fluorides
from tests.retrieval.sources.replies import Database, Reply, Waits

WRITTEN = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ENDED = datetime(2026, 11, 20, 9, 14, 21, tzinfo=UTC)

# Of the standard, version 1.2: https://github.com/Materials-Consortia/OPTIMADE, "Structures Entries".
IDENTIFIER = re.compile(r"[a-z_][a-z_0-9]*")
FORMULA = re.compile(r"([A-Z][a-z]?([2-9]|[1-9]\d+)?)+")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "timestamp": str,
    "integer": int,
    "float": (int, float),
    "boolean": bool,
    "list": list,
    "dictionary": dict,
}


def exported(*more: CampaignCandidate) -> list[dict[str, Any]]:
    lines = optimade_lines([*fluorides.candidates(), *more], written=WRITTEN, last_modified=ENDED)
    return [json.loads(line) for line in lines]


def structures() -> list[dict[str, Any]]:
    return [entry for entry in exported() if entry.get("type") == "structures"]


def entry_of(crystal: Crystal) -> dict[str, Any]:
    message = CampaignCandidate(id="one")
    message.generated.crystal.CopyFrom(crystal_to_proto(crystal))
    attributes: dict[str, Any] = optimade_entry(message, crystal)["attributes"]
    return attributes


def parts(formula: str) -> list[tuple[str, int]]:
    return [(symbol, int(count or 1)) for symbol, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula)]


def check_structure(attributes: dict[str, Any]) -> None:
    """Every MUST of the standard about structures that are ordered and periodic."""
    elements, sites = attributes["elements"], attributes["species_at_sites"]
    counts = Counter(sites)
    assert elements == sorted(set(sites))
    assert attributes["nelements"] == len(elements) == len(attributes["elements_ratios"])
    assert isclose(sum(attributes["elements_ratios"]), 1, abs_tol=1e-9)
    reduced = attributes["chemical_formula_reduced"]
    assert FORMULA.fullmatch(reduced)
    assert [symbol for symbol, _ in parts(reduced)] == elements
    assert gcd(*(count for _, count in parts(reduced))) == 1
    hill = attributes["chemical_formula_hill"]
    assert FORMULA.fullmatch(hill)
    assert dict(parts(hill)) == counts
    first = [each for each in ("C", "H") if each in elements] if "C" in elements else []
    assert [symbol for symbol, _ in parts(hill)] == [
        *first,
        *(each for each in elements if each not in first),
    ]
    anonymous = parts(attributes["chemical_formula_anonymous"])
    assert [count for _, count in anonymous] == sorted((count for _, count in parts(reduced)), reverse=True)
    assert [letter for letter, _ in anonymous] == list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(elements)])
    assert attributes["dimension_types"] == [1, 1, 1]
    assert attributes["nperiodic_dimensions"] == 3
    assert np.shape(attributes["lattice_vectors"]) == (3, 3)
    assert attributes["nsites"] == len(sites)
    assert np.shape(attributes["cartesian_site_positions"]) == (len(sites), 3)
    names = [species["name"] for species in attributes["species"]]
    assert len(names) == len(set(names))
    assert set(names) == set(sites)
    for species in attributes["species"]:
        assert len(species["chemical_symbols"]) == len(species["concentration"]) == 1
        assert species["chemical_symbols"][0] in SYMBOLS
    assert attributes["structure_features"] == []


def test_lines_are_a_header_then_info_then_structures() -> None:
    """As the standard's format for exchanging databases orders them, each an object."""
    header, meta, base, info, *entries = exported()
    assert header["x-optimade"]["api_version"] == "1.2.0"
    assert meta["meta"]["data_returned"] == len(entries) == 14
    assert meta["meta"]["provider"]["prefix"] == "crystalmesh"
    assert (base["type"], base["id"]) == ("info", "/")
    assert (info["type"], info["id"]) == ("info", "structures")
    assert {entry["type"] for entry in entries} == {"structures"}
    assert len({entry["id"] for entry in entries}) == len(entries)


def test_structures_obey_the_standard() -> None:
    """Every one, with a time that it changed at and names that may be used."""
    for entry in structures():
        attributes = entry["attributes"]
        check_structure(attributes)
        assert TIMESTAMP.fullmatch(attributes["last_modified"])
        assert all(IDENTIFIER.fullmatch(name) for name in attributes)
        assert "id" not in attributes
        assert "type" not in attributes


def test_every_property_is_defined() -> None:
    """The info entry has a definition for each, with its unit; the values are of the types that it says."""
    _, _, _, info, *entries = exported()
    definitions = info["properties"]
    assert set(info["output_fields_by_format"]["json"]) == set(definitions)
    for name, definition in definitions.items():
        assert {"$id", "title", "description", "x-optimade-type", "x-optimade-unit", "type"} <= set(
            definition
        )
        assert definition["x-optimade-definition"]["name"] == name
        defined = {unit["symbol"] for unit in definition.get("x-optimade-unit-definitions", ())}
        used = {factor.partition("^")[0] for factor in definition["x-optimade-unit"].split("*")}
        assert used <= defined | {"dimensionless", "inapplicable"}
    for entry in entries:
        assert set(entry["attributes"]) == set(definitions) - {"id", "type"}
        for name, value in entry["attributes"].items():
            expected = TYPES[definitions[name]["x-optimade-type"]]
            assert value is None or isinstance(value, expected), name


def test_our_values_have_our_prefix() -> None:
    """The energy above the hull and the gap of the best one, with their sources."""
    best = structures()[0]["attributes"]
    assert best[f"{PREFIX}energy_above_hull"] == 0.0
    assert best[f"{PREFIX}energy_above_hull_source"] == "chgnet-0.3.0 against mp20-chgnet-0.3.0"
    assert best[f"{PREFIX}band_gap"] == 7.41
    assert best[f"{PREFIX}band_gap_uncertainty"] == 0.24
    assert best[f"{PREFIX}band_gap_source"] == "prediction crystalmesh-property 0.4"
    assert best[f"{PREFIX}shear_modulus"] is None
    assert best[f"{PREFIX}state"] == "hit"
    assert best["chemical_formula_descriptive"] == "KMgF3"
    assert best["space_group_it_number"] == 221


def test_what_is_no_crystal_is_left_out() -> None:
    """Text that could not be read, arrays that do not fit together, and atoms in one place."""
    flat = CampaignCandidate(id="flat")
    flat.generated.crystal.atomic_numbers.extend([11, 17])
    twins = CampaignCandidate(id="twins")
    crystal = Crystal(4 * np.eye(3), np.array([11, 17]), np.zeros((2, 3)))
    twins.generated.crystal.CopyFrom(crystal_to_proto(crystal))
    assert len(exported(CampaignCandidate(id="none"), flat, twins)) == len(exported())


def test_numbers_that_json_has_not_are_null() -> None:
    """A model may say infinity; the file is JSON all the same."""
    odd = fluorides.candidates()[0]
    odd.properties[0].value = float("inf")
    odd.target_fit.score = float("nan")
    (line,) = list(optimade_lines([odd], written=WRITTEN))[4:]
    attributes = json.loads(line)["attributes"]
    assert attributes[f"{PREFIX}band_gap"] is attributes[f"{PREFIX}score"] is None
    assert attributes["last_modified"] is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 103), min_size=1, max_size=12))
def test_any_composition_has_its_formulas(numbers: list[int]) -> None:
    """Whatever the elements, and however often each."""
    sites = np.column_stack([np.arange(len(numbers)) / len(numbers), *np.zeros((2, len(numbers)))])
    crystal = Crystal(np.diag([3.0 * len(numbers), 4.0, 4.0]), np.array(numbers), sites)
    attributes = entry_of(crystal)
    check_structure(attributes)
    assert attributes["species_at_sites"] == [symbol_of(number) for number in numbers]


def test_carbon_and_hydrogen_come_first_in_hill_order() -> None:
    """With carbon; without it hydrogen has its place in the alphabet."""
    sites = np.array([[0.0, 0, 0], [0.25, 0, 0], [0.5, 0, 0], [0.75, 0, 0]])
    cell = np.diag([12.0, 4, 4])
    assert entry_of(Crystal(cell, np.array([5, 1, 6, 1]), sites))["chemical_formula_hill"] == "CH2B"
    assert entry_of(Crystal(cell, np.array([5, 1, 8, 1]), sites))["chemical_formula_hill"] == "BH2O"


def test_the_importer_reads_the_same_crystals() -> None:
    """What the retrieval service takes from the answer is what was exported, with the values asked for."""
    candidates = fluorides.candidates()
    answer = optimade_response(candidates, written=WRITTEN, last_modified=ENDED)
    with Database(lambda _: Reply.of(answer)) as database:
        fields = {Property.BAND_GAP: f"{PREFIX}band_gap"}
        provider = OptimadeProvider(f"{database.url}/optimade", web=Waits().web(), fields=fields)
        (page,) = list(provider.pages(""))
    assert isinstance(page, Page)
    for candidate, row in zip(candidates, page.rows, strict=True):
        assert isinstance(row, MaterialInput), row
        known = crystal_of(candidate)
        assert known is not None
        assert row.id == f"crystalmesh-{candidate.id}"
        np.testing.assert_array_equal(row.crystal.numbers, known.numbers)
        np.testing.assert_array_equal(row.crystal.cell, known.cell)
        np.testing.assert_allclose(row.crystal.frac_coords, known.frac_coords, atol=1e-12)
        assert [value.value for value in row.properties.values()] == [
            each.value for each in candidate.properties[:1]
        ]


@pytest.mark.parametrize("moment", [ENDED, datetime.fromisoformat("2026-11-20T10:14:21.7+01:00")])
def test_times_are_in_utc(moment: datetime) -> None:
    """Whatever the clock of the caller."""
    candidate = fluorides.candidates()[0]
    entry = optimade_response([candidate], written=WRITTEN, last_modified=moment)["data"][0]
    assert entry["attributes"]["last_modified"] == "2026-11-20T09:14:21Z"
