"""The one exception tree. Servers raise it, clients get it back, the wire carries it in between.

Every class that is raised has one reason (`crystalmesh.common.v1.ErrorReason`) and one gRPC code; that
pairing is the status table, and `error_for_reason` is its inverse. Translation to and from
`google.rpc.Status` lives in `statuses.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from grpc import StatusCode


class CrystalMeshError(Exception):
    """Anything that CrystalMesh reports as failed.

    `reason` is stable and meant for programs, the message is meant for people, `details` holds the
    offending field, id or limit by name, and `retry_after_seconds` is set where a retry may help.
    """

    code: ClassVar[StatusCode] = StatusCode.UNKNOWN
    reason: ClassVar[str] = ""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, str] = {key: str(value) for key, value in details.items()}
        self.retry_after_seconds = retry_after_seconds


class InvalidRequestError(CrystalMeshError):
    """The request can never succeed as it is."""

    code = StatusCode.INVALID_ARGUMENT


class InvalidFieldError(InvalidRequestError):
    """A field is missing or out of its range."""

    reason = "INVALID_FIELD"


class UnknownEnumValueError(InvalidRequestError):
    """An enum field holds a number that this server does not know."""

    reason = "UNKNOWN_ENUM_VALUE"


class EmptyBatchError(InvalidRequestError):
    """A batch without items."""

    reason = "EMPTY_BATCH"


class DuplicateIdError(InvalidRequestError):
    """Two items of a batch share an id."""

    reason = "DUPLICATE_ID"


class MalformedMessageError(InvalidRequestError):
    """The bytes are not the message that the method takes."""

    reason = "MALFORMED_MESSAGE"


class TooManyCrystalsError(InvalidRequestError):
    """More crystals than this server takes in one call."""

    reason = "TOO_MANY_CRYSTALS"


class InvalidPageTokenError(InvalidRequestError):
    """The page token was not issued for this listing."""

    reason = "INVALID_PAGE_TOKEN"


class ContradictoryTargetError(InvalidRequestError):
    """The parts of a target exclude each other."""

    reason = "CONTRADICTORY_TARGET"


class CrystalError(InvalidRequestError):
    """Something is wrong with one crystal."""


class UnreadableCrystalError(CrystalError):
    """The text is not a readable CIF or POSCAR."""

    reason = "UNREADABLE_CRYSTAL"


class InvalidCrystalError(CrystalError):
    """Numbers that are no crystal: NaN, a flat cell, arrays that disagree in length."""

    reason = "INVALID_CRYSTAL"


class DisorderedCrystalError(CrystalError):
    """A site is partially occupied or shared by several elements."""

    reason = "DISORDERED_CRYSTAL"


class OverlappingAtomsError(CrystalError):
    """Two atoms are closer than any bond."""

    reason = "OVERLAPPING_ATOMS"


class TooManyAtomsError(CrystalError):
    """More atoms than this server takes in one crystal."""

    reason = "TOO_MANY_ATOMS"


class PreconditionError(CrystalMeshError):
    """The request is well formed, and this model or resource cannot serve it."""

    code = StatusCode.FAILED_PRECONDITION


class UnsupportedElementError(PreconditionError):
    """The model does not know an element of the crystal."""

    reason = "UNSUPPORTED_ELEMENT"


class IsolatedAtomError(PreconditionError):
    """An atom has no neighbour within the model's cutoff."""

    reason = "ISOLATED_ATOM"


class UnsupportedQuantityError(PreconditionError):
    """The model cannot give the asked quantity."""

    reason = "UNSUPPORTED_QUANTITY"


class MixedEnergySchemesError(PreconditionError):
    """Energies of different correction schemes cannot share a hull."""

    reason = "MIXED_ENERGY_SCHEMES"


class ReferenceIncompleteError(PreconditionError):
    """The reference has no entry for an element of the crystal."""

    reason = "REFERENCE_INCOMPLETE"


class WrongStateError(PreconditionError):
    """The resource's state does not allow this."""

    reason = "WRONG_STATE"


class SandboxUnavailableError(PreconditionError):
    """The machine cannot run code in a sandbox."""

    reason = "SANDBOX_UNAVAILABLE"


class ScorecardChangedError(PreconditionError):
    """The scorecard of a study is no longer the one that it began with."""

    reason = "SCORECARD_CHANGED"


