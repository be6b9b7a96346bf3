"""The folder of an index: what is in it, and how it is changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from crystalmesh_common.runtime.durable import make_folder
from crystalmesh_common.runtime.errors import DataCorruptError
from crystalmesh_retrieval.catalog.lock import WriterLock
from crystalmesh_retrieval.catalog.manifest import MANIFEST, read_manifest
from crystalmesh_retrieval.catalog_index.blocks import VectorBlock
from crystalmesh_retrieval.catalog_index.files import check_file, index_folder, short_lock
from crystalmesh_retrieval.catalog_index.manifest import (
    AnnEntry,
    BlockEntry,
    IndexManifest,
    damaged,
    encoder_entry,
    new_manifest,
    read_index_manifest,
    write_index_manifest,
)
from crystalmesh_retrieval.encoders.encoder import EncoderInfo
from crystalmesh_retrieval.vectors.index import open_ann
from crystalmesh_retrieval.vectors.library import Ann

_ENCODING_LOCK, _BUILDING_LOCK, _COMMIT_LOCK = "encoding.lock", "building.lock", "commit.lock"
_KEPT = frozenset([MANIFEST, _ENCODING_LOCK, _BUILDING_LOCK, _COMMIT_LOCK, "building"])
_ATTEMPTS = 10

T = TypeVar("T", BlockEntry, AnnEntry)


@dataclass(frozen=True, eq=False)
class OpenedIndex:
    """The vectors at one moment, checked and mapped."""

    manifest: IndexManifest
    blocks: Sequence[VectorBlock]
    ann: Ann | None  # over the first block


class IndexFolder:
    """The vectors of a catalog by one encoder, on the disk.

    Three locks: one encoder at a time, one builder of an index beside it, and a short one to commit.
    """

    def __init__(self, catalog: Path, encoder: EncoderInfo) -> None:
        self.catalog = catalog
        self.encoder = encoder
        self.path = index_folder(catalog, encoder.name, encoder.version)

    @property
    def building(self) -> Path:
        """Where a builder, who holds the lock, has the files of which nobody knows yet."""
        return self.path / "building"

    def open(self, before: OpenedIndex | None = None) -> OpenedIndex:
        """The vectors that there are; files that `before` has open are not read and checked again.

        Raises DataCorruptError where a file is damaged or missing.
        """
        for _ in range(_ATTEMPTS):
            manifest = self._manifest()
            try:
                return self._opened(manifest, before)
            except FileNotFoundError as error:
                # Somebody has merged blocks or built an index since we read the manifest.
                if self._manifest() != manifest:
                    continue
                raise damaged(Path(error.filename), "it is gone") from None
        raise DataCorruptError(f"{self.path} changes faster than it can be read", file=self.path)

    def forget_damage(self) -> None:
        """Take what is damaged out of the manifest, for whoever holds the lock to encode to make it again."""
        self.commit(lambda _: self._without_damage())

    def encoding_lock(self) -> WriterLock:
        """Be the one who adds vectors; raises WriterBusyError where somebody else is."""
        return self._lock(_ENCODING_LOCK)

    def building_lock(self) -> WriterLock:
        """Be the one who builds; raises WriterBusyError where somebody else is."""
        return self._lock(_BUILDING_LOCK)

    def commit(self, change: Callable[[IndexManifest], IndexManifest]) -> None:
        """Change the manifest in one step, durably; files that it no longer names are deleted.

        `change` gets the manifest as it is by then, and may write files. Readers have theirs open.
        """
        with short_lock(self.path / _COMMIT_LOCK):
            try:
                manifest = self._manifest()
            except DataCorruptError:
                manifest = new_manifest(self.encoder)
            changed = change(manifest)
            write_index_manifest(self.path, changed)
            for path in self.path.iterdir():
                if path.name not in _KEPT and path.name not in changed.files:
                    path.unlink()

    def clear_building(self) -> None:
        """Delete what builders have left behind, for one who holds the lock."""
        shutil.rmtree(self.building, ignore_errors=True)

    def _lock(self, name: str) -> WriterLock:
        catalog = read_manifest(self.catalog).name
        make_folder(self.path)
        return WriterLock(self.path / name, f"{catalog}'s index {self.path.name}")

    def _manifest(self) -> IndexManifest:
        manifest = read_index_manifest(self.path) or new_manifest(self.encoder)
        if manifest.encoder != encoder_entry(self.encoder):
            raise damaged(self.path / MANIFEST, "it is of another encoder")
        return manifest

    def _opened(self, manifest: IndexManifest, before: OpenedIndex | None) -> OpenedIndex:
        known = {block.entry: block for block in before.blocks} if before else {}
        blocks = [known.get(entry) or self._block(entry) for entry in manifest.blocks]
        if before and before.manifest.ann == manifest.ann:
            return OpenedIndex(manifest, blocks, before.ann)
        return OpenedIndex(manifest, blocks, self._ann(manifest.ann) if manifest.ann else None)

    def _block(self, entry: BlockEntry) -> VectorBlock:
        return VectorBlock(self.path, entry, self.encoder.dimensions)

    def _ann(self, entry: AnnEntry) -> Ann:
        path = self.path / entry.file
        with path.open("rb") as file:
            check_file(file, path, entry.bytes, entry.sha256)
            try:
                return open_ann(path)
            except RuntimeError as error:  # faiss has no other
                raise damaged(path, f"faiss cannot read it ({str(error)[:200]})") from None

    def _without_damage(self) -> IndexManifest:
        try:
            manifest = self._manifest()
        except DataCorruptError:
            return new_manifest(self.encoder)
        blocks = tuple(entry for entry in manifest.blocks if _is_whole(self._block, entry))
        ann = manifest.ann
        if ann and (blocks[:1] != manifest.blocks[:1] or not _is_whole(self._ann, ann)):
            ann = None
        return manifest.changed(blocks=blocks, ann=ann)


def _is_whole(opening: Callable[[T], object], entry: T) -> bool:
    try:
        opening(entry)
    except (DataCorruptError, FileNotFoundError):
        return False
    return True
