from __future__ import annotations

from typing import Any

import pytest

from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1.generation_pb2 import GenerateRequest, GenerationConstraints, GenerationPrompt
from crystalmesh.generation.v1.transition_pb2 import (
    ProposeTransitionRequest,
    ReferenceMaterial,
    SamplingOptions,
)
from tests.conftest import ServiceProcess, block, iron, sodium_chloride
from tests.generation.server.asking import (
    OMIT,
    SUBSTITUTED,
    WRITTEN,
    failure,
    generate,
    prompt,
    reason_of,
    reference,
    stub_of,
)

GAP = property_pb2.PROPERTY_BAND_GAP_EV
ATOMS = property_pb2.PROPERTY_ATOMS_IN_CELL


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompts": []}, "EMPTY_BATCH"),
        ({"prompts": [prompt(str(number)) for number in range(65)]}, "TOO_MANY_CRYSTALS"),
        ({"prompts": [prompt("a"), prompt("a")]}, "DUPLICATE_ID"),
        ({"prompts": [prompt("1"), prompt()]}, "DUPLICATE_ID"),
        ({"samples_per_prompt": 10_001}, "INVALID_FIELD"),
        ({"generator": 9}, "UNKNOWN_ENUM_VALUE"),
        ({"missing_reference": 9}, "UNKNOWN_ENUM_VALUE"),
        ({"model": "nobody"}, "MODEL_NOT_FOUND"),
        ({"model": "damaged", "generator": WRITTEN}, "MODEL_NOT_FOUND"),
        ({"sampling": SamplingOptions(temperature=2.5)}, "INVALID_FIELD"),
        ({"sampling": SamplingOptions(temperature=float("nan"))}, "INVALID_FIELD"),
        ({"sampling": SamplingOptions(top_p=0.0)}, "INVALID_FIELD"),
        ({"sampling": SamplingOptions(top_p=1.1)}, "INVALID_FIELD"),
        ({"constraints": GenerationConstraints(max_atoms=0)}, "INVALID_FIELD"),
        ({"constraints": GenerationConstraints(max_atoms=9)}, "INVALID_FIELD"),
        ({"constraints": GenerationConstraints(min_distance_angstrom=-1)}, "INVALID_FIELD"),
        ({"constraints": GenerationConstraints(min_distance_angstrom=float("nan"))}, "INVALID_FIELD"),
        ({"constraints": GenerationConstraints(symmetry_tolerance_angstrom=2)}, "INVALID_FIELD"),
    ],
)
def test_a_bad_request_fails_whole(server: ServiceProcess, fields: dict[str, Any], reason: str) -> None:
    """With the reason that the proto names, before anything is written."""
    request = GenerateRequest(**{"prompts": [prompt()], **fields})
    with stub_of(server) as stub:
        assert failure(stub.Generate(request, timeout=60)).reason == reason


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (prompt(formula="NaCl", forbidden_elements=[17]), "CONTRADICTORY_TARGET"),
        (prompt(required_elements=[11], forbidden_elements=[11]), "CONTRADICTORY_TARGET"),
        (prompt(formula="Na9Cl9O9"), "OK"),
        (prompt(formula="Na9Cl9O8"), "CONTRADICTORY_TARGET"),
        (prompt(properties=[{"property": ATOMS, "min": 9}]), "CONTRADICTORY_TARGET"),
        (prompt(formula="Xx2O"), "INVALID_FIELD"),
        (prompt(formula="hello world"), "INVALID_FIELD"),
        (prompt(chemical_system="Na-Xx"), "INVALID_FIELD"),
        (prompt(required_elements=[119]), "INVALID_FIELD"),
        (prompt(space_group_number=231), "INVALID_FIELD"),
        (prompt(space_group_number=0), "INVALID_FIELD"),
        (prompt(crystal_system=9), "UNKNOWN_ENUM_VALUE"),
        (prompt(properties=[{"property": 99, "min": 1}]), "UNKNOWN_ENUM_VALUE"),
        (prompt(properties=[{"property": GAP}]), "INVALID_FIELD"),
        (prompt(properties=[{"property": GAP, "min": 3, "max": 2}]), "INVALID_FIELD"),
        (prompt(properties=[{"property": GAP, "min": float("inf")}]), "INVALID_FIELD"),
        (prompt(properties=[{"property": GAP, "min": 1}, {"property": GAP, "max": 2}]), "INVALID_FIELD"),
        (prompt(free_text="x" * 4001), "INVALID_FIELD"),
        (prompt(transition_text="x" * 20_001), "INVALID_FIELD"),
        (GenerationPrompt(reference=ReferenceMaterial()), "INVALID_FIELD"),
        (GenerationPrompt(reference=ReferenceMaterial(crystal=CrystalInput())), "INVALID_FIELD"),
        (
            GenerationPrompt(reference=ReferenceMaterial(crystal=CrystalInput(cif_text="no"))),
            "UNREADABLE_CRYSTAL",
        ),
        (prompt(reference=reference(block(repeat=4))), "TOO_MANY_ATOMS"),
        (prompt(reference=reference(properties=[{"property": GAP, "value": float("nan")}])), "INVALID_FIELD"),
    ],
)
def test_a_bad_prompt_is_one_outcome_and_spares_the_others(
    server: ServiceProcess, bad: GenerationPrompt, reason: str
) -> None:
    """It stands for all samples of the prompt; the samples of the other prompt are made."""
    outcomes = generate(
        server, bad, prompt("good"), samples_per_prompt=2, generator=WRITTEN, missing_reference=OMIT
    )
    errors = [outcome for outcome in outcomes if outcome.index == 0]
    if reason == "OK":
        assert [outcome.sample_index for outcome in errors] == [0, 1]
    else:
        (error,) = errors
        assert not error.HasField("sample_index")
        assert reason_of(error.error) == reason
    good = [outcome for outcome in outcomes if outcome.index == 1]
    assert [(outcome.prompt_id, outcome.sample_index) for outcome in good] == [("good", 0), ("good", 1)]
    assert all(outcome.HasField("candidate") for outcome in good)