class NoSubstitutionError(PreconditionError):
    """No replacement of a reference's elements makes what the target demands; another reference may do."""

    reason = "NO_SUBSTITUTION"


class NotFoundError(CrystalMeshError):
    """What the request names does not exist here."""

    code = StatusCode.NOT_FOUND


class ModelNotFoundError(NotFoundError):
    """No model of this name is served here."""

    reason = "MODEL_NOT_FOUND"


class ResourceNotFoundError(NotFoundError):
    """Nothing of that kind has this name or id; `details["resource"]` says what kind."""

    reason = "RESOURCE_NOT_FOUND"


class RequestIdReusedError(CrystalMeshError):
    """The request id was used before with other content."""

    code = StatusCode.ALREADY_EXISTS
    reason = "REQUEST_ID_REUSED"


class AuthenticationError(CrystalMeshError):
    """The caller did not prove who it is."""

    code = StatusCode.UNAUTHENTICATED


class TokenMissingError(AuthenticationError):
    """No bearer token was sent."""

    reason = "TOKEN_MISSING"


class TokenInvalidError(AuthenticationError):
    """The bearer token is not one of this server's."""

    reason = "TOKEN_INVALID"


class ExhaustedError(CrystalMeshError):
    """Something ran out."""

    code = StatusCode.RESOURCE_EXHAUSTED


class QueueFullError(ExhaustedError):
    """The queue is full; safe to retry after `retry_after_seconds`."""

    reason = "QUEUE_FULL"


class MessageTooLargeError(ExhaustedError):
    """The message is larger than this server takes; a retry will not help."""

    reason = "MESSAGE_TOO_LARGE"


class OutOfMemoryError(ExhaustedError):
    """The device ran out of memory on this item."""

    reason = "OUT_OF_MEMORY"


class StorageFullError(ExhaustedError):
    """The disk is full; what was acknowledged is safe."""

    reason = "STORAGE_FULL"


class WriterBusyError(CrystalMeshError):
    """Another writer holds the catalog; safe to retry once it is done."""

    code = StatusCode.ABORTED
    reason = "WRITER_BUSY"


class UnavailableError(CrystalMeshError):
    """Not now; safe to retry."""

    code = StatusCode.UNAVAILABLE


class ModelLoadingError(UnavailableError):
    """The model is still loading."""

    reason = "MODEL_LOADING"


class ShuttingDownError(UnavailableError):
    """The server is draining before it stops."""

    reason = "SHUTTING_DOWN"


class UnreachableError(UnavailableError):
    """No connection could be made, or it was lost. Only clients raise it."""

    reason = "UNREACHABLE"


class DatabaseBusyError(UnavailableError):
    """The database is locked or out of reach; safe to retry."""

    reason = "DATABASE_BUSY"


class DeadlineExceededError(CrystalMeshError):
    """The deadline passed, or had passed when the call arrived."""

    code = StatusCode.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class CallCancelledError(CrystalMeshError):
    """The caller went away or cancelled."""

    code = StatusCode.CANCELLED
    reason = "CALL_CANCELLED"


class UnimplementedError(CrystalMeshError):
    """The method is not served here."""

    code = StatusCode.UNIMPLEMENTED


class NotImplementedYetError(UnimplementedError):
    """The method is part of the API, and this version does not do it yet."""

    reason = "NOT_IMPLEMENTED_YET"


class UnknownMethodError(UnimplementedError):
    """No such method is hosted by the server."""

    reason = "UNKNOWN_METHOD"


class DataCorruptError(CrystalMeshError):
    """A stored file does not match its checksum."""

    code = StatusCode.DATA_LOSS
    reason = "DATA_CORRUPT"


class InternalError(CrystalMeshError):
    """A fault of ours; quote the request id when you report it."""

    code = StatusCode.INTERNAL
    reason = "INTERNAL"


class ModelFailedError(InternalError):
    """The model failed on this item."""

    reason = "MODEL_FAILED"


def _raised_classes(parent: type[CrystalMeshError]) -> Iterator[type[CrystalMeshError]]:
    for child in parent.__subclasses__():
        if "reason" in vars(child):
            yield child
        yield from _raised_classes(child)


STATUS_TABLE: Mapping[str, type[CrystalMeshError]] = {
    cls.reason: cls for cls in _raised_classes(CrystalMeshError)
}
"""The exception class of every reason; its `code` is the gRPC code. A test holds it to the proto."""
