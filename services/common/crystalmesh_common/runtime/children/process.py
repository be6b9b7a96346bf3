"""A child process as seen from its service: started, asked, and started again when it dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import ClassVar

import structlog

from crystalmesh_common.runtime.children import pipes
from crystalmesh_common.runtime.children.pipes import Kind
from crystalmesh_common.runtime.errors import ModelFailedError

_log = structlog.get_logger(__name__)


class ChildLostError(ModelFailedError):
    """The process died over a batch: killed, out of memory, or crashed by a crystal."""


class ChildProcess:
    """A process that works on batches, one at a time. For one thread at a time."""

    module: ClassVar[str]
    """What it runs, with `child.serve` at its heart."""
    name: ClassVar[str]
    """What the log calls it."""

    def __init__(self, start: bytes, environment: Mapping[str, str]) -> None:
        """`environment` is added to that of the service."""
        self._start_body = start
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs now; None where there is none."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End it; it finishes the batch that it has."""
        if self._process is not None:
            self._ended(self._process)

    def _start(self) -> bytes:
        """Start it and wait until it has loaded, and what it says of that; raises what loading raised."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **self._environment},
            # Not in the terminal's group: the service drains after Ctrl-C, and needs it for that.
            start_new_session=True,
        )
        self._send(Kind.START, self._start_body)
        kind, body = self._receive()
        if kind is Kind.FAILED:
            self.close()
            raise pipes.error_from_bytes(body)
        return body

    def _outcomes(self, batch: bytes, count: int) -> list[bytes]:
        """The outcome of each item of a batch, in order.

        When the process dies, the next batch is given to a new one. A single item is tried twice; for a
        larger batch, ChildLostError is raised at once, so that its items can be tried one by one.
        """
        try:
            return self._asked(batch, count)
        except ChildLostError:
            if count > 1:
                raise
        try:
            return self._asked(batch, count)
        except ChildLostError:
            raise ChildLostError(
                "the process that runs the model died over this crystal, twice; more of it is in the log"
            ) from None

    def _asked(self, batch: bytes, count: int) -> list[bytes]:
        if self._process is None:
            self._start()
        self._send(Kind.BATCH, batch)
        outcomes: list[bytes] = []
        for _ in range(count):
            kind, body = self._receive()
            if kind is Kind.FAILED:
                raise pipes.error_from_bytes(body)
            outcomes.append(body)
        return outcomes

    def _send(self, kind: Kind, body: bytes) -> None:
        process = self._running()
        assert process.stdin is not None  # noqa: S101 -- we asked for a pipe
        try:
            pipes.write(process.stdin, (kind, body))
        except BrokenPipeError:
            raise self._lost() from None

    def _receive(self) -> tuple[Kind, bytes]:
        process = self._running()
        assert process.stdout is not None  # noqa: S101 -- we asked for a pipe
        try:
            return pipes.read(process.stdout)
        except EOFError:
            raise self._lost() from None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ChildLostError("the process that runs the model was closed")
        return self._process

    def _lost(self) -> ChildLostError:
        process = self._running()
        status = self._ended(process)
        _log.error(f"{self.name}_lost", pid=process.pid, status=status)
        return ChildLostError(f"the process that runs the model died (status {status})")

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        """Close the pipes to it, which ends it, and wait for that; its exit status."""
        self._process = None
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):  # what it did not read any more
                    pipe.close()
        return process.wait()
