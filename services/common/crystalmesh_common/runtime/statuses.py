"""Errors on the wire: the exception tree to `google.rpc.Status` and back.

Every status of ours carries exactly one `google.rpc.ErrorInfo` with the reason, and a
`google.rpc.RetryInfo` where a retry may help. Nothing else of an exception leaves the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode

from crystalmesh_common.runtime.errors import (
    STATUS_TABLE,
    CallCancelledError,
    CrystalMeshError,
    DeadlineExceededError,
    InternalError,
    InvalidRequestError,
    MessageTooLargeError,
    NotFoundError,
    QueueFullError,
    TokenInvalidError,
    UnknownMethodError,
    UnreachableError,
)

DOMAIN = "crystalmesh"
STATUS_DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
REQUEST_ID_KEY = "x-request-id"
# gRPC drops trailers beyond 8 KiB, so what we say stays below: the message goes once percent-encoded, up
# to three bytes for one, and once with all details as base64, four bytes for three.
MAX_MESSAGE_BYTES = 1000
MAX_DETAIL_BYTES = 500
MAX_DETAILS_BYTES = 1800

CODES_BY_NUMBER: Mapping[int, StatusCode] = {code.value[0]: code for code in StatusCode}

# What a bare status means when it comes from gRPC itself or from a proxy, and not from our servers.
_BARE_STATUSES: Mapping[StatusCode, type[CrystalMeshError]] = {
    StatusCode.CANCELLED: CallCancelledError,
    StatusCode.DEADLINE_EXCEEDED: DeadlineExceededError,
    StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    StatusCode.NOT_FOUND: NotFoundError,
    StatusCode.RESOURCE_EXHAUSTED: QueueFullError,
    StatusCode.UNAUTHENTICATED: TokenInvalidError,
    StatusCode.UNAVAILABLE: UnreachableError,
    StatusCode.UNIMPLEMENTED: UnknownMethodError,
}


def as_reportable(error: BaseException) -> CrystalMeshError:
    """The error itself if callers may see it, else an InternalError that tells nothing of it."""
    if isinstance(error, CrystalMeshError) and error.reason:
        return error
    return InternalError("the server failed on this request; the operator finds the cause in its log")


def to_status(error: CrystalMeshError, request_id: str = "") -> status_pb2.Status:
    """The status that reports `error`, with the request id for the operator's log."""
    metadata = _short_details(error.details)
    if request_id:
        metadata["request_id"] = request_id
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    status = status_pb2.Status(code=error.code.value[0], message=short_message(error))
    status.details.add().Pack(info)
    if error.retry_after_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(error.retry_after_seconds * 1000))
        status.details.add().Pack(retry)
    return status


def short_message(error: CrystalMeshError) -> str:
    """The message, cut to what a trailer can carry."""
    return _cut(error.message, MAX_MESSAGE_BYTES)


def trailing_metadata(error: CrystalMeshError, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """What goes beside code and message when a call fails whole."""
    metadata: list[tuple[str, str | bytes]] = [
        (STATUS_DETAILS_KEY, to_status(error, request_id).SerializeToString()),
        (REQUEST_ID_KEY, request_id),
    ]
    if error.retry_after_seconds is not None:
        # gRPC's own retries wait this long instead of guessing.
        metadata.append((PUSHBACK_KEY, str(int(error.retry_after_seconds * 1000))))
    elif error.code is StatusCode.RESOURCE_EXHAUSTED:
        # Clients retry this code; a negative pushback tells them that here it is no use.
        metadata.append((PUSHBACK_KEY, "-1"))
    return tuple(metadata)


def from_status(status: status_pb2.Status) -> CrystalMeshError:
    """The error that `status` reports, of the same class that the server raised where we know it."""
    info, retry_after = _details(status)
    if info is not None and info.domain == DOMAIN and info.reason in STATUS_TABLE:
        cls = STATUS_TABLE[info.reason]
        error = cls(status.message, retry_after_seconds=retry_after)
        error.details = dict(info.metadata)
        return error
    code = CODES_BY_NUMBER.get(status.code, StatusCode.UNKNOWN)
    return _BARE_STATUSES.get(code, InternalError)(status.message)


class RpcFailure(Protocol):
    """What the sync and async errors of grpc have in common."""

    def code(self) -> StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None: ...


def from_rpc_failure(failure: RpcFailure) -> CrystalMeshError:
    """The error behind a failed call, from its status details, else from its bare code."""
    for key, value in failure.trailing_metadata() or ():
        if key == STATUS_DETAILS_KEY and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break
    code, message = failure.code(), failure.details() or ""
    if code is StatusCode.RESOURCE_EXHAUSTED and "larger than max" in message:
        return MessageTooLargeError(message)
    return _BARE_STATUSES.get(code, InternalError)(message or f"call failed with {code.name}")


def _details(status: status_pb2.Status) -> tuple[error_details_pb2.ErrorInfo | None, float | None]:
    info: error_details_pb2.ErrorInfo | None = None
    retry_after: float | None = None
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
    return info, retry_after


def _short_details(details: Mapping[str, str]) -> dict[str, str]:
    """As many of the details as a trailer can carry, in order, each cut to a length of its own."""
    short: dict[str, str] = {}
    room = MAX_DETAILS_BYTES
    for key, value in details.items():
        short[key] = _cut(value, min(MAX_DETAIL_BYTES, room))
        room = max(0, room - len(key) - len(short[key].encode()))
    return short


def _cut(text: str, max_bytes: int) -> str:
    return text.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")
