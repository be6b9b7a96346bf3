"""`crystalmesh embed TEXT…` and `crystalmesh embed --like FILE`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli.outputs import one_line_for_files
from crystalmesh_client.cli.reports import AddressOption, JsonOption, Report, TimeoutOption, usage_error
from crystalmesh_client.cli.search import LikeOption, TextsArgument, read_queries

if TYPE_CHECKING:
    from crystalmesh_client.embeddings import Embedding, TowerName


class TowerOption(StrEnum):
    """The half of an encoder."""

    PROPERTIES = "properties"
    STRUCTURE = "structure"


def embed(
    texts: TextsArgument = None,
    like: LikeOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="FILE.npy for the vectors: a row for each, texts before crystals."),
    ] = None,
    encoder: Annotated[str, typer.Option(help="Encoder to use. Default: the server's.")] = "",
    tower: Annotated[
        TowerOption | None, typer.Option(help="The half to use. Default: structure for crystals only.")
    ] = None,
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """The vectors by which searches compare, of each TEXT and of the crystals of --like.

    `--json` has them, and so has the file of --out, which is written when all have one. Exit code 3: some
    have none, and say why.
    """
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick

    if out is not None and out.suffix != ".npy":
        usage_error(f"{out.name} must end in .npy")
    queries, unreadable = read_queries(texts or (), like or ())
    half: TowerName = "" if tower is None else tower.value
    report: Report[Embedding] = Report(EmbeddingColumns(), as_json, "embedding")
    with Mesh(address) as mesh:
        outcomes = mesh.retrieval.embed_many(queries, encoder=encoder, tower=half, timeout=timeout)
        report.run(unreadable, len(queries), outcomes)
    if out is not None:
        _write(out, report.results, [query.id for query in queries])


def _write(path: Path, embeddings: list[Embedding], ids: list[str]) -> None:
    import numpy as np  # noqa: PLC0415

    vectors = {embedding.id: embedding.vector for embedding in embeddings}
    with one_line_for_files(path):
        np.save(path, np.stack([vectors[name] for name in ids]))


class EmbeddingColumns:
    """What is shown of a vector."""

    names = ("input", "encoder", "tower", "dimensions", "cut")

    def cells(self, result: Embedding) -> Iterator[str]:
        yield result.id
        yield result.encoder
        yield result.tower
        yield str(len(result.vector))
        yield "yes" if result.truncated else ""

    def fields(self, result: Embedding) -> dict[str, Any]:
        return {
            "id": result.id,
            "encoder": result.encoder,
            "tower": result.tower,
            "truncated": result.truncated,
            "vector": result.vector.tolist(),
        }
