"""A service of our own, for as long as it is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from crystalmesh_client import Mesh
from crystalmesh_common.runtime.errors import UnavailableError

_START_SECONDS = 900.0
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.2


@contextmanager
def own_relaxation(*arguments: str, workers: int = 1) -> Iterator[Mesh]:
    """A relaxation service that is started here and stopped after; it serves when this yields.

    `workers` are its processes, of one thread each; `arguments` are its other flags. Raises UnavailableError
    where it does not come up.
    """
    arguments = ("--workers", str(workers), "--threads", "1", *arguments)
    with _own("crystalmesh_relaxation", arguments) as mesh:
        _wait_until(lambda: mesh.relaxation.models()[0].ready)
        yield mesh


@contextmanager
def own_property() -> Iterator[Mesh]:
    """The same with the property service and the models that ship; raises as `own_relaxation`."""
    with _own("crystalmesh_property", ()) as mesh:
        _wait_until(lambda: any(card.ready for card in mesh.property.models()))
        yield mesh


@contextmanager
def _own(package: str, arguments: Sequence[str]) -> Iterator[Mesh]:
    with tempfile.TemporaryDirectory(prefix="crystalmesh-starter-") as folder:
        endpoint, log = Path(folder) / "endpoint.json", Path(folder) / "log"
        command = [sys.executable, "-m", package, "--endpoint-file", str(endpoint)]
        command += ["--parent-pid", str(os.getpid()), *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            with Mesh(_address(process, endpoint, log)) as mesh:
                yield mesh
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: subprocess.Popen[bytes], endpoint: Path, log: Path) -> str:
    end = time.monotonic() + _START_SECONDS
    while not endpoint.exists():
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text(errors="replace")[-2000:]
            raise UnavailableError(f"the service did not come up; it said:\n{said}")
        time.sleep(_POLL_SECONDS)
    return str(json.loads(endpoint.read_text())["address"])


def _wait_until(is_ready: Callable[[], bool]) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            if is_ready():
                return
            problem = UnavailableError("the service does not come to serve a model")
        except UnavailableError as error:
            problem = error
        if time.monotonic() > end:
            raise problem
        time.sleep(_POLL_SECONDS)
