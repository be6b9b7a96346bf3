"""Long lists of crystals over calls of bounded size, with what was lost sent again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import InternalError, UnavailableError, UnreachableError

CRYSTALS_PER_CALL = 256
_ATTEMPTS = 4
_FIRST_PAUSE_SECONDS = 1.0

Result = TypeVar("Result")


def chunks(crystals: Sequence[Crystal]) -> Iterator[Sequence[Crystal]]:
    """Consecutive parts of at most CRYSTALS_PER_CALL."""
    for start in range(0, len(crystals), CRYSTALS_PER_CALL):
        yield crystals[start : start + CRYSTALS_PER_CALL]


class Unanswered:
    """The crystals of one call that still have no outcome, across attempts.

    gRPC itself retries a call that has brought nothing yet. Once a stream has begun, only we know what is
    missing when the server goes away.
    """

    def __init__(self, crystals: Iterable[Crystal], *, reached: bool) -> None:
        self._crystals = {crystal.id: crystal for crystal in crystals}
        self._attempts = 0
        self._reached = reached  # whether the server has answered anything yet

    def __bool__(self) -> bool:
        return bool(self._crystals)

    def crystals(self) -> list[Crystal]:
        return list(self._crystals.values())

    def answered(self, crystal_id: str) -> Crystal:
        """The crystal that an outcome is about; InternalError for one that was not asked about."""
        self._reached = True
        if crystal_id not in self._crystals:
            raise InternalError("the server answered about a crystal that it was not asked about")
        return self._crystals.pop(crystal_id)

    def pause_after(self, error: UnavailableError) -> float:
        """Seconds to wait before the next attempt; raises `error` after the last.

        A server that could never be reached is given up at once: gRPC has tried for some seconds already.
        """
        self._attempts += 1
        if self._attempts >= _ATTEMPTS or (isinstance(error, UnreachableError) and not self._reached):
            raise error
        return error.retry_after_seconds or _FIRST_PAUSE_SECONDS * 2 ** (self._attempts - 1)

    def check_all_answered(self) -> None:
        """Raise InternalError, instead of asking again, when a call ended well and left some out."""
        if self._crystals:
            raise InternalError(f"the server ended the call without {len(self._crystals)} of its outcomes")


def stream_all(
    crystals: Sequence[Crystal], call: Callable[[Unanswered], Iterator[Result]]
) -> Iterator[Result]:
    """The results of `call` over all crystals; it is called again for those that a lost server left out."""
    for number, chunk in enumerate(chunks(crystals)):
        unanswered = Unanswered(chunk, reached=number > 0)
        while unanswered:
            try:
                yield from call(unanswered)
                unanswered.check_all_answered()
            except UnavailableError as error:
                time.sleep(unanswered.pause_after(error))
