from __future__ import annotations

import pytest

from crystalmesh_client.cli import exits
from crystalmesh_common.runtime.errors import STATUS_TABLE, CrystalMeshError

# What scripts may rely on.
DOCUMENTED = {
    "EMPTY_BATCH": exits.BAD_INPUT,
    "UNREADABLE_CRYSTAL": exits.BAD_INPUT,
    "UNSUPPORTED_ELEMENT": exits.BAD_INPUT,
    "MODEL_NOT_FOUND": exits.BAD_INPUT,
    "MODEL_LOADING": exits.UNREACHABLE,
    "SHUTTING_DOWN": exits.UNREACHABLE,
    "UNREACHABLE": exits.UNREACHABLE,
    "TOKEN_MISSING": exits.REFUSED,
    "TOKEN_INVALID": exits.REFUSED,
    "QUEUE_FULL": exits.BUSY,
    "OUT_OF_MEMORY": exits.BUSY,
    "DEADLINE_EXCEEDED": exits.BUSY,
    "CALL_CANCELLED": exits.INTERRUPTED,
    "INTERNAL": exits.FAILED,
    "NOT_IMPLEMENTED_YET": exits.FAILED,
}


@pytest.mark.parametrize("reason", sorted(DOCUMENTED))
def test_reasons_have_the_documented_exit_codes(reason: str) -> None:
    """Each kind of failure ends a command with its own code."""
    assert exits.exit_code(STATUS_TABLE[reason]("")) == DOCUMENTED[reason]


def test_no_error_ends_a_command_as_if_all_were_well() -> None:
    """Every error of the tree, even one without a reason, has a code other than 0."""
    assert all(exits.exit_code(cls("")) != exits.OK for cls in [*STATUS_TABLE.values(), CrystalMeshError])


def test_codes_are_distinct() -> None:
    """No code means two things."""
    codes = [value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)]
    assert len(codes) == len(set(codes))
