"""What every encoder must do, whatever its towers are and whatever runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from crystalmesh_retrieval.encoders.encoder import Encoder, Tower, Vectors
from crystalmesh_retrieval.encoders.loading import EncoderOptions, load_encoder
from crystalmesh_retrieval.encoders.options import Engine, Precision
from tests.retrieval.encoders.tiny_encoders import LONG, MAX_TOKENS, TEXTS, bert, save_pair, save_tower, t5

BATCHED_EQUALS_SINGLE = 1e-3


@dataclass(frozen=True)
class Registered:
    """An encoder on disk, how it is run, and how near the library's float32 its points lie."""

    save: Callable[[Path], object]
    options: EncoderOptions
    tolerance: float
    dimensions: int = 32


def _options(
    precision: Precision = Precision.FLOAT32, engine: Engine = Engine.TORCH, threads: int = 1
) -> EncoderOptions:
    return EncoderOptions(device="cpu", precision=precision, threads=threads, engine=engine)


def _one(folder: Path, *, dense: bool = False) -> None:
    save_tower(t5(seed=3), folder, dense=dense)


def _bert(folder: Path) -> None:
    for seed, tower in enumerate(Tower):
        save_tower(bert(seed=seed), folder / tower)


REGISTERED: Mapping[str, Registered] = {
    "float32": Registered(save_pair, _options(), 1e-5),
    "float32-two-threads": Registered(save_pair, _options(threads=2), 1e-5),
    "bfloat16": Registered(save_pair, _options(Precision.BFLOAT16), 3e-2),
    "int8-by-itself": Registered(partial(save_pair, measured=True), _options(Precision.AUTO), 3e-2),
    "int8": Registered(partial(save_pair, measured=True), _options(Precision.INT8), 3e-2),
    "gated": Registered(partial(save_pair, projection="gated-gelu"), _options(), 1e-5),
    "one-for-both-dense": Registered(partial(_one, dense=True), _options(), 1e-5, dimensions=24),
    "bert": Registered(_bert, _options(engine=Engine.AUTO), 1e-5),
    "library": Registered(save_pair, _options(engine=Engine.LIBRARY), 1e-5),
}


@pytest.fixture(params=list(REGISTERED), scope="module")
def registered(request: pytest.FixtureRequest) -> Registered:
    found = REGISTERED[request.param]
    if found.options.precision is Precision.INT8 and not torch.cpu._is_vnni_supported():
        pytest.skip("this CPU has no product of 8-bit integers (VNNI)")
    return found


@pytest.fixture(scope="module")
def folder(registered: Registered, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoders") / "tiny"
    registered.save(path)
    return path


@pytest.fixture(scope="module")
def encoder(registered: Registered, folder: Path) -> Encoder:
    return load_encoder(str(folder), registered.options)


@pytest.fixture(params=list(Tower), scope="module")
def tower(request: pytest.FixtureRequest) -> Tower:
    return Tower(request.param)


@pytest.fixture(scope="module")
def vectors(encoder: Encoder, tower: Tower) -> Vectors:
    """Of all texts in one call."""
    return encoder.encode(tower, TEXTS).vectors


def test_it_says_what_it_is(registered: Registered, encoder: Encoder) -> None:
    """Name, version, dimensions and limit are those of the files, also where only the towers tell them."""
    info = encoder.info
    assert info.name == "tiny"
    assert len(info.version) == 12
    assert info.dimensions == registered.dimensions
    assert info.max_tokens == MAX_TOKENS


def test_points_are_finite_and_of_length_one(registered: Registered, vectors: Vectors) -> None:
    """Each text has a float32 vector of the announced size, of length 1."""
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), registered.dimensions)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_it_agrees_with_the_library(
    registered: Registered, folder: Path, tower: Tower, vectors: Vectors
) -> None:
    """Points are those of `sentence-transformers` with the same weights in float32, to a stated tolerance."""
    library = load_encoder(str(folder), _options(engine=Engine.LIBRARY))
    np.testing.assert_allclose(vectors, library.encode(tower, TEXTS).vectors, atol=registered.tolerance)


def test_texts_tell_apart(vectors: Vectors) -> None:
    """Different texts have different points, as far apart as no rounding brings them."""
    similarities = vectors @ vectors.T - 2 * np.eye(len(vectors))
    assert similarities.max() < 0.9999


def test_a_text_has_one_point_in_any_company(encoder: Encoder, tower: Tower, vectors: Vectors) -> None:
    """Alone, in any order and among copies, a text has its point to 1e-3."""
    for position, text in enumerate(TEXTS):
        alone = encoder.encode(tower, [text]).vectors
        np.testing.assert_allclose(alone[0], vectors[position], atol=BATCHED_EQUALS_SINGLE)
    backwards = encoder.encode(tower, TEXTS[::-1]).vectors
    np.testing.assert_allclose(backwards[::-1], vectors, atol=BATCHED_EQUALS_SINGLE)
    many = encoder.encode(tower, TEXTS * 40).vectors
    np.testing.assert_allclose(many, np.tile(vectors, (40, 1)), atol=BATCHED_EQUALS_SINGLE)


def test_long_texts_are_cut_and_say_so(encoder: Encoder, tower: Tower) -> None:
    """What is beyond the limit changes nothing, and the flags say which texts were cut."""
    embeddings = encoder.encode(tower, ["NaCl", LONG, LONG + "and more"])
    assert embeddings.truncated.tolist() == [False, True, True]
    np.testing.assert_allclose(embeddings.vectors[1], embeddings.vectors[2], atol=BATCHED_EQUALS_SINGLE)


def test_no_texts(registered: Registered, encoder: Encoder, tower: Tower) -> None:
    """No texts have no points, of the right shape."""
    embeddings = encoder.encode(tower, [])
    assert embeddings.vectors.shape == (0, registered.dimensions)
    assert embeddings.truncated.shape == (0,)


def test_a_text_of_nothing_is_finite(encoder: Encoder, tower: Tower) -> None:
    """A text without a token of its own has a point without NaN, and leaves others alone."""
    embeddings = encoder.encode(tower, [" ", "NaCl"])
    assert np.isfinite(embeddings.vectors).all()
    assert not embeddings.truncated.any()
    alone = encoder.encode(tower, ["NaCl"]).vectors
    np.testing.assert_allclose(embeddings.vectors[1], alone[0], atol=BATCHED_EQUALS_SINGLE)
