"""What goes wrong from outside, each through the real server: a precise code and reason, and it serves on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import Crystal as CrystalMessage
from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from tests.conftest import (
    AUTHORIZATION,
    MESSAGE_BYTES,
    TOKEN,
    ServiceProcess,
    block,
    copies,
    lone_atom,
    silicon,
    sodium_chloride,
    until,
)
from tests.relaxation.wire import EVALUATE, Answer, ask, bare_channel, reason_of, request_of, still_serves

INVALID = grpc.StatusCode.INVALID_ARGUMENT
GOOD = sodium_chloride("good")


@pytest.fixture
def server(relaxation: ServiceProcess) -> Iterator[ServiceProcess]:
    """The shared server; whatever a test did to it, it serves afterwards, and wrote of no fault of ours."""
    faults = relaxation.log.count("call_failed")
    yield relaxation
    still_serves(relaxation)
    assert relaxation.log.count("call_failed") == faults


def gas(n_atoms: int) -> Crystal:
    """Many atoms on a wide grid."""
    side = int(np.ceil(n_atoms ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:n_atoms]
    return Crystal(3.0 * side * np.eye(3), np.full(n_atoms, 18), grid / side, f"{n_atoms} atoms")


def with_cell(value: float) -> Crystal:
    cell = sodium_chloride().cell.copy()
    cell[1, 1] = value
    return replace(sodium_chloride("cell"), cell=cell)


def message(**fields: object) -> CrystalInput:
    """Rock salt with some fields of its message replaced."""
    good = crystal_to_proto(sodium_chloride("message"))
    for name, values in fields.items():
        getattr(good, name)[:] = values
    return CrystalInput(crystal=good)


PARTLY_OCCUPIED = """data_half
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Fe1 Fe 0 0 0 0.5
"""

# One crystal of a batch is wrong: what, and the code and reason of its outcome.
BAD_CRYSTALS: dict[str, tuple[Crystal | CrystalInput, grpc.StatusCode, str]] = {
    "unreadable CIF": (CrystalInput(cif_text="data_x\nloop_\n_cell_length_a"), INVALID, "UNREADABLE_CRYSTAL"),
    "a CIF that is a program": (CrystalInput(cif_text="#!/bin/sh\nexit 1"), INVALID, "UNREADABLE_CRYSTAL"),
    "empty CIF": (CrystalInput(cif_text=""), INVALID, "UNREADABLE_CRYSTAL"),
    "unreadable POSCAR": (CrystalInput(poscar_text="1\n2\n3\n"), INVALID, "UNREADABLE_CRYSTAL"),
    "nothing at all": (CrystalInput(id="nothing"), INVALID, "INVALID_FIELD"),
    "an empty crystal": (CrystalInput(crystal=CrystalMessage()), INVALID, "INVALID_CRYSTAL"),
    "partial occupation": (CrystalInput(cif_text=PARTLY_OCCUPIED), INVALID, "DISORDERED_CRYSTAL"),
    "two atoms at one place": (
        replace(silicon("twins"), frac_coords=np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])),
        INVALID,
        "OVERLAPPING_ATOMS",
    ),
    "two atoms at one place of neighbouring cells": (
        replace(silicon("images"), frac_coords=np.array([[0.0, 0.0, 0.0], [1.0, -3.0, 2.0]])),
        INVALID,
        "OVERLAPPING_ATOMS",
    ),
    "10,001 atoms": (gas(10_001), INVALID, "TOO_MANY_ATOMS"),
    "NaN in the cell": (with_cell(float("nan")), INVALID, "INVALID_CRYSTAL"),
    "infinity in the cell": (with_cell(float("inf")), INVALID, "INVALID_CRYSTAL"),
    "1e300 in the cell": (with_cell(1e300), INVALID, "INVALID_CRYSTAL"),
    "a flat cell": (replace(GOOD, cell=np.ones((3, 3)), id="flat"), INVALID, "INVALID_CRYSTAL"),
    "no cell": (message(cell_angstrom=[]), INVALID, "INVALID_CRYSTAL"),
    "NaN in a coordinate": (
        message(fractional_coordinates=[0, 0, 0, float("nan"), 0, 0]),
        INVALID,
        "INVALID_CRYSTAL",
    ),
    "a coordinate too few": (message(fractional_coordinates=[0] * 5), INVALID, "INVALID_CRYSTAL"),
    "a moment too few": (message(magnetic_moments_mu_b=[1.0]), INVALID, "INVALID_CRYSTAL"),
    "element 0": (message(atomic_numbers=[0, 17]), INVALID, "INVALID_CRYSTAL"),
    "element 4294967295": (message(atomic_numbers=[2**32 - 1, 17]), INVALID, "INVALID_CRYSTAL"),
    "an element that the model does not know": (
        replace(GOOD, numbers=np.array([84, 17]), id="Po"),
        grpc.StatusCode.FAILED_PRECONDITION,
        "UNSUPPORTED_ELEMENT",
    ),
    "an atom without neighbours": (lone_atom(), grpc.StatusCode.FAILED_PRECONDITION, "ISOLATED_ATOM"),
}


@pytest.mark.parametrize("name", BAD_CRYSTALS)
def test_a_bad_crystal_is_an_outcome_and_spoils_nobody_elses(server: ServiceProcess, name: str) -> None:
    """The crystal's outcome is an error with its code and one reason; its neighbours have their numbers."""
    crystal, code, reason = BAD_CRYSTALS[name]
    answer = ask(server, request_of(GOOD, crystal, silicon()))
    assert answer.code is grpc.StatusCode.OK
    by_index = {outcome.index: outcome for outcome in answer.outcomes}
    assert sorted(by_index) == [0, 1, 2]
    assert (by_index[1].error.code, reason_of(by_index[1].error)) == (code.value[0], reason)
    assert by_index[1].error.message
    for position in (0, 2):
        assert by_index[position].evaluation.energy_ev < 0


