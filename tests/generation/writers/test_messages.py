from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from crystalmesh.generation.v1.generation_pb2 import GenerateResponse
from crystalmesh.generation.v1.transition_pb2 import Transition
from crystalmesh_common.runtime.errors import CrystalMeshError, TooManyAtomsError
from crystalmesh_common.runtime.model_folders import ModelFolder
from crystalmesh_generation.serving.models import ModelFacts
from crystalmesh_generation.writers import messages
from crystalmesh_generation.writers.messages import Batch, NewSample, Start

samples = st.builds(
    NewSample,
    key=st.integers(0, 2**40),
    request=st.sampled_from([b"", b"one", b"\x00\xff" * 9]),
    number=st.integers(0, 10_000),
    only_transition=st.booleans(),
)


@given(st.lists(st.integers(0, 2**40), max_size=8), st.lists(samples, max_size=8))
def test_a_batch_arrives_as_it_was(keys: list[int], new: list[NewSample]) -> None:
    """Keys, samples and the requests that samples share."""
    arrived = messages.batch_from_bytes(messages.batch_to_bytes(Batch(keys, new)))
    assert list(arrived.keys) == keys
    assert [vars(sample) for sample in arrived.new] == [vars(sample) for sample in new]


def test_requests_go_once() -> None:
    """A thousand samples of one prompt bring its request once."""
    new = [NewSample(key, b"x" * 10_000, key) for key in range(1000)]
    assert len(messages.batch_to_bytes(Batch(range(1000), new))) < 60_000


@given(st.text())
def test_text_arrives_as_it_was(text: str) -> None:
    """How far a transition is."""
    assert messages.outcome_from_bytes(messages.outcome_to_bytes(text)) == text


def test_outcomes_arrive_as_they_were() -> None:
    """Crystals, transitions, and errors of their class."""
    for outcome in (GenerateResponse(prompt_id="p"), Transition(text="Na becomes K")):
        assert messages.outcome_from_bytes(messages.outcome_to_bytes(outcome)) == outcome
    error = messages.outcome_from_bytes(messages.outcome_to_bytes(TooManyAtomsError("many", atoms=9)))
    assert isinstance(error, CrystalMeshError)
    assert (type(error), error.message, error.details["atoms"]) == (TooManyAtomsError, "many", "9")


def test_start_and_models_arrive_as_they_were() -> None:
    """What there is to load, and what came of it."""
    start = Start(
        service="generation",
        folders=(ModelFolder("one", Path("/models/one")),),
        engine="transformers",
        device="cpu",
        threads=1,
        capacity=64,
        texts=2,
        substitutions=3,
        screen=True,
        materials=Path("/materials"),
        atoms_per_crystal=100,
        log_level="info",
        log_format="json",
    )
    assert messages.start_from_bytes(messages.start_to_bytes(start)) == start
    facts = [
        ModelFacts("one", properties=("band_gap_ev",), provenance={"license": "MIT"}),
        ModelFacts("two", "no"),
    ]
    assert messages.models_from_bytes(messages.models_to_bytes(facts)) == facts
