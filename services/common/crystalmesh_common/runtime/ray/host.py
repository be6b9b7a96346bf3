"""A mesh on a Ray of its own, on this machine, until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from crystalmesh_common.runtime.auth import server_credentials, token_guard
from crystalmesh_common.runtime.logs import configure_logs
from crystalmesh_common.runtime.ray.settings import SETTINGS_NAME, RaySettings, as_environment
from crystalmesh_common.runtime.service import stop_on_signals, stop_without_parent
from crystalmesh_common.runtime.settings import SettingsError, load_settings

_log = structlog.get_logger(__name__)

NAMESPACE = "crystalmesh"
_LOOPBACK = "127.0.0.1"
_RAY_VARIABLES: Mapping[str, str] = {
    # Ray takes 127.0.0.1 for the address of this node, as on macOS, and listens nowhere else.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Serve's gRPC proxy listens as our settings say.
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "crystalmesh_common.runtime.ray.binding:prepare_proxy",
    # Two meshes on one port would each get half of the calls; the second should fail instead.
    "SERVE_SOCKET_REUSE_PORT_ENABLED": "0",
    # Our code never blocks the event loop, so a second one only adds a hop to every call.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "0",
}
# Ours tell more of a call, and cost less than a line for each.
_SERVE_LOGS = {"enable_access_log": False}
_EDGE = "crystalmesh_common.runtime.ray.edge:add_edge_to_server"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit status of the process.

    2: the settings cannot be used. 1: Ray or a service did not start. 0: stopped as asked.
    """
    try:
        settings = load_settings(RaySettings, SETTINGS_NAME, sys.argv[1:] if arguments is None else arguments)
        configure_logs("ray", level=settings.log_level, form=settings.log_format)
        return run(settings)
    except SettingsError as error:
        print(f"crystalmesh ray: {error}", file=sys.stderr)
        return 2


def run(settings: RaySettings) -> int:
    """Start the mesh, tell where it is, wait for the end, stop it."""
    mesh = RayMesh(settings)
    try:
        mesh.start()
        asyncio.run(_until_told(settings.parent_pid))
    except KeyboardInterrupt:  # while starting
        return 130
    except RuntimeError as error:
        _log.error("not_started", error=str(error))
        return 1
    finally:
        mesh.stop()
    return 0


async def _until_told(parent_pid: int | None) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    watching = asyncio.create_task(stop_without_parent(parent_pid, stop))
    await stop.wait()
    watching.cancel()


class RayMesh:
    """A local Ray with Serve, and an application for every service."""

    def __init__(self, settings: RaySettings) -> None:
        """Raises SettingsError for what the processes of Ray would stumble over later."""
        server_credentials(settings)
        token_guard(settings)
        metrics_port = settings.metrics_port
        chosen = {
            "port": _free_port(settings.host, settings.port),
            "metrics_port": metrics_port if metrics_port < 0 else _free_port(settings.host, metrics_port),
            "services": settings.services,
            "host": settings.host,
        }
        self.settings = settings.model_copy(update=chosen)
        self._ray_started = self._serve_started = False

    @property
    def address(self) -> str:
        """Where all services answer."""
        return f"{self.settings.host}:{self.settings.port}"

    def start(self) -> None:
        """Return once calls are accepted; models may still load, which health tells.

        Raises SettingsError where a setting cannot be used, RuntimeError where Ray or Serve does not start.
        """
        settings = self.settings
        os.environ.update({**_RAY_VARIABLES, **as_environment(settings)})
        # Ray gives a worker one thread unless told; standalone services take all cores.
        os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
        import ray  # noqa: PLC0415 -- Ray reads its variables when it is imported
        from ray import serve  # noqa: PLC0415

        from crystalmesh_common.runtime.ray.applications import application  # noqa: PLC0415

        # Serve knows an application by its HTTP route, even where nothing answers there.
        targets = [
            serve.RunTarget(
                application(entry, ray_actor_options={"num_cpus": 0}, logging_config=_SERVE_LOGS),
                name=name,
                route_prefix=f"/{name}",
            )
            for name, entry in zip(settings.service_names, settings.service_entries, strict=True)
        ]
        self._ray_started = True
        ray.init(
            address="local",
            namespace=NAMESPACE,
            num_cpus=1,
            object_store_memory=settings.object_store_bytes,
            include_dashboard=False,
            _temp_dir=None if settings.ray_temp_dir is None else str(settings.ray_temp_dir),
        )
        self._serve_started = True
        try:
            serve.start(
                http_options={"host": _LOOPBACK, "port": _free_port(_LOOPBACK)},
                grpc_options={
                    "port": settings.port,
                    "grpc_servicer_functions": [_EDGE],
                    "enable_reflection": False,  # the edge has its own, behind the guard
                },
                logging_config=_SERVE_LOGS,
            )
            serve.run_many(targets)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, SettingsError):
                raise SettingsError(str(error.cause)) from None
            raise
        if settings.endpoint_file is not None:
            self._write_endpoint(settings.endpoint_file)
        _log.info("listening", address=self.address, services=settings.service_names)

    def stop(self) -> None:
        """Let running calls end within the services' drain times, then stop Serve and Ray."""
        if not self._ray_started:
            return
        import ray  # noqa: PLC0415
        from ray import serve  # noqa: PLC0415

        if self._serve_started:
            _log.info("draining")
            # Applications first: Serve alone would stop the proxy under the calls that still run.
            for name in serve.status().applications:
                serve.delete(name, _blocking=False)
            while serve.status().applications:
                time.sleep(0.1)
            serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()
        _log.info("stopped")

    def _write_endpoint(self, path: Path) -> None:
        """Tell whoever started us where all services are; atomic, so that no reader sees half of it."""
        from crystalmesh_common.runtime.ray.routes import api_routes  # noqa: PLC0415

        settings = self.settings
        names = settings.service_names
        endpoint = {
            "service": "ray",
            "services": names,
            "address": self.address,
            "tls": settings.tls_certificate is not None,
            "metrics_address": f"{settings.host}:{settings.metrics_port}"
            if settings.metrics_port > 0
            else None,
            "hosted": sorted({route.service for route in api_routes() if route.application in names}),
            "pid": os.getpid(),
        }
        scratch = path.with_suffix(".partial")
        scratch.write_text(json.dumps(endpoint))
        scratch.replace(path)


def _free_port(host: str, port: int = 0) -> int:
    """A port that is free at this moment, `port` if given: Serve wants to be told one."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host.strip("[]"), port), family=family) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from None
