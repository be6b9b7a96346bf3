"""Validation of what campaigns are asked by."""

from __future__ import annotations

from collections.abc import Sequence

from crystalmesh.agent.v1.campaign_candidate_pb2 import CandidateState
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh_common.runtime.errors import InvalidFieldError, UnknownEnumValueError

_MAX_NAME = 128


def named(value: str, field: str) -> str:
    """A required id; raises InvalidFieldError for none and for one that is too long."""
    if not 1 <= len(value) <= _MAX_NAME:
        raise InvalidFieldError(f"{field} must have 1 to {_MAX_NAME} characters", field=field)
    return value


def known_run_states(states: Sequence[RunState.ValueType]) -> Sequence[RunState.ValueType]:
    """The states; raises UnknownEnumValueError for one that there is not."""
    _check_states(states, RunState.values())
    return states


def known_candidate_states(
    states: Sequence[CandidateState.ValueType],
) -> Sequence[CandidateState.ValueType]:
    """The states; raises UnknownEnumValueError for one that there is not."""
    _check_states(states, CandidateState.values())
    return states


def _check_states(states: Sequence[int], known: Sequence[int]) -> None:
    for state in states:
        if state not in known or state == 0:
            raise UnknownEnumValueError(f"there is no state {state}", field="states")
