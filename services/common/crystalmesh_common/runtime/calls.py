"""One RPC in flight, as servicers, logs and the runner see it, on either runtime."""

from __future__ import annotations

import itertools
import re
import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Protocol

_ACCEPTED_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PROCESS = secrets.token_hex(4)
_COUNTER = itertools.count(1)


class CallContext(Protocol):
    """What a servicer may ask of its call; a gRPC context has it, and so has `Call`."""

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline, negative once it has passed; None without a deadline."""
        ...


class Call:
    """Who called what, until when. Servicers get it as their `context`.

    It has nothing that would tie a servicer to one runtime.
    """

    __slots__ = ("deadline", "metadata", "method", "peer", "request_id")

    def __init__(
        self, method: str, metadata: Mapping[str, str | bytes], peer: str, deadline: float | None
    ) -> None:
        self.method = method  # "/crystalmesh.relaxation.v1.RelaxationService/Evaluate"
        self.metadata = metadata
        self.peer = peer
        self.deadline = deadline  # on time.monotonic's clock
        offered = metadata.get("x-request-id")
        if isinstance(offered, str) and _ACCEPTED_REQUEST_ID.fullmatch(offered):
            self.request_id = offered
        else:
            self.request_id = f"{_PROCESS}-{next(_COUNTER):x}"

    def time_remaining(self) -> float | None:
        return None if self.deadline is None else self.deadline - time.monotonic()


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)
"""The call that this task works for, None outside calls."""
