"""A sample on its way: what was ordered for it, and what has come of that so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from crystalmesh_common.runtime.errors import CrystalMeshError, InternalError
from crystalmesh_generation.samples.asked import Request
from crystalmesh_generation.samples.proposals import NoCrystal, Proposal, Told


@dataclass(eq=False)
class Sample:
    """One sample of a request. It is settled once nothing more is under way for it."""

    key: int
    request: Request
    number: int  # among those of its prompt
    only_transition: bool
    texts: set[int] = field(default_factory=set)  # that a model writes for it
    substitution_waits: bool = False
    proposals: list[Proposal] = field(default_factory=list)
    failures: list[NoCrystal] = field(default_factory=list)
    errors: list[CrystalMeshError] = field(default_factory=list)
    told: Told | None = None  # the transition, where that is all
    so_far: str = ""  # of the transition

    @property
    def crystal_id(self) -> str:
        return f"{self.request.prompt.id}-{self.number}"

    @property
    def settled(self) -> bool:
        return not self.texts and not self.substitution_waits

    @property
    def failure(self) -> NoCrystal | CrystalMeshError:
        """What is told of a settled sample without a proposal: text that a model wrote before any error."""
        if self.failures:
            return self.failures[0]
        return self.errors[0] if self.errors else InternalError("nothing was made for this sample")
