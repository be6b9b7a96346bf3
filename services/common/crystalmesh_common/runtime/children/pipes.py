"""What a service and its child processes say to each other.

A message is a kind of one byte, a length of four, and a body, which each service defines. Nothing that could
be executed is ever read.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import IO

from google.rpc.status_pb2 import Status

from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.statuses import from_status, to_status

_HEADER = struct.Struct(">cI")


class Kind(Enum):
    """What a message is."""

    START = b"S"  # to the child: what to load
    LOADED = b"L"  # from it: what was loaded
    FAILED = b"F"  # from it: why nothing was loaded, or why a batch failed whole
    BATCH = b"B"  # to it: what to work on
    OUTCOME = b"O"  # from it: what came of one item of the batch, in order


def write(pipe: IO[bytes], *messages: tuple[Kind, bytes]) -> None:
    """Send messages; they are under way when this returns."""
    pipe.write(b"".join(_HEADER.pack(kind.value, len(body)) + body for kind, body in messages))
    pipe.flush()


def read(pipe: IO[bytes]) -> tuple[Kind, bytes]:
    """Wait for a message; raises EOFError when the other end has gone."""
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise EOFError
    kind, length = _HEADER.unpack(header)
    body = pipe.read(length)
    if len(body) < length:
        raise EOFError
    return Kind(kind), body


def error_to_bytes(error: CrystalMeshError) -> bytes:
    status: bytes = to_status(error).SerializeToString()
    return status


def error_from_bytes(body: bytes) -> CrystalMeshError:
    return from_status(Status.FromString(body))
