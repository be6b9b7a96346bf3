"""`crystalmesh catalog index`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from crystalmesh_client.cli.reports import usage_error
from crystalmesh_retrieval.cli.options import FolderOption, NameArgument, catalogs_in, one_line_for_disks

if TYPE_CHECKING:
    from crystalmesh_retrieval.catalog_index.indexed import IndexInfo
    from crystalmesh_retrieval.vectors.kinds import IndexKind

DEFAULT_ENCODER = "compact-t5"


def index(
    name: NameArgument,
    *,
    encoder: Annotated[
        str, typer.Option(help="Name of a shipped encoder, or a folder with one.")
    ] = DEFAULT_ENCODER,
    kind: Annotated[
        str, typer.Option(help="flat, hnsw, ivf_sq8 or ivf_pq, and to stay so. Default: by size.")
    ] = "",
    threads: Annotated[
        int, typer.Option(min=0, help="Cores to build and encode with. 0: all that there are.")
    ] = 0,
    folder: FolderOption = None,
) -> None:
    """Make the catalog searchable by text: encode what is new, and build an index where it is large.

    What was encoded before is not encoded again, and a run that was stopped goes on. Searches go on
    meanwhile. What is damaged is made again.
    """
    from crystalmesh_retrieval.catalog_index.indexing import index_catalog  # noqa: PLC0415 -- faiss, torch
    from crystalmesh_retrieval.cli.progress import RowProgress  # noqa: PLC0415
    from crystalmesh_retrieval.encoders.loading import EncoderOptions, load_encoder  # noqa: PLC0415

    wanted, cores = _kind(kind), threads or os.cpu_count() or 1
    catalogs = catalogs_in(folder)
    catalogs.manifest(name)
    with one_line_for_disks(), RowProgress(f"indexing {name}") as bar:
        indexed = index_catalog(
            catalogs.folder(name),
            load_encoder(encoder, EncoderOptions(threads=cores)),
            kind=wanted,
            progress=lambda doing, done, total: bar.doing(f"{name}: {doing}", done, total),
            threads=cores,
            processes=cores,
        )
    typer.echo(summary(name, indexed.info))


def summary(name: str, info: IndexInfo) -> str:
    """How a catalog is searched, in a line."""
    found = f"{info.found_count:,} materials of {name} are found by {info.encoder} {info.encoder_version}"
    how = "exact" if info.recall_at_10 == 1 else f"finds {info.recall_at_10:.1%} of the ten nearest"
    left_out = f"; {info.without_text_count:,} cannot be described" if info.without_text_count else ""
    return f"{found}: {info.kind}, {how}, {info.size_bytes / 1e6:.1f} MB{left_out}"


def _kind(name: str) -> IndexKind | None:
    from crystalmesh_retrieval.vectors.kinds import IndexKind  # noqa: PLC0415

    if not name:
        return None
    try:
        return IndexKind(name)
    except ValueError:
        usage_error(f"an index is {', '.join(IndexKind)}, not {name!r}")
