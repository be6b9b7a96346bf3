"""The catalogs that a server serves: found by name, followed as they change, indexed as need be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    DataCorruptError,
    InvalidFieldError,
    ModelLoadingError,
    ResourceNotFoundError,
    WriterBusyError,
)
from crystalmesh_retrieval.catalog.manifest import MANIFEST
from crystalmesh_retrieval.catalog.places import STARTER, CatalogPlaces
from crystalmesh_retrieval.catalog.snapshot import Snapshot, open_snapshot
from crystalmesh_retrieval.encoders.encoder import Encoder, EncoderInfo
from crystalmesh_retrieval.worker import SearchableCatalog

_log = structlog.get_logger(__name__)

_MOST_BUILDS = 32

Progress = Callable[[str, int, int], None]
"""Told of what is being done, how much of it is done, and of how much."""
Stamp = tuple[int, ...]


class IndexInfo(Protocol):
    """What there is to know of an index."""

    @property
    def kind(self) -> str: ...
    @property
    def recall_at_10(self) -> float: ...
    @property
    def missing_count(self) -> int:
        """Materials that no search finds because they have no vector yet."""
        ...


class IndexedCatalog(SearchableCatalog, Protocol):
    """A catalog that can be searched."""

    @property
    def info(self) -> IndexInfo: ...


class Indexer(Protocol):
    """Opens and builds what catalogs are searched by."""

    def manifest(self, folder: Path, encoder: EncoderInfo) -> Path:
        """The file that is put in place anew whenever the index of a catalog changes."""
        ...

    def open(self, folder: Path, encoder: EncoderInfo, before: IndexedCatalog | None) -> IndexedCatalog:
        """The catalog as it is now, with the vectors that there are; what `before` has open is shared."""
        ...

    def build(
        self, folder: Path, encoder: Encoder, before: IndexedCatalog | None, progress: Progress
    ) -> IndexedCatalog:
        """Give every material its vector; what was done before is kept, also by a build that ended early.

        Mends what is damaged. Raises WriterBusyError while another process does the same.
        """
        ...

    def can_be_faster(self, indexed: IndexedCatalog) -> bool:
        """Whether `make_faster` is worth its minutes."""
        ...

    def make_faster(self, folder: Path, indexed: IndexedCatalog, encoder: Encoder) -> None:
        """Build an index over the vectors; searches go on meanwhile."""
        ...


@dataclass(eq=False)
class _Served:
    """What is open of one catalog."""

    folder: Path
    snapshot: Snapshot | None = None
    snapshot_stamp: Stamp | None = None
    indexed: IndexedCatalog | None = None
    indexed_stamp: Stamp | None = None
    building: asyncio.Task[None] | None = None
    making_faster: asyncio.Future[None] | None = None
    progress: tuple[int, int] = (0, 0)  # materials encoded, of
    lock: threading.Lock = field(default_factory=threading.Lock)  # while the snapshot is opened


class ServedCatalogs:
    """Catalogs by name. What changes them, here or in another process, is seen by the next call.

    Methods that are coroutines belong to one event loop, the others block and may be called by any thread.
    """

    def __init__(
        self, places: CatalogPlaces, indexer: Indexer, *, default: str, index_seconds: float
    ) -> None:
        self.places = places
        self._indexer = indexer
        self._default = default
        self._index_seconds = index_seconds
        self._served: dict[str, _Served] = {}
        self._lock = threading.Lock()
        # Of their own: builds take minutes, and calls need the threads of the event loop.
        self._builders = ThreadPoolExecutor(max_workers=_MOST_BUILDS, thread_name_prefix="index")

    def names(self) -> Sequence[str]:
        """All names, the default first, then in alphabetical order."""
        names = self.places.names()
        default = self.default_of(names)
        return [*(name for name in names if name == default), *(name for name in names if name != default)]

    def default_of(self, names: Sequence[str]) -> str:
        """Which of these catalogs requests mean that name none; "" where it is not clear."""
        for name in (self._default, STARTER):
            if name in names:
                return name
        return names[0] if len(names) == 1 and not self._default else ""

    def resolve(self, name: str) -> str:
        """The name of the catalog that a request asks for, the default's for the empty name.

        Raises ResourceNotFoundError where there is none.
        """
        if name:
            try:
                self.places.folder(name)
            except InvalidFieldError:
                raise self._unknown(name) from None
            return name
        names = self.places.names()
        default = self.default_of(names)
        if not default:
            known = ", ".join(names) or "none"
            what = (
                f"the default catalog {self._default} is not here" if self._default else "no catalog is named"
            )
            raise ResourceNotFoundError(f"{what}; there is {known}", resource="catalog", known=known)
        return default

    def snapshot(self, name: str) -> Snapshot:
        """The catalog as it is now; raises as `resolve` and `open_snapshot`."""
        served = self._of(self.resolve(name))
        with served.lock:
            stamp = _stamp(served.folder / MANIFEST)
            if served.snapshot is None or stamp != served.snapshot_stamp:
                served.snapshot = open_snapshot(served.folder, served.snapshot)
                served.snapshot_stamp = stamp
            return served.snapshot

    def opened(self, name: str, encoder: EncoderInfo) -> IndexedCatalog | None:
        """The catalog with its index, as last complete; None where that has never been. Builds nothing."""
        served = self._of(self.resolve(name))
        self._open(served, encoder)
        return served.indexed

    async def indexed(self, name: str, encoder: Encoder) -> IndexedCatalog:
        """The catalog, to search it. One that has changed is indexed first.

        That goes on behind the calls: when it takes longer than `index_seconds`, the catalog is searched as
        it was before, and one that has never been indexed raises ModelLoadingError, with how far it is.
        """
        served, is_current = await asyncio.to_thread(self._looked_at, name, encoder.info)
        if not is_current:
            building = self._building(served, encoder)
            done, _ = await asyncio.wait({building}, timeout=self._index_seconds)
            if done and served.indexed is None:
                _raise_failure(building)
        if served.indexed is None:
            encoded, total = served.progress
            of = f"{encoded:,} of {total:,} materials" if total else "its materials"
            raise ModelLoadingError(
                f"the catalog {name or 'of the server'} is being indexed, {of} so far",
                retry_after_seconds=5.0,
                encoded=encoded,
                total=total,
            )
        return served.indexed

    async def begin_to_index(self, name: str, encoder: Encoder) -> None:
        """Bring the index of a catalog up to date behind the calls, if it is not.

        A shipped one stays as it is until somebody searches it.
        """
        with suppress(CrystalMeshError):  # it is gone meanwhile
            served, is_current = await asyncio.to_thread(self._looked_at, name, encoder.info)
            if not is_current and served.folder.parent == self.places.own.root:
                self._building(served, encoder)

    async def reindexed(self, name: str, encoder: Encoder) -> IndexedCatalog:
        """The catalog with everything in its index that was there when this was called."""
        served, _ = await asyncio.to_thread(self._looked_at, name, encoder.info)
        if served.building is not None and not served.building.done():
            # It may have begun before the last material came.
            await asyncio.wait({served.building})
        await asyncio.shield(self._building(served, encoder))
        if served.indexed is None:
            raise ModelLoadingError(f"the catalog {name} has no index", retry_after_seconds=5.0)
        return served.indexed

    def _building(self, served: _Served, encoder: Encoder) -> asyncio.Task[None]:
        """The one task that brings the index of a catalog up to date."""
        if served.building is None or served.building.done():
            served.building = asyncio.create_task(self._build(served, encoder), name="index")
            served.building.add_done_callback(_log_failure)
        return served.building

    async def _build(self, served: _Served, encoder: Encoder) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._builders, self._bring_up, served, encoder)
        indexed, making = served.indexed, served.making_faster
        if indexed is not None and self._indexer.can_be_faster(indexed) and (making is None or making.done()):
            making = loop.run_in_executor(
                self._builders, self._indexer.make_faster, served.folder, indexed, encoder
            )
            making.add_done_callback(_log_failure)
            served.making_faster = making

    def _bring_up(self, served: _Served, encoder: Encoder) -> None:
        try:
            if self._open(served, encoder.info):
                return
        except DataCorruptError as error:
            # Building mends vectors; that materials are damaged it says again.
            _log.warning("index_is_mended", error=error.message)
        folder = self.places.make_own(served.folder.name)
        stamp = self._stamp(folder, encoder.info)

        def told(_: str, encoded: int, total: int) -> None:
            served.progress = (encoded, total)

        indexed = self._indexer.build(folder, encoder, served.indexed, told)
        # The index has a newer stamp than this: the next call looks again, and opens nothing twice.
        served.folder, served.indexed, served.indexed_stamp = folder, indexed, stamp

    def _open(self, served: _Served, encoder: EncoderInfo) -> bool:
        """Open the index as it is on the disk; whether it is complete."""
        stamp = self._stamp(served.folder, encoder)
        if served.indexed is not None and served.indexed_stamp == stamp:
            return True
        indexed = self._indexer.open(served.folder, encoder, served.indexed)
        if indexed.info.missing_count:
            return False
        served.indexed, served.indexed_stamp = indexed, stamp
        return True

    def _looked_at(self, name: str, encoder: EncoderInfo) -> tuple[_Served, bool]:
        """What is open of a catalog, and whether its index is that of its present state."""
        served = self._of(self.resolve(name))
        is_current = served.indexed is not None and served.indexed_stamp == self._stamp(
            served.folder, encoder
        )
        return served, is_current

    def _stamp(self, folder: Path, encoder: EncoderInfo) -> Stamp:
        """Changes with every change of a catalog or its index."""
        of_catalog = _stamp(folder / MANIFEST)
        try:
            return of_catalog + _stamp(self._indexer.manifest(folder, encoder))
        except ResourceNotFoundError:  # never indexed
            return of_catalog

    def _of(self, name: str) -> _Served:
        folder = self.places.folder(name)
        with self._lock:
            served = self._served.setdefault(name, _Served(folder))
            # One that was shipped may have been copied meanwhile: what is open of it is as good.
            served.folder = folder
        return served

    def _unknown(self, name: str) -> ResourceNotFoundError:
        known = ", ".join(self.places.names()) or "none"
        return ResourceNotFoundError(
            f"there is no catalog {name[:80]!r}; there is {known}", resource="catalog", known=known
        )


def _stamp(manifest: Path) -> Stamp:
    """Changes with the file: a manifest is put in place anew each time."""
    try:
        status = manifest.stat()
    except FileNotFoundError:
        raise ResourceNotFoundError(
            f"the catalog {manifest.parent.name} is gone", resource="catalog"
        ) from None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _raise_failure(task: asyncio.Task[None]) -> None:
    """Raise what a build has failed with."""
    try:
        task.result()
    except WriterBusyError as error:
        raise ModelLoadingError(
            f"another process indexes the catalog: {error.message}", retry_after_seconds=5.0
        ) from error


def _log_failure(task: asyncio.Future[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("catalog_not_indexed", exc_info=error)
