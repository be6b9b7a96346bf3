"""What a catalog's indexes say of themselves, read without loading one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_retrieval.catalog.manifest import MANIFEST
from crystalmesh_retrieval.catalog_index.files import INDEXES, check_file
from crystalmesh_retrieval.catalog_index.manifest import (
    AnnEntry,
    BlockEntry,
    IndexManifest,
    damaged,
    read_index_manifest,
)


def index_facts(catalog: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The facts of each index of a catalog, by encoder and version; every file is checked.

    One that is damaged says so under "damaged", and what to do about it.
    """
    for path in sorted(catalog.glob(f"{INDEXES}/*/{MANIFEST}")):
        try:
            manifest = read_index_manifest(path.parent)
            if manifest is not None:
                _check(path.parent, manifest)
                yield path.parent.name, _facts(manifest)
        except DataCorruptError as error:
            yield path.parent.name, {"damaged": str(error)}


def _facts(manifest: IndexManifest) -> dict[str, Any]:
    ann = manifest.ann
    return {
        "kind": str(ann.kind) if ann else "flat",
        "recall_at_10": ann.recall_at_10 if ann else 1.0,
        "vectors": sum(block.rows for block in manifest.blocks),
        "dimensions": manifest.encoder.dimensions,
        "size_bytes": manifest.size_bytes,
        "update_time": manifest.update_time.isoformat(timespec="seconds"),
    }


def _check(folder: Path, manifest: IndexManifest) -> None:
    files: list[BlockEntry | AnnEntry] = [*manifest.blocks, *([manifest.ann] if manifest.ann else [])]
    for entry in files:
        path = folder / entry.file
        try:
            with path.open("rb") as file:
                check_file(file, path, entry.bytes, entry.sha256)
        except FileNotFoundError:
            raise damaged(path, "it is gone") from None
