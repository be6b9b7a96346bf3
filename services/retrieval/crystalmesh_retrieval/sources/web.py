"""Getting JSON from databases that are slow, busy, or out of reach."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from crystalmesh_common.runtime.errors import TokenInvalidError
from crystalmesh_retrieval.sources.source import SourceRefusedError, SourceUnreachableError

_AGENT = "crystalmesh"
_MAX_ANSWER_BYTES = 1 << 28
_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})
_SHOWN_CHARACTERS = 200
_LOOKUPS = 3
"""Attempts to find a host: who is offline is told after seconds, and not after a minute."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Web:
    """Asks again, after waits that double, when a database fails or an answer is cut off.

    A database that says how long to wait (Retry-After) is waited for. `headers` go to the host that was
    asked and to no other, whatever it redirects to.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    attempts: int = 7
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 120.0
    timeout_seconds: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def json(self, url: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON at a URL, posted to where there is a body; raises as `content`."""
        return self._asked(url, body, json.loads)

    def content(self, url: str) -> bytes:
        """The bytes at a URL.

        Raises SourceRefusedError where the query is at fault, TokenInvalidError where the key is, and
        SourceUnreachableError where asking again did not help.
        """
        return self._asked(url, None, bytes)

    def _asked(self, url: str, body: Mapping[str, Any] | None, read: Callable[[bytes], Answer]) -> Answer:
        host = _host_of(url)
        reason, wait = "", 0.0
        for attempt in range(self.attempts):
            if attempt:
                self.sleep(wait)
            wait = min(self.first_wait_seconds * 2**attempt, self.longest_wait_seconds)
            try:
                return read(self._answer(url, body))
            except urllib.error.HTTPError as error:
                with error:
                    reason = f"HTTP {error.code}"
                    _refuse(host, error)
                    wait = max(wait, _retry_after_seconds(error.headers.get("Retry-After")))
                if wait > self.longest_wait_seconds:
                    raise _unreachable(host, f"it asks to wait {wait:.0f} s") from None
            except (ValueError, RecursionError):
                reason = "the answer is cut off or no JSON"
            except (OSError, http.client.HTTPException) as error:
                reason = _reason(error)
                if _is_unknown(error) and attempt + 1 >= _LOOKUPS:
                    break
        raise _unreachable(host, reason)

    def _answer(self, url: str, body: Mapping[str, Any] | None) -> bytes:
        request = urllib.request.Request(  # noqa: S310 -- _host_of checks the scheme
            url,
            data=None if body is None else json.dumps(body).encode(),
            headers={"User-Agent": _AGENT, "Accept": "application/json"},
        )
        if body is not None:
            request.add_header("Content-Type", "application/json")
        for name, value in self.headers.items():
            # Not carried along when the host redirects elsewhere.
            request.add_unredirected_header(name, value)
        with urllib.request.urlopen(request, timeout=self.timeout_seconds) as answer:  # noqa: S310
            content: bytes = answer.read(_MAX_ANSWER_BYTES + 1)
            announced = answer.headers.get("Content-Length") or ""
        if len(content) > _MAX_ANSWER_BYTES:
            raise SourceRefusedError(
                f"the answer of {_host_of(url)} is longer than {_MAX_ANSWER_BYTES >> 20} MiB: "
                "ask for smaller pages",
                field="page_size",
            )
        # A read with a limit does not tell that the connection ended early.
        if announced.isdecimal() and len(content) < int(announced):
            raise http.client.IncompleteRead(content, int(announced) - len(content))
        return content


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.scheme in {"http", "https"} else None
    except ValueError:
        host = None
    if not host:
        raise SourceRefusedError(f"{url[:_SHOWN_CHARACTERS]!r} is no http or https address", field="url")
    return host


def _refuse(host: str, error: urllib.error.HTTPError) -> None:
    """Raise what a status means for good; return where asking again may help."""
    if error.code in _WORTH_RETRYING:
        return
    if error.code in {401, 403}:
        raise TokenInvalidError(f"{host} does not accept the key (HTTP {error.code})") from None
    try:
        detail = error.read(4096).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        detail = ""
    shown = " ".join(detail.split())[:_SHOWN_CHARACTERS]
    raise SourceRefusedError(
        f"{host} refuses the query (HTTP {error.code}): {shown}", field="query"
    ) from None


def _retry_after_seconds(header: str | None) -> float:
    """The wait that a header asks for, in seconds or until a date; 0 where there is none to understand."""
    if header is None:
        return 0.0
    if header.strip().isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
        return (until - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 0.0


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(text).splitlines()[0][:_SHOWN_CHARACTERS]


def _is_unknown(error: Exception) -> bool:
    """Whether no address is known for the host, as on a machine without a network."""
    return isinstance(error, urllib.error.URLError) and isinstance(error.reason, socket.gaierror)


def _unreachable(host: str, reason: str) -> SourceUnreachableError:
    return SourceUnreachableError(
        f"{host} cannot be reached ({reason}). What was imported so far is kept, and the same command goes "
        "on from there; without a network, give a local file instead",
        host=host,
    )
