from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest
import torch

from crystalmesh_generation.engines.engine import Engine
from crystalmesh_generation.engines.transformers_engine import TransformersEngine
from crystalmesh_generation.model.files import LoadedModel, save_model
from tests.generation.engines.contract import CLAIMS, orders, written
from tests.generation.engines.tiny_model import tiny_model

Claim = Callable[[Engine, LoadedModel], None]

NEEDS_VLLM = (
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: make setup VLLM=1"),
    pytest.mark.filterwarnings("ignore::Warning"),  # vLLM's own, of its many dependencies
)


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return tiny_model()


@pytest.fixture
def transformers_engine(model: LoadedModel) -> Engine:
    return TransformersEngine(model, capacity=4)


@pytest.fixture(scope="module")
def vllm_engine(model: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    from crystalmesh_generation.engines.vllm_engine import VllmEngine

    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(model, folder, dtype=torch.float32)
    return VllmEngine(model, folder, capacity=4)


@pytest.fixture(params=["transformers", pytest.param("vllm", marks=NEEDS_VLLM)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    found = request.getfixturevalue(f"{request.param}_engine")
    yield found
    found.close()


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_engine(claim: Claim, engine: Engine, model: LoadedModel) -> None:
    """Every engine does what the contract says; the claim is the docstring of its function."""
    claim(engine, model)


@pytest.mark.parametrize("number", [pytest.param(number, marks=NEEDS_VLLM) for number in orders()])
def test_engines_write_the_same(number: int, request: pytest.FixtureRequest) -> None:
    """An order has the same words on either engine."""
    texts = []
    for name in ("transformers", "vllm"):
        (text,) = written(request.getfixturevalue(f"{name}_engine"), {1: orders()[number]}).values()
        texts.append(text)
    assert texts[0].words == texts[1].words
    assert texts[0].crystal_log_probability == pytest.approx(texts[1].crystal_log_probability, abs=1e-2)
