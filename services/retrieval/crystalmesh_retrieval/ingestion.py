"""Adds the materials of a stream to a catalog: in batches, each durable before the next is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_retrieval.catalog.changes import Rejection
from crystalmesh_retrieval.catalog.material import MaterialInput
from crystalmesh_retrieval.catalog.writer import CatalogWriter

MAX_REJECTIONS = 1000
BATCH_MATERIALS = 512

T = TypeVar("T")


@dataclass(frozen=True)
class BadMaterial:
    """One that could not be read."""

    material_id: str
    error: CrystalMeshError


Offered = MaterialInput | BadMaterial


@dataclass
class Ingested:
    """What has become of the materials so far."""

    received: int = 0
    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def gave_up(self) -> bool:
        """Whether so many were rejected that the rest is not worth looking at."""
        return len(self.rejections) >= MAX_REJECTIONS


class Ingestion:
    """The one writer of a catalog for as long as a stream lasts."""

    def __init__(self, folder: Path, thread: ThreadPoolExecutor) -> None:
        self._folder = folder
        self._thread = thread
        self._writer: CatalogWriter | None = None
        self._waiting: list[Offered] = []
        self.ingested = Ingested()

    @property
    def version(self) -> str:
        """The catalog's after the last material."""
        return self._opened.snapshot.manifest.content_version

    async def offer(self, materials: Sequence[Offered]) -> None:
        """Take materials; they are on the disk once `flush` returns, or before."""
        self._waiting += materials
        while len(self._waiting) >= BATCH_MATERIALS and not self.ingested.gave_up:
            await self._add(BATCH_MATERIALS)

    async def flush(self) -> None:
        """Bring all that was offered to the disk, unless so many are bad that it gives up."""
        while self._waiting and not self.ingested.gave_up:
            await self._add(BATCH_MATERIALS)

    async def _add(self, most: int) -> None:
        batch = _until(self._waiting[:most], MAX_REJECTIONS - len(self.ingested.rejections))
        self._waiting = self._waiting[len(batch) :]
        await self._run(lambda: self._add_now(batch))

    def _add_now(self, batch: Sequence[Offered]) -> None:
        readable = [(n, material) for n, material in enumerate(batch) if isinstance(material, MaterialInput)]
        changes = self._opened.add([material for _, material in readable])
        ingested, start = self.ingested, self.ingested.received
        rejections = [
            Rejection(start + n, bad.material_id, bad.error)
            for n, bad in enumerate(batch)
            if isinstance(bad, BadMaterial)
        ]
        rejections += [
            Rejection(start + readable[rejection.index][0], rejection.material_id, rejection.error)
            for rejection in changes.rejections
        ]
        ingested.received += len(batch)
        ingested.added += changes.added
        ingested.replaced += changes.replaced
        ingested.unchanged += changes.unchanged
        ingested.rejections += sorted(rejections, key=lambda rejection: rejection.index)

    async def open(self) -> None:
        """Become the writer; raises as `CatalogWriter`."""
        await self._run(self._open_now)

    def _open_now(self) -> None:
        self._writer = CatalogWriter(self._folder)

    def close_now(self) -> None:
        if self._writer is not None:
            self._writer.close()

    @property
    def _opened(self) -> CatalogWriter:
        if self._writer is None:
            raise RuntimeError("the writer is not open")
        return self._writer

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


@asynccontextmanager
async def ingestion_into(folder: Path) -> AsyncIterator[Ingestion]:
    """The writer of a catalog, until the block ends; raises as `CatalogWriter`."""
    # A thread of its own: whoever is cancelled in the middle of a commit lets others write only after it.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ingestion")
    ingestion = Ingestion(folder, thread)
    try:
        await ingestion.open()
        yield ingestion
    finally:
        closed = thread.submit(ingestion.close_now)
        thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(closed))


def _until(batch: Sequence[Offered], rejections: int) -> Sequence[Offered]:
    """The batch up to and with the material that is one too many."""
    for position, material in enumerate(batch):
        rejections -= isinstance(material, BadMaterial)
        if not rejections:
            return batch[: position + 1]
    return batch
