from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1 import transition_pb2
from crystalmesh.generation.v1.generation_service_pb2 import ListModelsRequest
from crystalmesh.generation.v1.transition_pb2 import ProposeTransitionRequest, SamplingOptions
from tests.conftest import ServiceProcess
from tests.generation.server.asking import SUBSTITUTED, WRITTEN, failure, generate, prompt, reference, stub_of
from tests.generation.server.conftest import QUIET, serving

INSTALLED = find_spec("vllm") is not None
NEEDS_VLLM = pytest.mark.skipif(not INSTALLED, reason="vLLM is not installed: make setup VLLM=1")


@pytest.fixture(scope="module")
def vllm_server(
    tmp_path_factory: pytest.TempPathFactory, models: Path, materials: Path
) -> Iterator[ServiceProcess]:
    """The generation service with the models of the other tests' server, on vLLM."""
    with serving(
        tmp_path_factory.mktemp("vllm"),
        *QUIET,
        *("--models", str(models), "--materials", str(materials), "--engine", "vllm", "--capacity", "8"),
    ) as process:
        yield process


@pytest.fixture(scope="module")
def shipped_server(tmp_path_factory: pytest.TempPathFactory, materials: Path) -> Iterator[ServiceProcess]:
    """The generation service with the model that ships, on vLLM."""
    with serving(
        tmp_path_factory.mktemp("shipped"),
        *("--threads", "1", "--materials", str(materials), "--engine", "vllm", "--capacity", "16"),
    ) as process:
        yield process


@NEEDS_VLLM
def test_the_shipped_model_writes_valid_crystals(shipped_server: ServiceProcess) -> None:
    """Its files are taken as they ship: possible crystals of a formula, and the values of its head."""
    with stub_of(shipped_server) as stub:
        (listed,) = stub.ListModels(ListModelsRequest(), timeout=60).models
    assert (listed.model.name, listed.engine, listed.model.ready) == ("compact-llama", "vllm", True)
    asked = prompt("p", formula="KBr", reference=reference())
    outcomes = generate(shipped_server, asked, samples_per_prompt=16, generator=WRITTEN)
    candidates = [outcome.candidate for outcome in outcomes if outcome.HasField("candidate")]
    assert len(candidates) >= 12
    assert {each.validity.formula for each in candidates} == {"KBr"}
    assert sum(each.validity.structure_valid for each in candidates) >= 12
    assert all("K" in each.transition.text and each.log_probability < 0 for each in candidates)
    assert all(len(each.predicted_properties) == 5 for each in candidates)


@NEEDS_VLLM
def test_models_say_that_vllm_runs_them(vllm_server: ServiceProcess) -> None:
    """Whole models are ready, two in one process, and broken ones are listed with their reasons."""
    with stub_of(vllm_server) as stub:
        listed = list(stub.ListModels(ListModelsRequest(), timeout=60).models)
    assert [each.model.name for each in listed] == ["able", "better", "damaged", "empty"]
    assert [each.model.ready for each in listed] == [True, True, False, False]
    assert [each.engine for each in listed[:2]] == ["vllm", "vllm"]
    assert "holds no model" in listed[2].model.description


@NEEDS_VLLM
@pytest.mark.parametrize("model", ["able", "better"])
def test_samples_have_the_formula(vllm_server: ServiceProcess, model: str) -> None:
    """More samples than places: each is a crystal of the formula, with transition, likelihood and values."""
    asked = prompt("p", formula="KBr", reference=reference())
    outcomes = generate(vllm_server, asked, samples_per_prompt=12, generator=WRITTEN, model=model)
    assert [outcome.sample_index for outcome in outcomes] == list(range(12))
    for outcome in outcomes:
        candidate = outcome.candidate
        assert candidate.validity.formula == "KBr"
        assert candidate.origin.language_model.model == model
        assert candidate.transition.text
        assert candidate.log_probability < 0
        assert len(candidate.predicted_properties) == 2
    assert len({outcome.candidate.alx_text for outcome in outcomes}) > 1


@NEEDS_VLLM
def test_texts_are_those_of_the_other_engine(vllm_server: ServiceProcess, server: ServiceProcess) -> None:
    """The same request with the same seed has the same crystals, whichever engine writes them."""
    asked = [prompt("a", formula="LiBr", reference=reference()), prompt("b", required_elements=[11])]
    sampling = SamplingOptions(seed=3)
    texts = [
        [
            outcome.candidate.alx_text
            for outcome in generate(each, *asked, samples_per_prompt=3, generator=WRITTEN, sampling=sampling)
        ]
        for each in (vllm_server, server)
    ]
    assert texts[0] == texts[1]


@NEEDS_VLLM
def test_a_transition_comes_piece_by_piece(vllm_server: ServiceProcess) -> None:
    """The pieces together are the text that the whole at the end has; one that is cancelled harms nobody."""
    request = ProposeTransitionRequest(target=Target(formula="KCl"), reference=reference())
    with stub_of(vllm_server) as stub:
        cancelled = stub.ProposeTransition(request, timeout=60)
        next(cancelled)
        cancelled.cancel()
        *pieces, last = stub.ProposeTransition(request, timeout=60)
    assert len(pieces) > 1
    assert "".join(piece.text_delta for piece in pieces) == last.transition.text
    assert last.transition.origin == transition_pb2.TRANSITION_ORIGIN_MODEL
    assert last.transition.log_probability < 0


@pytest.mark.skipif(INSTALLED, reason="vLLM is installed here")
def test_without_vllm_models_are_not_ready(vllm_server: ServiceProcess) -> None:
    """The server is healthy, its models say what to install, and substitution does what it can."""
    asked = prompt(formula="KBr", reference=reference())
    with stub_of(vllm_server) as stub:
        listed = list(stub.ListModels(ListModelsRequest(), timeout=60).models)
        request = ProposeTransitionRequest(target=Target(formula="KCl"), reference=reference(), model="able")
        refused = failure(stub.ProposeTransition(request, timeout=60))
    assert not any(each.model.ready for each in listed)
    assert "make setup VLLM=1" in listed[0].model.description
    assert "make setup VLLM=1" in refused.message
    (outcome,) = generate(vllm_server, asked, generator=SUBSTITUTED)
    assert outcome.candidate.validity.formula == "KBr"
