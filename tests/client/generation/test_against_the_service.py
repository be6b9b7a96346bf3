"""Both clients and the command line, and the real service with small untrained models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crystalmesh_client import AsyncMesh, Candidate, Credentials, FailedSample, Mesh, Prompt, Target
from crystalmesh_common.crystal.text import crystal_from_cif, crystal_to_cif
from crystalmesh_common.runtime import errors
from tests.client.conftest import command_line
from tests.conftest import TOKEN, ServiceProcess, silicon, sodium_chloride
from tests.generation.server.tiny_models import tiny_models
from tests.property.crystals import rock_salt

KNOWN = Credentials(token=TOKEN)


@pytest.fixture(scope="module")
def making(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The generation service with the models `able` and `better`, and few materials. It asks for TOKEN."""
    folder = tmp_path_factory.mktemp("making")
    (folder / "known").mkdir()
    for crystal in (sodium_chloride(), silicon(), *map(rock_salt, range(6))):
        (folder / "known" / f"{crystal.id}.cif").write_text(crystal_to_cif(crystal))
    (folder / "models").mkdir()
    server = ServiceProcess(
        folder,
        *("--no-shipped-models", "--threads", "1", "--materials", str(folder / "known")),
        *("--models", str(tiny_models(folder / "models")), "--default-generator", "ionic_substitution"),
        service="generation",
        CRYSTALMESH_TOKEN=TOKEN,
    )
    try:
        server.wait_serving()
        yield server
    finally:
        server.kill()


async def test_a_target_and_a_reference_become_crystals(making: ServiceProcess) -> None:
    """Of the formula that was asked for, in the structure of the reference; both clients get the same."""
    target, salt = Target(formula="KBr", space_group=225), sodium_chloride()
    with Mesh(making.address, credentials=KNOWN) as mesh:
        (made,) = mesh.generation.generate(target, reference=salt, generator="ionic_substitution")
    async with AsyncMesh(making.address, credentials=KNOWN) as async_mesh:
        (again,) = await async_mesh.generation.generate(
            {"formula": "KBr", "space_group": 225}, reference=salt, generator="ionic_substitution"
        )
    assert (made.formula, made.space_group_number, made.is_valid) == ("KBr", 225, True)
    assert made.origin.reference_id == "NaCl"
    assert str(made.origin) in {"Na → K, Cl → Br", "Cl → Br, Na → K"}
    assert made.crystal.volume > salt.volume
    assert len(crystal_from_cif(made.cif)) == 8
    assert len(made.to_pymatgen()) == len(made.to_ase()) == 2
    assert again.to_dict() == made.to_dict()


async def test_many_prompts_have_an_outcome_for_each_sample(making: ServiceProcess) -> None:
    """One that cannot be served fails alone."""
    prompts = [
        Prompt(Target(elements="O"), id="oxides"),
        Prompt(Target(formula="NaCl", without_elements="Cl"), id="bad"),
        Prompt(reference=silicon(), id="like silicon"),
    ]
    async with AsyncMesh(making.address, credentials=KNOWN) as mesh:
        outcomes = [each async for each in mesh.generation.generate_many(prompts, samples=3, seed=5)]
    (failed,) = (each for each in outcomes if isinstance(each, FailedSample))
    assert (failed.prompt_id, type(failed.error)) == ("bad", errors.ContradictoryTargetError)
    made = [each for each in outcomes if isinstance(each, Candidate)]
    assert sorted(each.id for each in made) == sorted(
        f"{prompt}-{sample}" for prompt in ("oxides", "like silicon") for sample in range(3)
    )
    assert all("O" in each.formula for each in made if each.prompt_id == "oxides")


async def test_a_model_writes_transitions_and_crystals(making: ServiceProcess) -> None:
    """Piece by piece what it writes at once; crystals say how they were written."""
    target, salt = Target(formula="KBr"), sodium_chloride()
    with Mesh(making.address, credentials=KNOWN) as mesh:
        whole = mesh.generation.transition(target, salt, seed=3)
        pieces = list(mesh.generation.transition_stream(target, salt, seed=3))
        made = mesh.generation.generate(
            target, reference=salt, samples=3, generator="language_model", model="able", max_atoms=4
        )
    assert len(pieces) > 1
    assert "".join(pieces) == whole.text
    assert (whole.origin, whole.reference_id) == ("model", "NaCl")
    assert [each.formula for each in made] == ["KBr"] * 3
    for each in made:
        assert each.origin.language_model is not None
        assert each.origin.language_model.model == "able"
        assert each.log_probability is not None
        assert each.transition is not None
        assert "formation_energy_ev_per_atom" in each.predicted


async def test_a_model_that_writes_freely_fails_to_write_crystals(making: ServiceProcess) -> None:
    """An untrained one writes no crystal; each text is an outcome."""
    async with AsyncMesh(making.address, credentials=KNOWN) as mesh:
        made = await mesh.generation.generate(samples=3, generator="language_model", unconstrained=True)
        models = {model.name: model for model in await mesh.generation.models()}
    assert len(made.parse_failures) + len(made) == 3
    assert made.parse_failures[0].origin.generator == "language_model"
    assert (models["able"].ready, models["able"].max_atoms, models["damaged"].ready) == (True, 8, False)


def test_the_command_line_makes_crystals(
    making: ServiceProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same seed makes the same ones."""
    crystalmesh = command_line(monkeypatch, capsys, making)
    asked = ("generate", "--json", "--elements", "O", "-n", "3", "--seed", "1")
    first, second = crystalmesh(*asked), crystalmesh(*asked)
    assert first.code == 0, first.err
    assert sorted(line["id"] for line in first.lines) == ["new-0", "new-1", "new-2"]
    assert sorted(first.out.splitlines()) == sorted(second.out.splitlines())
