from __future__ import annotations

from collections.abc import Iterable

import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from crystalmesh_common.runtime import errors, statuses
from crystalmesh_common.runtime.errors import STATUS_TABLE, CrystalMeshError

# What a trailer may take in all; gRPC's own default.
TRAILER_BYTES = 8192


class Failure:
    """A failed call as grpc reports it."""

    def __init__(
        self, code: StatusCode, message: str | None, trailers: Iterable[tuple[str, str | bytes]] | None = None
    ) -> None:
        self._code, self._message, self._trailers = code, message, trailers

    def code(self) -> StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._message

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        return self._trailers


def reasons_on(status: status_pb2.Status) -> list[str]:
    """The reasons of all ErrorInfos on a status."""
    found = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            found.append(info.reason)
    return found


@pytest.mark.parametrize("reason", sorted(STATUS_TABLE))
@pytest.mark.parametrize("retry_after", [None, 0.25])
def test_every_error_survives_the_wire(reason: str, retry_after: float | None) -> None:
    """Class, message, details and retry hint of each error come back from its status, with one ErrorInfo."""
    sent = STATUS_TABLE[reason]("what happened", field="cell", retry_after_seconds=retry_after)
    status = statuses.to_status(sent, "call-1")
    back = statuses.from_status(status_pb2.Status.FromString(status.SerializeToString()))
    assert type(back) is type(sent)
    assert (back.message, back.retry_after_seconds) == ("what happened", retry_after)
    assert back.details == {"field": "cell", "request_id": "call-1"}
    assert reasons_on(status) == [reason]
    assert status.code == sent.code.value[0]


def test_a_failed_call_gives_back_the_error_of_its_trailers() -> None:
    """The status in the trailing metadata decides, not the bare code beside it."""
    sent = errors.QueueFullError("full", retry_after_seconds=1.5, limit=32)
    trailers = statuses.trailing_metadata(sent, "call-2")
    back = statuses.from_rpc_failure(Failure(StatusCode.RESOURCE_EXHAUSTED, "full", trailers))
    assert isinstance(back, errors.QueueFullError)
    assert back.retry_after_seconds == 1.5
    assert back.details == {"limit": "32", "request_id": "call-2"}


@pytest.mark.parametrize(
    ("error", "pushback"),
    [
        (errors.QueueFullError("", retry_after_seconds=0.3), "300"),
        (errors.ModelLoadingError("", retry_after_seconds=1), "1000"),
        (errors.MessageTooLargeError(""), "-1"),
        (errors.OutOfMemoryError(""), "-1"),
        (errors.InvalidFieldError(""), None),
    ],
)
def test_pushback_tells_grpc_whether_and_when_to_retry(error: CrystalMeshError, pushback: str | None) -> None:
    """A hint becomes gRPC's pushback, and what a retry cannot help among retried codes forbids it."""
    assert dict(statuses.trailing_metadata(error, "id")).get(statuses.PUSHBACK_KEY) == pushback


@pytest.mark.parametrize("letter", ["a", "Å", "晶", "💎", "\n", "\ud800"])
def test_what_is_said_fits_into_a_trailer(letter: str) -> None:
    """However long message and details are and in whichever script, the trailers stay below gRPC's limit."""
    details = {f"field_{number}": letter * 5000 for number in range(20)}
    error = errors.InvalidFieldError(letter * 50_000, **details)
    message = statuses.short_message(error)
    size = len(message.encode()) * (1 if letter == "a" else 3)  # percent-encoded
    for key, value in statuses.trailing_metadata(error, "r" * 64):
        # Binary metadata goes as base64, and each entry counts 32 bytes more.
        size += len(key) + 32 + (len(value) * 4 // 3 + 4 if isinstance(value, bytes) else len(value))
    assert size < TRAILER_BYTES
    assert message
    assert statuses.from_rpc_failure(
        Failure(error.code, message, statuses.trailing_metadata(error, "r"))
    ).details["field_0"]


def test_an_unknown_exception_is_told_to_nobody() -> None:
    """What is no error of ours, or has no reason, becomes INTERNAL without any of its text."""
    for error in (ValueError("/etc/shadow"), CrystalMeshError("/etc/shadow"), errors.CrystalError("/etc")):
        reported = statuses.as_reportable(error)
        assert isinstance(reported, errors.InternalError)
        assert "/etc" not in str(statuses.to_status(reported))


def test_an_error_of_ours_is_reported_as_it_is() -> None:
    """Errors with a reason pass unchanged."""
    error = errors.OverlappingAtomsError("too close")
    assert statuses.as_reportable(error) is error


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (StatusCode.CANCELLED, errors.CallCancelledError),
        (StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceededError),
        (StatusCode.INVALID_ARGUMENT, errors.InvalidRequestError),
        (StatusCode.NOT_FOUND, errors.NotFoundError),
        (StatusCode.RESOURCE_EXHAUSTED, errors.QueueFullError),
        (StatusCode.UNAUTHENTICATED, errors.TokenInvalidError),
        (StatusCode.UNAVAILABLE, errors.UnreachableError),
        (StatusCode.UNIMPLEMENTED, errors.UnknownMethodError),
        (StatusCode.INTERNAL, errors.InternalError),
        (StatusCode.UNKNOWN, errors.InternalError),
        (StatusCode.DATA_LOSS, errors.InternalError),
    ],
)
def test_a_bare_code_from_grpc_or_a_proxy_finds_its_class(
    code: StatusCode, cls: type[CrystalMeshError]
) -> None:
    """A failure without our details maps by its code, from a call and from a status alike."""
    assert type(statuses.from_rpc_failure(Failure(code, "from a proxy"))) is cls
    assert type(statuses.from_status(status_pb2.Status(code=code.value[0], message="from a proxy"))) is cls


def test_grpcs_own_refusal_of_a_large_message_is_recognised() -> None:
    """RESOURCE_EXHAUSTED from gRPC's message limit is MESSAGE_TOO_LARGE and no full queue."""
    message = "Received message larger than max (5 vs. 4)"
    error = statuses.from_rpc_failure(Failure(StatusCode.RESOURCE_EXHAUSTED, message))
    assert isinstance(error, errors.MessageTooLargeError)


def test_a_failure_without_message_or_with_broken_details_still_maps() -> None:
    """Missing text and undecodable details fall back to the code."""
    broken = [(statuses.STATUS_DETAILS_KEY, b"\xff\xff\xff")]
    error = statuses.from_rpc_failure(Failure(StatusCode.UNAVAILABLE, None, broken))
    assert isinstance(error, errors.UnreachableError)
    assert "UNAVAILABLE" in error.message


def foreign_status(reason: str, domain: str) -> status_pb2.Status:
    status = status_pb2.Status(code=StatusCode.UNAVAILABLE.value[0], message="elsewhere")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain))
    return status


@pytest.mark.parametrize(
    "status",
    [
        foreign_status("QUEUE_FULL", "googleapis.com"),
        foreign_status("A_REASON_OF_THE_FUTURE", statuses.DOMAIN),
        status_pb2.Status(code=14, details=[Any(type_url="type.googleapis.com/x.Y", value=b"?")]),
    ],
)
def test_foreign_statuses_map_by_code_alone(status: status_pb2.Status) -> None:
    """Another domain's reason, a reason of the future and unknown details do not mislead."""
    assert type(statuses.from_status(status)) is errors.UnreachableError


def test_a_code_that_does_not_exist_is_internal() -> None:
    """A number that is no gRPC code does not crash the client."""
    assert type(statuses.from_status(status_pb2.Status(code=999))) is errors.InternalError
