"""Where catalogs are looked for: those of this user, then those that come with the package."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from crystalmesh_common.runtime.durable import make_folder, sync_folder
from crystalmesh_common.runtime.errors import ResourceNotFoundError
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.catalog.manifest import MANIFEST
from crystalmesh_retrieval.catalog.writer import LOCK

SHIPPED = Path(__file__).parents[1] / "shipped" / "catalogs"
STARTER = "starter"


@dataclass(frozen=True)
class CatalogPlaces:
    """Catalogs by name. A catalog of `own` hides a shipped one of the same name, which is never changed."""

    own: Catalogs
    shipped: Catalogs

    @classmethod
    def of(cls, root: Path | None = None) -> Self:
        """The catalogs under a folder, without one those of this user, and the shipped ones."""
        return cls(Catalogs.of_this_user() if root is None else Catalogs(root), Catalogs(SHIPPED))

    def names(self) -> Sequence[str]:
        """In alphabetical order."""
        return sorted({*self.own.names(), *self.shipped.names()})

    def folder(self, name: str) -> Path:
        """The folder of a catalog that is there, to read from.

        Raises ResourceNotFoundError where there is none, and InvalidFieldError for what can be no name.
        """
        for catalogs in (self.own, self.shipped):
            folder = catalogs.folder(name)
            if (folder / MANIFEST).exists():
                return folder
        known = ", ".join(self.names()) or "none"
        raise ResourceNotFoundError(
            f"there is no catalog {name}; there is {known}", resource="catalog", known=known
        )

    def make_own(self, name: str) -> Path:
        """The folder of a catalog that is there, to write to: a shipped one is copied first, in one step.

        Raises as `folder`; StorageFullError where there is no space for the copy.
        """
        source = self.folder(name)
        target = self.own.folder(name)
        if source == target:
            return target
        make_folder(self.own.root)
        # Beside the catalogs, so that a half-made copy is never taken for one, and a rename puts it in place.
        half_made = self.own.root.parent / f"{self.own.root.name}.copying"
        make_folder(half_made)
        with tempfile.TemporaryDirectory(dir=half_made, ignore_cleanup_errors=True) as scratch:
            copy = Path(scratch) / name
            _copy_durably(source, copy)
            try:
                copy.rename(target)
            except OSError:
                if not (target / MANIFEST).exists():  # somebody else was first, which is as good
                    raise
        sync_folder(self.own.root)
        return target


def _copy_durably(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(LOCK))
    for path in [*target.rglob("*"), target]:
        path.chmod(path.stat().st_mode | 0o200)  # a package may be installed read-only
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
