from __future__ import annotations

from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1 import transition_pb2
from crystalmesh.generation.v1.generation_pb2 import GenerateRequest
from crystalmesh.generation.v1.generation_service_pb2 import ListModelsRequest
from crystalmesh.generation.v1.transition_pb2 import ProposeTransitionRequest
from tests.conftest import ServiceProcess
from tests.generation.server.asking import SUBSTITUTED, WRITTEN, failure, generate, prompt, reference, stub_of


def test_without_a_model_there_is_none_and_none_is_faked(bare_server: ServiceProcess) -> None:
    """The list is empty, and whoever asks for a language model is told that there is none."""
    written = GenerateRequest(prompts=[prompt()], generator=WRITTEN)
    proposed = ProposeTransitionRequest(target=Target(formula="KCl"), reference=reference())
    with stub_of(bare_server) as stub:
        assert not stub.ListModels(ListModelsRequest(), timeout=60).models
        assert failure(stub.Generate(written, timeout=60)).reason == "MODEL_NOT_FOUND"
        assert failure(stub.ProposeTransition(proposed, timeout=60)).reason == "MODEL_NOT_FOUND"


def test_substitution_needs_no_model(bare_server: ServiceProcess) -> None:
    """Neither where it is asked for, nor where the choice is the server's; both give the same crystal."""
    asked = prompt("p", formula="KBr", reference=reference())
    (named,) = generate(bare_server, asked, generator=SUBSTITUTED)
    (left,) = generate(bare_server, asked)
    assert left == named
    candidate = named.candidate
    assert candidate.validity.formula == "KBr"
    assert candidate.validity.space_group_number == 225
    made = candidate.origin.ionic_substitution
    pairs = {(each.from_atomic_number, each.to_atomic_number) for each in made.substitutions}
    assert pairs == {(11, 19), (17, 35)}
    assert made.table_version
    assert candidate.transition.origin == transition_pb2.TRANSITION_ORIGIN_SUBSTITUTION
    assert "Na becomes K" in candidate.transition.text
    assert not candidate.HasField("log_probability")
    assert not candidate.predicted_properties


def test_references_are_drawn_anew_for_each_sample(bare_server: ServiceProcess) -> None:
    """From the server's materials, by the seed; a target's formula admits those of its ratio only."""
    outcomes = generate(bare_server, prompt("p", formula="KBr"), samples_per_prompt=12)
    drawn = [outcome.candidate.origin.reference_id for outcome in outcomes]
    assert len(set(drawn)) > 2
    assert "Si" not in drawn
    again = generate(bare_server, prompt("p", formula="KBr"), samples_per_prompt=12)
    assert [outcome.candidate.origin.reference_id for outcome in again] == drawn
    assert len({outcome.candidate.duplicate_of for outcome in outcomes}) <= 2


def test_a_transition_is_left_out_when_asked(bare_server: ServiceProcess) -> None:
    """Nothing is told of the way where the caller skips it."""
    (outcome,) = generate(bare_server, prompt(reference=reference()), skip_transition=True)
    assert not outcome.candidate.HasField("transition")
    assert outcome.candidate.origin.reference_id == "NaCl"
