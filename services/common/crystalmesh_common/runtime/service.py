"""From a service's definition to a running process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol

import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from crystalmesh_common.runtime.addresses import with_port
from crystalmesh_common.runtime.auth import server_credentials, token_guard
from crystalmesh_common.runtime.health import SERVICE_NAME as HEALTH_SERVICE
from crystalmesh_common.runtime.health import Health
from crystalmesh_common.runtime.logs import configure_logs
from crystalmesh_common.runtime.methods import AddToServer, Method, collect_methods
from crystalmesh_common.runtime.metrics import Metrics, serve_metrics
from crystalmesh_common.runtime.pipeline import CallPipeline
from crystalmesh_common.runtime.runner import Runner
from crystalmesh_common.runtime.settings import SettingsError, SettingsT, load_settings
from crystalmesh_common.runtime.standalone import PipelineHandler, StandaloneServer
from crystalmesh_common.runtime.tracing import configure_tracing

_log = structlog.get_logger(__name__)


class Companion(Protocol):
    """Work of a service that goes on beside its calls, on the event loop of its server."""

    async def start(self) -> None:
        """Begin; the service is ready once this has returned."""

    async def drain(self) -> None:
        """End the calls that would wait for long: no new ones come."""

    async def stop(self) -> None:
        """End, after the last call."""


@dataclass(frozen=True)
class Hosted:
    """What a service brings to whichever runtime hosts it."""

    registrations: Sequence[AddToServer]
    runners: Sequence[Runner[Any, Any, Any]] = ()
    companions: Sequence[Companion] = ()


@dataclass(frozen=True)
class Service(Generic[SettingsT]):
    """One deployable unit: its name everywhere, its settings, and how to build its servicers."""

    name: str
    settings: type[SettingsT]
    build: Callable[[SettingsT, Metrics], Hosted]


def main(service: Service[SettingsT], arguments: Sequence[str] | None = None) -> int:
    """Run `service` standalone until SIGTERM or SIGINT; the exit status of the process.

    2: the settings cannot be used. 1: the model could not be loaded. 0: stopped as asked.
    """
    # What gRPC's core would print beside our log, in a format of its own, we report ourselves.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        settings = load_settings(
            service.settings, service.name, sys.argv[1:] if arguments is None else arguments
        )
        configure_logs(service.name, level=settings.log_level, form=settings.log_format)
        return asyncio.run(_serve(service, settings))
    except SettingsError as error:
        print(f"crystalmesh {service.name}: {error}", file=sys.stderr)
        return 2


async def _serve(service: Service[SettingsT], settings: SettingsT) -> int:
    process = StandaloneProcess(service, settings)
    await process.start()
    stop = asyncio.Event()
    stop_on_signals(stop)
    watching = asyncio.create_task(stop_without_parent(settings.parent_pid, stop))
    loading = asyncio.create_task(process.load())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    failed = loading.done() and not loading.result()
    if not failed:
        await stopping
    watching.cancel()
    loading.cancel()  # otherwise it would report SERVING in the middle of the drain
    await process.stop()
    return 1 if failed else 0


class StandaloneProcess(Generic[SettingsT]):
    """A service on a grpc.aio server of its own: listens at once, serves once its model is loaded."""

    def __init__(self, service: Service[SettingsT], settings: SettingsT) -> None:
        self._service = service
        self._settings = settings
        self._metrics = Metrics(service.name)
        self._hosted = service.build(settings, self._metrics)
        self._tracing = configure_tracing(service.name, settings.traces_endpoint)
        methods = collect_methods(self._hosted.registrations)
        self._names = sorted({method.service for method in methods.values()})
        self._health = Health(self._names)
        self._pipeline = CallPipeline(self._metrics, settings.limits, token_guard(settings), self._tracing)
        self._server = StandaloneServer(
            settings,
            server_credentials(settings),
            PipelineHandler(self._pipeline, methods | self._reflection()),
        )
        # Probes carry no token, and must hear from a server that refuses everybody else.
        self._server.host(
            lambda server: health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        )
        self._metrics_port: int | None = None

    @property
    def port(self) -> int:
        """The port listened on, once started."""
        return self._server.port

    async def start(self) -> None:
        """Listen, NOT_SERVING until `load` has returned."""
        settings = self._settings
        await self._health.set_serving(serving=False)
        # First what may fail: a gRPC server that has started does not go quietly.
        if settings.metrics_port >= 0:
            self._metrics_port = self._serve_metrics()
        await self._server.start()
        if settings.endpoint_file is not None:
            self._write_endpoint(settings.endpoint_file)
        _log.info("listening", host=settings.host, port=self.port, metrics_port=self._metrics_port)

    async def load(self) -> bool:
        """Load the models and report SERVING; False, with the cause logged, when one cannot be loaded."""
        try:
            for runner in self._hosted.runners:
                await runner.start()
            for companion in self._hosted.companions:
                await companion.start()
        except Exception as error:  # noqa: BLE001 -- whatever a model raises, its server cannot serve
            _log.error("model_not_loaded", exc_info=error)
            return False
        await self._health.set_serving(serving=True)
        _log.info("ready")
        return True

    async def stop(self) -> None:
        """Drain: NOT_SERVING first, then refuse new calls, then let running ones end."""
        _log.info("draining")
        await self._health.set_serving(serving=False)
        for companion in self._hosted.companions:
            await companion.drain()
        await self._server.stop(self._pipeline)
        for companion in self._hosted.companions:
            await companion.stop()
        for runner in self._hosted.runners:
            await runner.stop()
        if self._tracing is not None:
            self._tracing.shutdown()
        _log.info("stopped")

    def _serve_metrics(self) -> int:
        host, port = self._settings.host, self._settings.metrics_port
        try:
            return serve_metrics(self._metrics, host.strip("[]"), port)
        except OSError as error:
            raise SettingsError(
                f"metrics_port: cannot listen on {with_port(host, port)}: {error.strerror}"
            ) from None

    def _reflection(self) -> dict[str, Method]:
        names = [*self._names, HEALTH_SERVICE, reflection.SERVICE_NAME]
        servicer = reflection.aio.ReflectionServicer(names)
        return collect_methods(
            [lambda server: reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)]
        )

    def _write_endpoint(self, path: Path) -> None:
        """Tell whoever started us where we are; atomic, so that no reader sees half of it."""
        settings = self._settings
        endpoint = {
            "service": self._service.name,
            "address": with_port(settings.host, self.port),
            "tls": settings.tls_certificate is not None,
            "metrics_address": self._metrics_port and with_port(settings.host, self._metrics_port),
            "hosted": self._names,
            "pid": os.getpid(),
        }
        scratch = path.with_suffix(".partial")
        scratch.write_text(json.dumps(endpoint))
        scratch.replace(path)


def stop_on_signals(stop: asyncio.Event) -> None:
    """The first SIGTERM or SIGINT drains, a second one ends the process at once."""
    loop = asyncio.get_running_loop()

    def handle() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # not on Windows
            loop.add_signal_handler(number, handle)


async def stop_without_parent(parent_pid: int | None, stop: asyncio.Event) -> None:
    """Stop when the supervisor is gone: one that was killed cannot tell us."""
    while parent_pid is None or os.getppid() == parent_pid:  # noqa: ASYNC110 -- no event tells of this
        await asyncio.sleep(1)
    stop.set()
