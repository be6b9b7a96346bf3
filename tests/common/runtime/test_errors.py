from __future__ import annotations

from collections import Counter

import pytest
from grpc import StatusCode

from crystalmesh.common.v1.error_reason_pb2 import ErrorReason
from crystalmesh_common.runtime.errors import STATUS_TABLE, CrystalMeshError

PREFIX = "ERROR_REASON_"
# As the comments of error_reason.proto say it.
CODES = {
    StatusCode.INVALID_ARGUMENT: {
        "INVALID_FIELD", "UNKNOWN_ENUM_VALUE", "EMPTY_BATCH", "DUPLICATE_ID", "MALFORMED_MESSAGE",
        "UNREADABLE_CRYSTAL", "INVALID_CRYSTAL", "DISORDERED_CRYSTAL", "OVERLAPPING_ATOMS", "TOO_MANY_ATOMS",
        "TOO_MANY_CRYSTALS", "INVALID_PAGE_TOKEN", "CONTRADICTORY_TARGET",
    },
    StatusCode.FAILED_PRECONDITION: {
        "UNSUPPORTED_ELEMENT", "ISOLATED_ATOM", "UNSUPPORTED_QUANTITY", "MIXED_ENERGY_SCHEMES",
        "REFERENCE_INCOMPLETE", "WRONG_STATE", "SANDBOX_UNAVAILABLE", "SCORECARD_CHANGED",
        "NO_SUBSTITUTION",
    },
    StatusCode.NOT_FOUND: {"MODEL_NOT_FOUND", "RESOURCE_NOT_FOUND"},
    StatusCode.ALREADY_EXISTS: {"REQUEST_ID_REUSED"},
    StatusCode.UNAUTHENTICATED: {"TOKEN_MISSING", "TOKEN_INVALID"},
    StatusCode.RESOURCE_EXHAUSTED: {"QUEUE_FULL", "MESSAGE_TOO_LARGE", "OUT_OF_MEMORY", "STORAGE_FULL"},
    StatusCode.DEADLINE_EXCEEDED: {"DEADLINE_EXCEEDED"},
    StatusCode.CANCELLED: {"CALL_CANCELLED"},
    StatusCode.UNAVAILABLE: {"MODEL_LOADING", "SHUTTING_DOWN", "UNREACHABLE", "DATABASE_BUSY"},
    StatusCode.ABORTED: {"WRITER_BUSY"},
    StatusCode.UNIMPLEMENTED: {"NOT_IMPLEMENTED_YET", "UNKNOWN_METHOD"},
    StatusCode.INTERNAL: {"MODEL_FAILED", "INTERNAL"},
    StatusCode.DATA_LOSS: {"DATA_CORRUPT"},
}  # fmt: skip


def all_classes(parent: type[CrystalMeshError] = CrystalMeshError) -> list[type[CrystalMeshError]]:
    """The whole tree of this library, root first."""
    ours = [child for child in parent.__subclasses__() if child.__module__ == parent.__module__]
    return [parent, *(cls for child in ours for cls in all_classes(child))]


def test_every_reason_of_the_api_has_exactly_one_class() -> None:
    """The exception tree and the proto's ErrorReason name the same reasons, each once."""
    ours = Counter(cls.reason for cls in all_classes() if "reason" in vars(cls) and cls.reason)
    of_the_api = {name.removeprefix(PREFIX) for name in ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
    assert ours == Counter(of_the_api)
    assert set(STATUS_TABLE) == of_the_api


@pytest.mark.parametrize(
    ("reason", "code"), [(reason, code) for code, reasons in CODES.items() for reason in sorted(reasons)]
)
def test_every_reason_has_the_code_that_the_api_documents(reason: str, code: StatusCode) -> None:
    """The gRPC code of each class is the one that stands beside its reason in the proto."""
    assert STATUS_TABLE[reason].code is code


def test_the_code_table_is_complete() -> None:
    """No reason is missing from the table above."""
    assert set().union(*CODES.values()) == set(STATUS_TABLE)


def test_details_are_text_and_the_message_is_what_str_shows() -> None:
    """Details are kept as text by name, whatever type they were given as."""
    error = STATUS_TABLE["TOO_MANY_ATOMS"]("too many", atoms=10_001, retry_after_seconds=None)
    assert (str(error), error.message, error.details) == ("too many", "too many", {"atoms": "10001"})
    assert error.retry_after_seconds is None
