"""The way from a known material to a new one, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from crystalmesh.generation.v1 import transition_pb2
from crystalmesh_client.notebook import html_table

TransitionOriginName = Literal["unspecified", "model", "caller", "substitution"]
"""Who wrote a transition; "substitution": a rule that names the replaced elements."""

_ORIGINS: Mapping[int, TransitionOriginName] = {
    transition_pb2.TRANSITION_ORIGIN_MODEL: "model",
    transition_pb2.TRANSITION_ORIGIN_CALLER: "caller",
    transition_pb2.TRANSITION_ORIGIN_SUBSTITUTION: "substitution",
}


@dataclass(frozen=True)
class Transition:
    """What is substituted, how stoichiometry, symmetry and lattice change, and why properties should move."""

    text: str = field(repr=False)
    origin: TransitionOriginName
    reference_id: str  # of the reference's crystal
    model: str  # empty unless it wrote the text
    log_probability: float | None  # natural; None unless the model wrote the text
    truncated: bool  # it reached the longest allowed and was cut

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        by = self.model or self.origin
        return html_table(
            ("from", self.reference_id),
            ("transition", self.text + (" …" if self.truncated else "")),
            ("by", by),
        )


def transition_from(message: transition_pb2.Transition) -> Transition:
    """The typed form of a message."""
    return Transition(
        text=message.text,
        origin=_ORIGINS.get(message.origin, "unspecified"),
        reference_id=message.reference_id,
        model=message.model,
        log_probability=message.log_probability if message.HasField("log_probability") else None,
        truncated=message.truncated,
    )
