from __future__ import annotations

import time

import pytest

from crystalmesh_common.runtime.calls import Call


def call(**metadata: str | bytes) -> Call:
    return Call("/a.B/C", {key.replace("_", "-"): value for key, value in metadata.items()}, "peer", None)


def test_a_callers_request_id_is_kept() -> None:
    """A well-formed id of the caller becomes the call's."""
    assert call(x_request_id="run-7.a_B").request_id == "run-7.a_B"


@pytest.mark.parametrize("offered", ["", "a" * 65, 'x"},{"event":"forged', "two words", "line\nbreak", "Å"])
def test_a_request_id_that_could_forge_a_log_line_is_replaced(offered: str) -> None:
    """Ids that are empty, too long or hold other than a few safe characters are not taken."""
    assert call(x_request_id=offered).request_id != offered


def test_calls_without_an_id_get_distinct_ones() -> None:
    """Every call has an id of its own."""
    assert len({call().request_id for _ in range(100)} | {call(x_request_id=b"bytes").request_id}) == 101


def test_the_time_left_is_counted_down_to_the_deadline() -> None:
    """There is no time left after the deadline, and no limit without one."""
    assert call().time_remaining() is None
    late = Call("/a.B/C", {}, "peer", time.monotonic() - 1)
    remaining = late.time_remaining()
    assert remaining is not None
    assert remaining <= -1
