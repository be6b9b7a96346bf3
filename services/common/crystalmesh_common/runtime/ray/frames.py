"""What a replica answers: a message, or the error that ends the call, told apart by one byte.

Serve passes an exception's text on but neither its details nor its trailing metadata, so errors travel as
answers. Between edge and replica only; clients never see a frame.
"""

from __future__ import annotations

from google.rpc import status_pb2

from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.statuses import from_status, to_status

_MESSAGE = b"\x00"
_ERROR = b"\x01"


class Frame:
    """Bytes with the one method that Serve wants of an answer."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def SerializeToString(self) -> bytes:  # noqa: N802 -- Serve takes it for a protobuf message
        return self._content


def message_frame(message: bytes) -> Frame:
    return Frame(_MESSAGE + message)


def error_frame(error: CrystalMeshError, request_id: str) -> Frame:
    return Frame(_ERROR + to_status(error, request_id).SerializeToString())


def open_frame(content: bytes) -> bytes | CrystalMeshError:
    """The message, or the error in place of one."""
    if content[:1] == _MESSAGE:
        return content[1:]
    return from_status(status_pb2.Status.FromString(content[1:]))
