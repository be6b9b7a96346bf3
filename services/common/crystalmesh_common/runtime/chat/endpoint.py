"""Asking an OpenAI-compatible chat endpoint that is slow, busy, or out of reach."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from crystalmesh_common.runtime.chat.settings import ChatEndpointConfig
from crystalmesh_common.runtime.errors import InvalidFieldError, TokenInvalidError, UnreachableError

_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_MAX_ANSWER_BYTES = 1 << 22
_SHOWN_CHARACTERS = 200
_FIRST_WAIT_SECONDS = 1.0

Read = TypeVar("Read")


class QuestionRefusedError(InvalidFieldError):
    """The endpoint does not answer this question, however often it is asked."""


class ChatEndpoint:
    """A chat endpoint. Asks again, after waits that double, when it fails or answers nonsense.

    An endpoint that says how long to wait (Retry-After) is waited for. The key goes into a header for the
    host that was configured, and nowhere else: redirects are not followed.
    """

    def __init__(
        self,
        config: ChatEndpointConfig,
        *,
        connections: int = 1,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Raise what `config.key` raises."""
        self._config = config
        self._sleep = sleep
        self._key = config.key()
        self._url = f"{config.base_url}/chat/completions"
        # The library tells every request at the level of information, which is not news.
        logging.getLogger("httpx2").setLevel(logging.WARNING)
        self._client = httpx2.AsyncClient(
            headers={"User-Agent": "crystalmesh"}
            | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            timeout=httpx2.Timeout(config.timeout_seconds),
            verify=_trusted(),
            limits=httpx2.Limits(max_connections=connections),
            follow_redirects=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def ask(self, question: Mapping[str, object], read: Callable[[Any], Read | None]) -> Read:
        """What `read` makes of the answer's JSON; None, or an answer of another shape, is asked for again.

        The model is added to the question. `read` may raise LookupError, TypeError, ValueError and
        AttributeError for what it cannot read. Raises QuestionRefusedError where the question is at fault,
        TokenInvalidError where the key is, and UnreachableError where asking again did not help.
        """
        body = {"model": self._config.model, **question}
        reason, wait = "", 0.0
        for attempt in range(self._config.attempts):
            if attempt:
                await self._sleep(wait)
            wait = min(_FIRST_WAIT_SECONDS * 2**attempt, self._config.longest_wait_seconds)
            try:
                async with asyncio.timeout(self._config.timeout_seconds):
                    status, headers, content = await self._post(body)
            except (httpx2.TransportError, httpx2.DecodingError, TimeoutError) as error:
                reason = self._reason(error)
                continue
            if status == httpx2.codes.OK:
                if (answer := _read(content, read)) is not None:
                    return answer
                reason = "it answers with something else than a completion"
                continue
            self._refuse(status, content)
            reason = f"HTTP {status}"
            wait = max(wait, _retry_after_seconds(headers.get("Retry-After")))
            if wait > self._config.longest_wait_seconds:
                raise self._unreachable(f"it asks to wait {wait:.0f} s")
        raise self._unreachable(reason)

    async def _post(self, body: Mapping[str, object]) -> tuple[int, httpx2.Headers, bytes]:
        async with self._client.stream("POST", self._url, json=body) as response:
            content = bytearray()
            async for part in response.aiter_bytes():
                content += part
                if len(content) > _MAX_ANSWER_BYTES:
                    break
        return response.status_code, response.headers, bytes(content)

    def _refuse(self, status: int, content: bytes) -> None:
        """Raise what a status means for good; return where asking again may help."""
        if status in _WORTH_RETRYING:
            return
        if status in {401, 403}:
            raise TokenInvalidError(
                f"{self._host} does not accept the key in {self._config.key_place} (HTTP {status})"
            )
        detail = self._without_key(" ".join(content[:4096].decode("utf-8", errors="replace").split()))
        raise QuestionRefusedError(
            f"{self._host} refuses the question (HTTP {status}): {detail[:_SHOWN_CHARACTERS]}",
            field="base_url",
        )

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError | httpx2.TimeoutException):
            return f"no answer within {self._config.timeout_seconds:g} s"
        text = str(error) or type(error).__name__
        return self._without_key(text.splitlines()[0])[:_SHOWN_CHARACTERS]

    def _unreachable(self, reason: str) -> UnreachableError:
        return UnreachableError(f"{self._host} cannot be asked ({reason})", host=self._host)

    @property
    def _host(self) -> str:
        return httpx2.URL(self._url).host


@cache
def _trusted() -> SSLContext:
    """The certificates that are trusted; reading them takes 40 ms."""
    return httpx2.create_ssl_context()


def _read(content: bytes, read: Callable[[Any], Read | None]) -> Read | None:
    try:
        return read(json.loads(content))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _retry_after_seconds(header: str | None) -> float:
    """The wait that a header asks for, in seconds or until a date; 0 where there is none to understand."""
    if header is None:
        return 0.0
    if header.strip().isdecimal():
        return float(header)
    try:
        return (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 0.0
