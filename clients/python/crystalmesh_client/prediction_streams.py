"""Crystals on their way through a stream of predictions: which the server has, and which are still to go."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.property.v1.prediction_pb2 import (
    PredictOptions,
    PredictStreamRequest,
    PredictStreamResponse,
)
from crystalmesh_client.batches import Attempts
from crystalmesh_client.inputs import CrystalLike, to_crystal, to_inputs
from crystalmesh_client.predictions import Prediction, prediction_from
from crystalmesh_client.results import Failed
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import (
    CrystalError,
    CrystalMeshError,
    InternalError,
    InvalidFieldError,
    QueueFullError,
    UnavailableError,
    UnreachableError,
)
from crystalmesh_common.runtime.statuses import from_status

CRYSTALS_PER_MESSAGE = 64
CRYSTALS_UNDER_WAY = 1024
"""How far the caller's crystals are read ahead of their outcomes: enough to keep a server busy."""

LINGER_SECONDS = 0.02
"""How long a crystal may wait for others to share a message with."""

_BYTES_PER_MESSAGE = 512 * 1024
_BYTES_UNDER_WAY = 64 * 1024 * 1024


@dataclass(frozen=True)
class _UnderWay:
    """A crystal without an outcome."""

    crystal: Crystal
    message: CrystalInput
    size: int  # bytes


class PredictionStream:
    """Keeps the crystals that have no outcome, and packs them into messages, for one call after another.

    Reading, sending and receiving are the caller's. A crystal is known by its place among all that were
    given; that in the stream of a call is another one once a server was lost.
    """

    def __init__(self, options: PredictOptions) -> None:
        self._options = options
        self._under_way: dict[int, _UnderWay] = {}  # by place
        self._bytes_under_way = 0
        self._given = 0
        self._is_whole = False
        self._attempts = Attempts()
        self._reached = False  # whether a server has answered anything yet
        self.begin()

    def begin(self) -> None:
        """A call begins: what has no outcome is to be sent, the options first."""
        self._opened = False
        self._unsent = deque(self._under_way)
        self._places: dict[int, int] = {}  # by position in this call
        self._sent = 0
        self._waiting_since = -float("inf")

    @property
    def takes_more(self) -> bool:
        """Whether another crystal is wanted now."""
        return (
            not self._is_whole
            and len(self._under_way) < CRYSTALS_UNDER_WAY
            and self._bytes_under_way < _BYTES_UNDER_WAY
        )

    @property
    def has_unsent(self) -> bool:
        """Whether there is something that this call has not sent."""
        return bool(self._unsent) or not self._opened

    @property
    def is_due(self) -> bool:
        """Whether a message should go now: it is full, it has waited, or nothing can be added to it."""
        if not self._opened:
            return True
        return bool(self._unsent) and (
            len(self._unsent) >= CRYSTALS_PER_MESSAGE
            or not self.takes_more
            or time.monotonic() >= self._waiting_since + LINGER_SECONDS
        )

    @property
    def is_sent(self) -> bool:
        """Whether this call has sent all that there is."""
        return self._is_whole and not self.has_unsent

    def take(self, given: CrystalLike) -> Failed | None:
        """Take the next crystal; one that cannot be sent at all is an outcome, and stops no other."""
        place = self._given
        self._given += 1
        try:
            crystal = to_crystal(given)
            crystal = crystal if crystal.id else replace(crystal, id=str(place))
            (message,) = to_inputs([crystal])
        except UnicodeEncodeError:
            return Failed(str(place), InvalidFieldError("its id is no valid UTF-8", field="id"), place)
        except CrystalMeshError as error:
            return Failed(_name_of(given, place), error, place)
        except OSError as error:
            return Failed(_name_of(given, place), CrystalError(f"cannot be read: {error.strerror}"), place)
        size = message.ByteSize()
        self._under_way[place] = _UnderWay(crystal, message, size)
        self._bytes_under_way += size
        if not self._unsent:
            self._waiting_since = time.monotonic()
        self._unsent.append(place)
        return None

    def close(self) -> None:
        """There are no more crystals."""
        self._is_whole = True

    def next_message(self) -> PredictStreamRequest:
        """What is to be sent next; the options alone at first, so that a refusal costs nothing."""
        if not self._opened:
            self._opened = True
            return PredictStreamRequest(options=self._options)
        message = PredictStreamRequest()
        room = _BYTES_PER_MESSAGE
        while self._unsent and len(message.crystals) < CRYSTALS_PER_MESSAGE:
            crystal = self._under_way[self._unsent[0]]
            if crystal.size > room and message.crystals:
                break
            message.crystals.append(crystal.message)
            room -= crystal.size
            self._places[self._sent] = self._unsent.popleft()
            self._sent += 1
        return message

    def read(self, response: PredictStreamResponse) -> Prediction | Failed:
        """The outcome that a response brings; InternalError for one about a crystal that was not sent."""
        self._reached = True
        self._attempts.succeeded()
        if response.index not in self._places:
            raise InternalError("the server answered about a crystal that it was not asked about")
        place = self._places.pop(response.index)
        answered = self._under_way.pop(place)
        self._bytes_under_way -= answered.size
        if response.WhichOneof("outcome") == "prediction":
            return prediction_from(response.prediction, answered.crystal, place)
        return Failed(answered.crystal.id, from_status(response.error), place)

    def pause_after(self, error: CrystalMeshError) -> float:
        """Seconds until the next call; raises `error` if there is to be none.

        There is none when a retry cannot help, when no server was ever reached, and after a few calls in a
        row that brought nothing.
        """
        if not isinstance(error, UnavailableError | QueueFullError):
            raise error
        if isinstance(error, UnreachableError) and not self._reached:
            raise error
        return self._attempts.pause_after(error)

    def check_all_answered(self) -> None:
        """Raise InternalError when a call ended well and left some out."""
        if not self._is_whole or self._under_way:
            missing = f"{len(self._under_way)} of its outcomes" if self._under_way else "reading all crystals"
            raise InternalError(f"the server ended the call without {missing}")


def _name_of(given: object, place: int) -> str:
    return str(getattr(given, "id", "") or getattr(given, "name", "") or place)
