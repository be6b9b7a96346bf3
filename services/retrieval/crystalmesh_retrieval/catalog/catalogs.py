"""The catalogs of a folder, by name."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from crystalmesh_client.endpoints import mesh_home
from crystalmesh_common.runtime.durable import make_folder, sync_folder
from crystalmesh_common.runtime.errors import InvalidFieldError, ResourceNotFoundError
from crystalmesh_retrieval.catalog.lock import WriterLock
from crystalmesh_retrieval.catalog.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from crystalmesh_retrieval.catalog.segment import SEGMENTS
from crystalmesh_retrieval.catalog.snapshot import Snapshot, open_snapshot
from crystalmesh_retrieval.catalog.writer import LOCK, CatalogWriter

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Catalogs:
    """Each catalog is a folder of its name; nothing is made before `create`."""

    root: Path

    @classmethod
    def of_this_user(cls) -> Self:
        return cls(mesh_home() / "catalogs")

    def names(self) -> Sequence[str]:
        """In alphabetical order."""
        return sorted(path.parent.name for path in self.root.glob(f"*/{MANIFEST}"))

    def manifest(self, name: str) -> Manifest:
        """What a catalog says of itself, without a look at its materials; raises as `read_manifest`."""
        return read_manifest(self._existing(name))

    def open(self, name: str, before: Snapshot | None = None) -> Snapshot:
        """The catalog as it is now; raises as `open_snapshot`."""
        return open_snapshot(self._existing(name), before)

    def writer(self, name: str) -> CatalogWriter:
        """Open the catalog for writing; raises as `CatalogWriter`."""
        return CatalogWriter(self._existing(name))

    def create(self, name: str, description: str = "") -> None:
        """Make an empty catalog; one that is there already stays as it is.

        Raises InvalidFieldError for a name that is no good as the name of a folder.
        """
        folder = self.folder(name)
        if (folder / MANIFEST).exists():
            return
        make_folder(folder / SEGMENTS)
        with WriterLock(folder / LOCK, name):
            if not (folder / MANIFEST).exists():
                now = datetime.now(UTC)
                write_manifest(
                    folder, Manifest(name=name, description=description, create_time=now, update_time=now)
                )

    def delete(self, name: str) -> None:
        """Delete a catalog and all its materials; readers that have it open keep what they see."""
        folder = self._existing(name)
        with WriterLock(folder / LOCK, name):
            # Without a manifest it is no catalog, so a half-deleted one is never opened.
            (folder / MANIFEST).unlink()
            sync_folder(folder)
            shutil.rmtree(folder)

    def folder(self, name: str) -> Path:
        """Where a catalog of this name is or would be."""
        if _NAME.fullmatch(name) is None:
            raise InvalidFieldError(
                f"{name[:80]!r} is no name for a catalog: lower-case letters, digits, dots, hyphens and "
                "underscores are, up to 100",
                field="catalog",
            )
        return self.root / name

    def _existing(self, name: str) -> Path:
        folder = self.folder(name)
        if not (folder / MANIFEST).exists():
            known = ", ".join(self.names()) or "none"
            raise ResourceNotFoundError(
                f"there is no catalog {name}; there is {known}", resource="catalog", known=known
            )
        return folder
