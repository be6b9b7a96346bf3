from __future__ import annotations

import numpy as np
import pytest

from crystalmesh_client import AsyncMesh, Embedding, Failed, Mesh, Query, Target
from crystalmesh_client.batches import ITEMS_PER_CALL
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.runtime import errors
from tests.conftest import silicon


async def test_vectors_are_an_array_in_the_order_of_the_inputs(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """Rows have length 1 and follow the inputs, however many calls it took; a dot product compares them."""
    texts = [f"compound {number}" for number in range(ITEMS_PER_CALL + 2)]
    vectors = mesh.retrieval.embed(texts)
    assert (vectors.shape, vectors.dtype) == ((len(texts), 64), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    last = mesh.retrieval.embed(texts[-1:])
    np.testing.assert_array_equal(vectors[-1:], last)
    np.testing.assert_array_equal(await async_mesh.retrieval.embed(texts), vectors)
    assert mesh.retrieval.embed([]).shape == (0, 0)


async def test_a_single_input_is_one_vector(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """Words, a target, a query or a crystal alone give (d,), also a Structure, which has a length itself."""
    single = ["gap", Target(formula="NaCl"), Query("gap"), silicon(), to_structure(silicon())]
    assert [mesh.retrieval.embed(given).shape for given in single] == [(64,)] * len(single)
    assert (await async_mesh.retrieval.embed("gap")).shape == (64,)


def test_each_embedding_says_how_it_was_made(mesh: Mesh) -> None:
    """The tower follows the kind of input, or is the one that was asked for; a text that was cut says so."""
    inputs = [Query("gap", id="words"), silicon("crystal"), Query("word " * 300, id="long")]
    found = {each.id: each for each in mesh.retrieval.embed_many(inputs) if isinstance(each, Embedding)}
    assert {name: each.tower for name, each in found.items()} == {
        "words": "properties",
        "crystal": "structure",
        "long": "properties",
    }
    assert [found[name].truncated for name in ("words", "long")] == [False, True]
    assert found["words"].encoder == "words"
    (asked,) = mesh.retrieval.embed_many(["gap"], encoder="words", tower="structure")
    assert isinstance(asked, Embedding)
    assert asked.tower == "structure"


async def test_what_cannot_be_embedded_is_an_error(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """A bad text is its own outcome, or raised where an array is wanted; encoders and towers must exist."""
    outcomes = [outcome async for outcome in async_mesh.retrieval.embed_many(["", "gap"])]
    assert sorted(isinstance(outcome, Failed) for outcome in outcomes) == [False, True]
    with pytest.raises(errors.InvalidFieldError, match="empty"):
        mesh.retrieval.embed(["", "gap"])
    with pytest.raises(errors.ModelNotFoundError):
        mesh.retrieval.embed("gap", encoder="sugar")
    with pytest.raises(errors.InvalidFieldError, match="tower"):
        mesh.retrieval.embed("gap", tower="leaning")  # type: ignore[arg-type]