def test_substitution_without_a_reference_is_an_outcome(server: ServiceProcess) -> None:
    """Where none is to be drawn there is nothing to substitute into."""
    (outcome,) = generate(server, prompt(), generator=SUBSTITUTED, missing_reference=OMIT)
    assert reason_of(outcome.error) == "INVALID_FIELD"
    assert not outcome.HasField("sample_index")


def test_a_substitution_that_no_reference_admits_is_an_outcome(server: ServiceProcess) -> None:
    """The ratio of a formula is not to be had from iron; each sample says so."""
    asked = prompt(formula="NaCl", reference=reference(iron()))
    outcomes = generate(server, asked, generator=SUBSTITUTED, samples_per_prompt=2)
    assert [outcome.sample_index for outcome in outcomes] == [0, 1]
    assert {reason_of(outcome.error) for outcome in outcomes} == {"NO_SUBSTITUTION"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"target": Target()}, "INVALID_FIELD"),
        ({"reference": None}, "INVALID_FIELD"),
        ({"model": "nobody"}, "MODEL_NOT_FOUND"),
        ({"target": Target(formula="NaCl", forbidden_elements=[11])}, "CONTRADICTORY_TARGET"),
        ({"target": Target(formula="Zz")}, "INVALID_FIELD"),
        ({"reference": reference(block(repeat=4))}, "TOO_MANY_ATOMS"),
        ({"sampling": SamplingOptions(temperature=-1)}, "INVALID_FIELD"),
    ],
)
def test_a_bad_request_for_a_transition_fails(
    server: ServiceProcess, fields: dict[str, Any], reason: str
) -> None:
    """As a whole, with the reason that the proto names."""
    good = {"target": Target(formula="KCl"), "reference": reference(sodium_chloride())}
    request = ProposeTransitionRequest(**{**good, **fields})
    with stub_of(server) as stub:
        assert failure(stub.ProposeTransition(request, timeout=60)).reason == reason
