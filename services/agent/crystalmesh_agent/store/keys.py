"""What makes two events, or two candidates, the same: a step that is repeated records nothing twice."""

from __future__ import annotations

import hashlib

from google.protobuf.message import Message

from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.crystal.v1.crystal_pb2 import Crystal
from crystalmesh.generation.v1.candidate_pb2 import Candidate, ParseFailure

_ID_DIGITS = 24  # 96 bits

# All but hits, which hold the candidate.
_OF_CANDIDATE = frozenset(
    {
        "candidate_generated",
        "candidate_rejected",
        "candidate_screened",
        "candidate_relaxed",
        "candidate_scored",
        "candidate_ranked",
    }
)


def candidate_id(sample: Candidate | ParseFailure) -> str:
    """The id of what a generator wrote: the same text from the same origin has the same id, always."""
    digest = hashlib.sha256(content_sha256(sample.origin))
    digest.update(sample.alx_text.encode())
    return digest.hexdigest()[:_ID_DIGITS]


def crystal_sha256(crystal: Crystal) -> bytes:
    """Equal for crystals of equal numbers, whatever they are called."""
    nameless = Crystal()
    nameless.CopyFrom(crystal)
    nameless.ClearField("id")
    nameless.ClearField("scalars")
    return content_sha256(nameless)


def content_sha256(message: Message) -> bytes:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).digest()


def subject_of(event: CampaignEvent, *, fence: int, step: str, position: int) -> str | None:
    """What an event is about; a campaign has one event of each kind and subject. None: any number.

    Events that may happen again, such as pauses, are told apart by the caller's name for the step that they
    belong to and their position in it.
    """
    kind = event.WhichOneof("event")
    if kind in _OF_CANDIDATE:
        return str(getattr(event, kind).candidate_id)
    subjects = {
        "candidate_hit": event.candidate_hit.candidate.id,
        "planned": f"round {event.planned.round}",
        "round_finished": f"round {event.round_finished.round}",
        "started": f"lease {fence}",
        "created": "",
        "finished": "",
    }
    return subjects.get(kind or "", f"step {step}/{position}" if step else None)
