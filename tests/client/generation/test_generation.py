"""Both clients and a service that does as told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from crystalmesh_client import (
    AsyncMesh,
    Candidate,
    Candidates,
    Credentials,
    FailedSample,
    Mesh,
    ParseFailure,
    Prompt,
    Target,
    batches,
)
from crystalmesh_client.candidates import GenerationOutcome
from crystalmesh_common.runtime import errors
from tests.client.generation.hosting import MODEL, TEXT, Workshop, failing, hosted, malformed, substituted
from tests.conftest import eventually, sodium_chloride

NOBODY = Credentials(token=None)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_FIRST_PAUSE_SECONDS", 0.01)


async def asked(address: str, kind: str, method: str, *arguments: Any, **settings: Any) -> Any:
    """What a method answers, with the client of one kind."""
    if kind == "async":
        async with AsyncMesh(address, credentials=NOBODY) as mesh:
            return await getattr(mesh.generation, method)(*arguments, **settings)

    def ask() -> Any:
        with Mesh(address, credentials=NOBODY) as mesh:
            return getattr(mesh.generation, method)(*arguments, **settings)

    return await asyncio.to_thread(ask)


async def streamed(
    address: str, kind: str, method: str, *arguments: Any, limit: int | None = None, **settings: Any
) -> list[Any]:
    """All that a method yields, or the first few, with the client of one kind."""
    found: list[Any] = []
    if kind == "async":
        async with (
            AsyncMesh(address, credentials=NOBODY) as mesh,
            aclosing(getattr(mesh.generation, method)(*arguments, **settings)) as outcomes,
        ):
            async for outcome in outcomes:
                found.append(outcome)
                if len(found) == limit:
                    break
        return found

    def ask() -> None:
        with Mesh(address, credentials=NOBODY) as mesh:
            for outcome in getattr(mesh.generation, method)(*arguments, **settings):
                found.append(outcome)
                if len(found) == limit:
                    break

    await asyncio.to_thread(ask)
    return found


def places(outcomes: list[GenerationOutcome]) -> list[tuple[str, int | None]]:
    return sorted((outcome.prompt_id, outcome.sample_index) for outcome in outcomes)


async def test_all_samples_of_a_prompt(kind: str) -> None:
    """Candidates come in the order of their samples, with how each came to be."""
    async with hosted(Workshop(edits={1: substituted})) as address:
        made: Candidates = await asked(address, kind, "generate", {"formula": "NaCl"}, samples=3)
    assert [each.id for each in made] == ["0-0", "0-1", "0-2"]
    assert made.unique == [made[0], made[2]]
    first, second, _ = made
    assert (first.formula, first.space_group_number, first.is_valid) == ("NaCl", 225, True)
    assert first.transition is not None
    assert (first.transition.text, first.transition.origin, first.log_probability) == (TEXT, "model", -3.5)
    assert (first.origin.generator, str(first.origin), first.origin.seed) == ("language_model", MODEL, 1000)
    assert first.predicted["band_gap_ev"].rounded == "5.10 ± 0.39"
    assert (second.origin.generator, str(second.origin)) == ("ionic_substitution", "K → Na")
    assert (second.transition, second.log_probability, second.duplicate_of) == (None, None, "0-0")
    assert second.validity.objections == [
        "charges do not balance with common oxidation states",
        "misses what was asked for: space group number",
    ]


async def test_what_is_no_crystal_is_an_outcome_of_its_own(kind: str) -> None:
    """Text that cannot be read and samples with an error stand beside the candidates."""
    edits = {0: malformed, 2: failing(errors.ModelFailedError("the engine is down"))}
    async with hosted(Workshop(edits=edits)) as address:
        outcomes = await streamed(address, kind, "generate_stream", samples=3)
        made: Candidates = await asked(address, kind, "generate", samples=3)
    assert [type(each) for each in outcomes] == [FailedSample, Candidate, ParseFailure]
    failure, unread = outcomes[0], outcomes[2]
    assert (failure.id, failure.sample_index, failure.error.reason) == ("0-2", 2, "MODEL_FAILED")
    assert (unread.id, unread.kind, unread.alx) == ("0-0", "malformed", "4.0 <4.0> Na")
    assert (len(made), len(made.parse_failures), len(made.failures)) == (1, 1, 1)


async def test_a_prompt_that_cannot_be_served_fails_alone(kind: str) -> None:
    """It has one outcome for all of its samples among many, and is raised where it is the only one."""
    refused = errors.ContradictoryTargetError("a formula with a forbidden element")
    async with hosted(Workshop(refused={"bad": refused, "0": refused})) as address:
        prompts = [Prompt(id="good"), Prompt(Target(formula="NaCl"), id="bad"), {"formula": "KCl"}]
        outcomes = await streamed(address, kind, "generate_many", prompts, samples=2)
        with pytest.raises(errors.ContradictoryTargetError):
            await asked(address, kind, "generate", Target(formula="NaCl"))
        with pytest.raises(errors.ModelNotFoundError):
            await streamed(address, kind, "generate_stream", model="nobody")
    (failed,) = (each for each in outcomes if isinstance(each, FailedSample))
    assert (failed.id, failed.prompt_id, failed.sample_index) == ("bad", "bad", None)
    made = [each for each in outcomes if not isinstance(each, FailedSample)]
    assert places(made) == [("2", 0), ("2", 1), ("good", 0), ("good", 1)]


@pytest.mark.parametrize("after", [0, 1, 3, 5])
async def test_a_lost_server_loses_no_sample(kind: str, after: int) -> None:
    """What has no outcome is made again, and each sample has one outcome."""
    workshop = Workshop(failures=[errors.ShuttingDownError("bye")] * 2, after=after)
    async with hosted(workshop) as address:
        outcomes = await streamed(address, kind, "generate_many", [Prompt(), Prompt()], samples=3)
    assert places(outcomes) == [(prompt, sample) for prompt in "01" for sample in range(3)]
    if after >= 3:  # the first prompt was whole
        assert [prompt.id for prompt in workshop.asked[-1].prompts] == ["1"]


async def test_long_lists_travel_in_several_calls(kind: str) -> None:
    """Each prompt keeps its place in the whole list as its id."""
    workshop = Workshop()
    async with hosted(workshop) as address:
        outcomes = await streamed(address, kind, "generate_many", [{}] * 300)
    assert [len(request.prompts) for request in workshop.asked] == [256, 44]
    assert {outcome.prompt_id for outcome in outcomes} == {str(place) for place in range(300)}


async def test_leaving_early_cancels_the_call(kind: str) -> None:
    """The server's slot is free once the caller has gone, for crystals and for transitions."""
    workshop = Workshop(after=1, waits=True)
    async with hosted(workshop) as address:
        outcomes = await streamed(address, kind, "generate_stream", samples=100, limit=1)
        await eventually(lambda: workshop.ended == 1, "the end of the call")
        target = Target(formula="NaCl")
        pieces = await streamed(address, kind, "transition_stream", target, sodium_chloride(), limit=1)
        await eventually(lambda: workshop.ended == 2, "the end of the second call")
    assert (len(outcomes), pieces) == (1, ["Replace "])


