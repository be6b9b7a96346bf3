"""What came of samples, as the messages that go to the service."""

from __future__ import annotations

from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_generation.convert_candidate import candidate_response, failure_response, transition_message
from crystalmesh_generation.samples.proposals import NoCrystal, Told
from crystalmesh_generation.writers import messages
from crystalmesh_generation.writers.writer import Outcome


def message_of(outcome: Outcome) -> messages.Outcome:
    """The message of an outcome; errors and text go as they are."""
    if isinstance(outcome, str | CrystalMeshError):
        return outcome
    if isinstance(outcome, NoCrystal):
        return failure_response(outcome)
    if isinstance(outcome, Told):
        return transition_message(outcome)
    return candidate_response(outcome.proposal, outcome.crystal_id, outcome.model)
