"""What is asked about many crystals or phases with one streaming RPC, and how the answers are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from google.protobuf.message import Message

from crystalmesh_client.batches import Item, Unanswered
from crystalmesh_client.inputs import to_inputs
from crystalmesh_client.results import Failed
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.statuses import from_status

Result = TypeVar("Result")
Frame = TypeVar("Frame")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class Question(Generic[Item, Outcome]):
    """What to ask about each of many items, and how to read the answers."""

    rpc: str  # "Relax"
    request: Callable[[Sequence[Item]], Message]
    read: Callable[[Any, Unanswered[Item]], Outcome]  # a response, and what it may be about


def about_crystals(
    rpc: str, asked: Message, read: Callable[[Any, Unanswered[Crystal]], Outcome]
) -> Question[Crystal, Outcome]:
    """Ask what the request `asked` says, about the crystals that its field `crystals` is to hold."""

    def request(crystals: Sequence[Crystal]) -> Message:
        message: Any = type(asked)()
        message.CopyFrom(asked)
        message.crystals.extend(to_inputs(crystals))
        return cast("Message", message)

    return Question(rpc, request, read)


def outcome_reader(
    field: str, read: Callable[[Any, Item], Result], *, id_field: str = "crystal_id"
) -> Callable[[Any, Unanswered[Item]], Result | Failed]:
    """Reads responses whose oneof `outcome` holds `field` or an error."""

    def read_outcome(response: Any, unanswered: Unanswered[Item]) -> Result | Failed:
        item = unanswered.answered(getattr(response, id_field))
        if response.WhichOneof("outcome") == field:
            return read(getattr(response, field), item)
        return Failed(item.id, from_status(response.error))

    return read_outcome


def frame_reader(
    read_frame: Callable[[Any, Item], Frame],
    read_outcome: Callable[[Any, Unanswered[Item]], Outcome],
) -> Callable[[Any, Unanswered[Item]], Frame | Outcome]:
    """Reads responses that bring a `frame` while more follows."""

    def read(response: Any, unanswered: Unanswered[Item]) -> Frame | Outcome:
        if response.WhichOneof("outcome") == "frame":
            return read_frame(response.frame, unanswered.underway(response.crystal_id))
        return read_outcome(response, unanswered)

    return read
