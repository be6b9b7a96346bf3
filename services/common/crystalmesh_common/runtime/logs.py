"""Structured logs on standard error, one line an event, with the request id of the call at hand."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from functools import partial
from typing import Any, Literal

import structlog

from crystalmesh_common.runtime.calls import current_call

_SECRET_MARKS = ("token", "authorization", "password", "secret", "api_key")


def configure_logs(service: str, *, level: str, form: Literal["json", "text"]) -> None:
    """Send structlog and the standard library's log records to standard error in one format."""
    chain: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        partial(_add_service, service),
        _add_call,
        _hide_secrets,
    ]
    renderer: structlog.typing.Processor
    if form == "json":
        chain.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        # The default prints every local variable beside a trace, and some hold secrets.
        plain = structlog.dev.plain_traceback
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    structlog.configure(
        processors=[*chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _add_service(service: str, _: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # Not a context variable: the device's thread and gRPC's have contexts of their own.
    event["service"] = service
    return event


def _add_call(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    call = current_call.get()
    if call is not None:
        event.setdefault("request_id", call.request_id)
        event.setdefault("method", call.method)
    return event


def _hide_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if any(mark in key.lower() for mark in _SECRET_MARKS):
            event[key] = "***"
    return event
