"""Long lists over calls of bounded size, with what was lost sent again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InternalError,
    UnavailableError,
    UnreachableError,
)

ITEMS_PER_CALL = 256
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 1.0


class Named(Protocol):
    """What a list is made of: crystals, phases."""

    @property
    def id(self) -> str:
        """Its name, of which a list has no two."""
        ...


Item = TypeVar("Item", bound=Named)
Result = TypeVar("Result")


def chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Consecutive parts of at most ITEMS_PER_CALL."""
    for start in range(0, len(items), ITEMS_PER_CALL):
        yield items[start : start + ITEMS_PER_CALL]


class Attempts:
    """Counts how often something was tried."""

    def __init__(self) -> None:
        self._failed = 0

    def succeeded(self) -> None:
        """What failed before does not count any more."""
        self._failed = 0

    def pause_after(self, error: CrystalMeshError) -> float:
        """Seconds to wait before the next attempt; raises `error` after the last."""
        self._failed += 1
        if self._failed >= _ATTEMPTS:
            raise error
        return error.retry_after_seconds or _FIRST_PAUSE_SECONDS * 2 ** (self._failed - 1)


class Unanswered(Generic[Item]):
    """The items of one call that still have no outcome, across attempts.

    gRPC itself retries a call that has brought nothing yet. Once a stream has begun, only we know what is
    missing when the server goes away.
    """

    def __init__(self, items: Iterable[Item], *, reached: bool) -> None:
        self._items = {item.id: item for item in items}
        self._attempts = Attempts()
        self._reached = reached  # whether the server has answered anything yet

    def __bool__(self) -> bool:
        return bool(self._items)

    def items(self) -> list[Item]:
        return list(self._items.values())

    def underway(self, item_id: str) -> Item:
        """The item that a message on the way to its outcome is about; InternalError as for `answered`."""
        self._reached = True
        if item_id not in self._items:
            raise InternalError("the server answered about a crystal that it was not asked about")
        return self._items[item_id]

    def answered(self, item_id: str) -> Item:
        """The item that an outcome is about; InternalError for one that was not asked about."""
        item = self.underway(item_id)
        del self._items[item_id]
        return item

    def pause_after(self, error: UnavailableError) -> float:
        """Seconds to wait before the next attempt; raises `error` after the last.

        A server that could never be reached is given up at once: gRPC has tried for some seconds already.
        """
        if isinstance(error, UnreachableError) and not self._reached:
            raise error
        return self._attempts.pause_after(error)

    def check_all_answered(self) -> None:
        """Raise InternalError, instead of asking again, when a call ended well and left some out."""
        if self._items:
            raise InternalError(f"the server ended the call without {len(self._items)} of its outcomes")


def stream_all(
    items: Sequence[Item], call: Callable[[Unanswered[Item]], Iterator[Result]]
) -> Iterator[Result]:
    """The results of `call` over all items; it is called again for those that a lost server left out."""
    for number, chunk in enumerate(chunks(items)):
        unanswered = Unanswered(chunk, reached=number > 0)
        while unanswered:
            try:
                yield from call(unanswered)
                unanswered.check_all_answered()
            except UnavailableError as error:
                time.sleep(unanswered.pause_after(error))
