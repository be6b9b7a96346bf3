"""Servers of their own for scripted servicers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

from structlog.testing import capture_logs

from crystalmesh_common.runtime.methods import AddToServer
from crystalmesh_common.runtime.service import Hosted, Service, StandaloneProcess
from crystalmesh_common.runtime.settings import ServiceSettings


@asynccontextmanager
async def standing_in(
    name: str, settings: ServiceSettings, *registrations: AddToServer
) -> AsyncIterator[str]:
    """The address of a server that stands in for a service."""
    unit = Service(name, ServiceSettings, lambda _settings, _metrics: Hosted(registrations))
    process = StandaloneProcess(unit, settings)
    await process.start()
    try:
        assert await process.load()
        yield f"127.0.0.1:{process.port}"
    finally:
        await process.stop()


@contextmanager
def in_a_thread(server: AbstractAsyncContextManager[str]) -> Iterator[str]:
    """The same for synchronous code, on an event loop of another thread, without a log."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with capture_logs():
        try:
            yield asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(60)
        finally:
            asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(60)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(60)
            loop.close()
