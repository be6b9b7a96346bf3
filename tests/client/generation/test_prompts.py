from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crystalmesh_client import (
    Material,
    MaterialInput,
    MaterialSource,
    Prompt,
    PropertyValue,
    Target,
    ValueSource,
)
from crystalmesh_client.candidates import candidate_from
from crystalmesh_client.prompts import GenerationOptions, reference_to_proto, to_prompts, to_target
from crystalmesh_client.searches import SearchHit
from crystalmesh_common.crystal.ase_codec import to_atoms
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_common.runtime import errors
from tests.client.generation.hosting import candidate
from tests.conftest import sodium_chloride

SALT = sodium_chloride()


def material(crystal: Crystal | None = SALT) -> Material:
    """Rock salt as a catalog has it."""
    return Material(
        id="mp-22862",
        formula="NaCl",
        chemical_system="Cl-Na",
        space_group_number=225,
        atom_count=2,
        properties={
            "band_gap_ev": PropertyValue(5.0, ValueSource("dft", "Materials Project")),
            "density_g_per_cubic_centimeter": PropertyValue(2.1, ValueSource("geometry")),
        },
        source=MaterialSource(),
        catalog="known",
        crystal=crystal,
        property_description="",
        structure_description="rock salt",
    )


@pytest.mark.parametrize(
    "given",
    [
        SALT,
        to_structure(SALT),
        to_atoms(SALT),
        crystal_to_cif(SALT),
        MaterialInput(SALT),
        candidate_from(candidate("0", 0, 0).candidate, "0", 0),
    ],
    ids=["Crystal", "Structure", "Atoms", "CIF text", "MaterialInput", "Candidate"],
)
def test_a_reference_has_many_forms(given: Any) -> None:
    """All are the same crystal."""
    message = reference_to_proto(given).crystal.crystal
    assert list(message.atomic_numbers) == [11, 17]
    assert sum(x * x for x in message.cell_angstrom[:3]) == pytest.approx(5.69**2 / 2, rel=1e-4)


def test_a_file_is_a_reference(tmp_path: Path) -> None:
    """By its path; its name is the crystal's."""
    (tmp_path / "salt.cif").write_text(crystal_to_cif(SALT))
    assert reference_to_proto(tmp_path / "salt.cif").crystal.id == "salt"


@pytest.mark.parametrize("given", [material(), SearchHit(material(), 0.9)], ids=["material", "hit"])
def test_a_hit_brings_what_is_known_of_it(given: Any) -> None:
    """Its id, its values with their sources, without those that the structure tells anyway, and its words."""
    message = reference_to_proto(given)
    assert message.crystal.id == "mp-22862"
    assert message.structure_description == "rock salt"
    (gap,) = message.properties
    assert (gap.property, gap.value, gap.source.name) == (2, 5.0, "Materials Project")


def test_a_target_is_a_target_or_its_parts() -> None:
    """By name, as `Target` has them."""
    assert to_target({"formula": "NaCl", "band_gap_ev": (2, None)}) == Target(
        formula="NaCl", band_gap_ev=(2, None)
    )


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: to_target("NaCl"), errors.InvalidFieldError, "Target or a dict"),  # type: ignore[arg-type]
        (lambda: to_target({"formla": "NaCl"}), errors.InvalidFieldError, "no formla"),
        (lambda: reference_to_proto("salt.cif"), errors.InvalidCrystalError, "give a Path"),
        (lambda: reference_to_proto(material(None)), errors.InvalidCrystalError, 'view="full"'),
        (lambda: to_prompts(Prompt()), errors.InvalidFieldError, "a single one"),  # type: ignore[arg-type]
        (lambda: to_prompts([Prompt(id="a"), Prompt(id="a")]), errors.DuplicateIdError, "two prompts"),
        (lambda: GenerationOptions(samples=0), errors.InvalidFieldError, "samples are 1 to 10,000"),
        (lambda: GenerationOptions(seed=-1), errors.InvalidFieldError, "a seed is 0"),
        (lambda: GenerationOptions(max_atoms=0), errors.InvalidFieldError, "at most 0 atoms"),
        (lambda: GenerationOptions(generator="magic"), errors.InvalidFieldError, "not 'magic'"),  # type: ignore[arg-type]
        (lambda: GenerationOptions(smaples=3), TypeError, "smaples"),  # type: ignore[call-arg]
        (lambda: Prompt(transition_text="x" * 20_001).to_proto(), errors.InvalidFieldError, "20,001"),
        (lambda: Prompt(transition_text="\udc80").to_proto(), errors.InvalidFieldError, "UTF-8"),
    ],
)
def test_what_cannot_be_meant_is_told_before_any_call(make: Any, error: type[Exception], told: str) -> None:
    """In words that name the way out."""
    with pytest.raises(error, match=told):
        make()


def test_settings_become_the_request() -> None:
    """Every one of them, and what is left out stays unset."""
    request = GenerationOptions(
        samples=5,
        generator="ionic_substitution",
        model="scribe",
        temperature=0.0,
        top_p=0.9,
        seed=2**64 - 1,
        missing_reference="omit",
        skip_transition=True,
        max_atoms=12,
        min_distance_angstrom=0.7,
        unconstrained=True,
        symmetrize=True,
        symmetry_tolerance_angstrom=0.2,
    ).to_proto()
    assert (request.samples_per_prompt, request.generator, request.missing_reference) == (5, 2, 2)
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.seed) == (
        0,
        0.9,
        2**64 - 1,
    )
    constraints = request.constraints
    assert (constraints.max_atoms, constraints.min_distance_angstrom) == (12, 0.7)
    assert (constraints.unconstrained, constraints.symmetrize, request.skip_transition) == (True,) * 3
    assert constraints.symmetry_tolerance_angstrom == 0.2
    plain = GenerationOptions().to_proto()
    assert not plain.sampling.HasField("temperature")
    assert not plain.constraints.HasField("max_atoms")
