"""What models are told of errors."""

from __future__ import annotations

import pytest

from crystalmesh_client.mcp.faults import _HINTS, fault_of
from crystalmesh_common.runtime.errors import (
    STATUS_TABLE,
    CrystalError,
    CrystalMeshError,
    InternalError,
    OverlappingAtomsError,
    QueueFullError,
)


@pytest.mark.parametrize("kind", STATUS_TABLE.values(), ids=STATUS_TABLE)
def test_every_error_has_a_hint(kind: type[CrystalMeshError]) -> None:
    """Its own, that of its kind, or that the mesh is at fault."""
    fault = fault_of(kind("so it is", field="cif"))
    assert (fault.reason, fault.message, fault.details) == (kind.reason, "so it is", {"field": "cif"})
    assert len(fault.hint) > 20


def test_the_nearest_hint_counts() -> None:
    """A crystal that is wrong is corrected by other means than a field that is."""
    assert fault_of(OverlappingAtomsError("x")).hint == _HINTS[OverlappingAtomsError]
    assert fault_of(CrystalError("x")).hint.startswith("Correct the argument")
    assert "fault of the mesh" in fault_of(InternalError("x")).hint


def test_a_fault_in_words_has_all_of_it() -> None:
    """With the pause that the mesh asks for, and no text beyond bounds."""
    fault = fault_of(QueueFullError("busy " * 1000, retry_after_seconds=2.5, limit=20))
    words = fault.in_words()
    assert "QUEUE_FULL: busy" in words
    assert "limit: 20" in words
    assert "retry after: 2.5 s" in words
    assert words.endswith(f"hint: {fault.hint}")
    assert len(words) < 1500
    assert fault_of(CrystalMeshError("x")).reason == "UNKNOWN"