# The request as a whole is wrong: what, and the code and reason of the call.
BAD_REQUESTS = {
    "empty batch": (request_of(), INVALID, "EMPTY_BATCH"),
    "unknown enum value": (request_of(GOOD, quantities=[99]), INVALID, "UNKNOWN_ENUM_VALUE"),
    "unspecified enum value": (request_of(GOOD, quantities=[0]), INVALID, "UNKNOWN_ENUM_VALUE"),
    "unknown model": (request_of(GOOD, model="oracle"), grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
    "two of one id": (request_of(GOOD, silicon("good")), INVALID, "DUPLICATE_ID"),
    "too many crystals": (
        request_of(*[CrystalInput(cif_text="x")] * 4097),
        INVALID,
        "TOO_MANY_CRYSTALS",
    ),
    "malformed bytes": (b"\xff\xff\xff\xff", INVALID, "MALFORMED_MESSAGE"),
    "half of a message": (request_of(GOOD).SerializeToString()[:-3], INVALID, "MALFORMED_MESSAGE"),
    "text that is no UTF-8": (b"\x12\x02\xc3\x28", INVALID, "MALFORMED_MESSAGE"),
    "a message a little too large": (
        b"\0" * (MESSAGE_BYTES + 1),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "MESSAGE_TOO_LARGE",
    ),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_fails_whole(server: ServiceProcess, name: str) -> None:
    """The call fails with its code, its one reason and no outcomes."""
    request, code, reason = BAD_REQUESTS[name]
    answer = ask(server, request)
    assert (answer.code, answer.reason, answer.outcomes) == (code, reason, [])
    assert answer.message
    assert answer.retry_seconds is None


def test_a_message_far_too_large_is_refused_by_the_transport(server: ServiceProcess) -> None:
    """Beyond the margin gRPC itself refuses, before the bytes are in memory, as RESOURCE_EXHAUSTED."""
    answer = ask(server, b"\0" * (2 * MESSAGE_BYTES))
    assert answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in answer.message


def test_a_message_at_the_limit_is_taken(server: ServiceProcess) -> None:
    """Exactly the limit is not too large: what is wrong with it then is that it is no message."""
    assert ask(server, b"\xff" * MESSAGE_BYTES).reason == "MALFORMED_MESSAGE"


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("authorization", "Bearer not-the-token"),), "TOKEN_INVALID"),
        ((("authorization", f"Basic {TOKEN}"),), "TOKEN_INVALID"),
        ((("authorization", f"Bearer {TOKEN}x"),), "TOKEN_INVALID"),
        ((("authorization-bin", TOKEN.encode()),), "TOKEN_MISSING"),
    ],
)
def test_without_the_right_token_nobody_is_served(
    server: ServiceProcess, metadata: tuple[tuple[str, str | bytes], ...], reason: str
) -> None:
    """A missing or wrong token is UNAUTHENTICATED, and neither it nor ours is echoed or logged."""
    answer = ask(server, request_of(GOOD), metadata=metadata)
    assert (answer.code, answer.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    for presented in (TOKEN, "not-the-token"):
        assert not any(presented.encode() in part for part in answer.wire)
        assert presented not in server.log


def test_a_method_that_is_not_there(server: ServiceProcess) -> None:
    """A method that no service has is UNIMPLEMENTED with its reason."""
    never = ask(server, b"", method="/crystalmesh.relaxation.v1.RelaxationService/Explode")
    assert (never.code, never.reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNKNOWN_METHOD")


def test_an_expired_deadline_ends_the_call_and_its_work(server: ServiceProcess) -> None:
    """Work that takes longer than the caller waits ends as DEADLINE_EXCEEDED, and its place is free again."""
    late = ask(server, request_of(*copies(block(), 200)), timeout=0.5)
    assert late.code is grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: server.metric("crystalmesh_calls_in_flight") == 0, "nothing is in flight")
    until(lambda: server.metric("crystalmesh_queued_items") == 0, "nothing waits")


def test_a_deadline_that_has_passed_on_arrival(server: ServiceProcess) -> None:
    """Without any time left the call ends as DEADLINE_EXCEEDED, or its crystal does; nothing is computed."""
    answer = ask(server, request_of(GOOD), timeout=1e-6)
    if answer.code is grpc.StatusCode.OK:
        assert [reason_of(outcome.error) for outcome in answer.outcomes] == ["DEADLINE_EXCEEDED"]
    else:
        assert (answer.code, answer.outcomes) == (grpc.StatusCode.DEADLINE_EXCEEDED, [])


def test_a_cancelled_call_stops_its_work(server: ServiceProcess) -> None:
    """After the caller cancels in mid-stream nothing of the call waits, and it is counted as cancelled."""
    cancelled = server.metric("crystalmesh_refusals_total", reason="CALL_CANCELLED")
    with bare_channel(server) as channel:
        payload = request_of(*copies(block(), 200)).SerializeToString()
        call = channel.unary_stream(EVALUATE)(payload, metadata=AUTHORIZATION, timeout=120)
        next(call)
        call.cancel()
        with pytest.raises(grpc.RpcError):
            list(call)
        assert call.code() is grpc.StatusCode.CANCELLED
    until(lambda: server.metric("crystalmesh_calls_in_flight") == 0, "nothing is in flight")
    assert server.metric("crystalmesh_queued_items") == 0
    assert server.metric("crystalmesh_refusals_total", reason="CALL_CANCELLED") == cancelled + 1


def test_a_caller_that_vanishes_is_noticed(server: ServiceProcess) -> None:
    """When the whole connection goes away in mid-stream, so does the work."""
    with bare_channel(server) as channel:
        payload = request_of(*copies(block(), 200)).SerializeToString()
        next(channel.unary_stream(EVALUATE)(payload, metadata=AUTHORIZATION, timeout=120))
    until(lambda: server.metric("crystalmesh_calls_in_flight") == 0, "nothing is in flight")


def test_every_failure_is_counted_under_its_reason(server: ServiceProcess) -> None:
    """Operators see each refusal by reason."""
    before = server.metric("crystalmesh_refusals_total", reason="EMPTY_BATCH")
    answers: list[Answer] = [ask(server, request_of()) for _ in range(3)]
    assert {answer.reason for answer in answers} == {"EMPTY_BATCH"}
    assert server.metric("crystalmesh_refusals_total", reason="EMPTY_BATCH") == before + 3