async def test_a_timeout_is_an_error(kind: str) -> None:
    """It bounds the call."""
    async with hosted(Workshop(waits=True)) as address:
        with pytest.raises(errors.DeadlineExceededError):
            await asked(address, kind, "generate", timeout=0.2)


async def test_a_transition_comes_whole_or_in_pieces(kind: str) -> None:
    """Both are the same text; one without an end is an error."""
    workshop = Workshop()
    question = (Target(formula="NaCl"), sodium_chloride("KCl"))
    async with hosted(workshop) as address:
        whole = await asked(address, kind, "transition", *question, temperature=0.0, seed=7)
        pieces = await streamed(address, kind, "transition_stream", *question)
        workshop.cut = True
        with pytest.raises(errors.InternalError, match="without the whole"):
            await asked(address, kind, "transition", *question)
        with pytest.raises(errors.InternalError, match="without the whole"):
            await streamed(address, kind, "transition_stream", *question)
    assert (whole.text, whole.model, whole.reference_id) == (TEXT, MODEL, "KCl")
    assert "".join(pieces).strip() == TEXT
    sampling = workshop.asked_ways[0].sampling
    assert (sampling.HasField("temperature"), sampling.temperature, sampling.seed) == (True, 0.0, 7)
    assert not sampling.HasField("top_p")


async def test_models_are_listed(kind: str) -> None:
    """With what they can write and predict."""
    async with hosted(Workshop()) as address:
        (model,) = await asked(address, kind, "models")
    assert (model.name, model.engine, model.max_atoms, model.ready) == (MODEL, "vllm", 20, True)
    assert model.predicted_properties == ("formation_energy_ev_per_atom", "band_gap_ev")


def odd_sample(response: Any) -> None:
    response.sample_index = 9


def odd_prompt(response: Any) -> None:
    response.prompt_id = "another"


@pytest.mark.parametrize("edit", [odd_sample, odd_prompt])
async def test_answers_that_nobody_asked_for_are_refused(kind: str, edit: Callable[[Any], None]) -> None:
    """A sample beyond those asked for, and a prompt of somebody else."""
    async with hosted(Workshop(edits={0: edit})) as address:
        with pytest.raises(errors.InternalError, match="not asked"):
            await asked(address, kind, "generate")
