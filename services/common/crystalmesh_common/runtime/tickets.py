"""The calls that wait for a device, and the items that they brought."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from crystalmesh_common.runtime.errors import CrystalMeshError

Key = TypeVar("Key")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MAX_WAITING_ITEMS = 256
"""Items of one call that are held ready for the device; more are drawn as these start."""


class Ticket(Generic[Key, Item, Outcome]):
    """One call's items: those not yet started, first to last, and the outcomes that came of the others.

    What its reader finds in `outcomes`: (position, outcome, whether it is the item's last), the number of
    items once all are drawn, or the exception that drawing them raised.
    """

    def __init__(self, key: Key, seconds: float | None) -> None:
        self.key = key
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.waiting: deque[tuple[int, Item]] = deque()
        self.open = True  # more items may come
        self.abandoned = False  # nobody reads the outcomes any more
        self.outcomes: asyncio.Queue[tuple[int, Outcome | CrystalMeshError, bool] | int | Exception] = (
            asyncio.Queue()
        )
        self.has_room = asyncio.Event()
        self.has_room.set()

    @property
    def finished(self) -> bool:
        """Nothing is left to start, and nothing more will come."""
        return not self.open and not self.waiting

    @property
    def expired(self) -> bool:
        return self.deadline is not None and self.deadline <= time.monotonic()

    def put(self, index: int, item: Item) -> None:
        self.waiting.append((index, item))
        if len(self.waiting) >= MAX_WAITING_ITEMS:
            self.has_room.clear()

    def take(self) -> tuple[int, Item]:
        self.has_room.set()
        return self.waiting.popleft()

    def tell(self, index: int, outcome: Outcome | CrystalMeshError, *, last: bool = True) -> None:
        self.outcomes.put_nowait((index, outcome, last))

    def end(self, error: CrystalMeshError) -> None:
        """Take no more items, and give `error` to those that wait."""
        self.open = False
        while self.waiting:
            index, _ = self.waiting.popleft()
            self.tell(index, error)
        self.has_room.set()

    def abandon(self) -> None:
        """Forget everything: the reader has gone."""
        self.open = False
        self.abandoned = True
        self.waiting.clear()


@dataclass(frozen=True, eq=False)
class Started(Generic[Key, Item, Outcome]):
    """An item that is on a device, batch after batch until it has its last outcome."""

    ticket: Ticket[Key, Item, Outcome]
    index: int
    item: Item
    cost: float
