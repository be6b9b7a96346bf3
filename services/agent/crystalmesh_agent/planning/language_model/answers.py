"""What a model answers, read without trust: whatever is no answer with tools is None."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST_TEXT = 4000
_MOST_ARGUMENTS = 10_000
_MOST_REQUESTS = 8
_MOST_TOKENS = 1 << 32
"""Of one call; an endpoint that counts more does not count."""


@dataclass(frozen=True)
class ToolRequest:
    """A tool that the model wants used."""

    id: str
    name: str  # letters, digits, hyphens and underscores
    arguments: Mapping[str, Any] | None  # None: what it wrote is no JSON object
    arguments_json: str  # as written; a JSON string where that is no JSON

    @property
    def told_back(self) -> Mapping[str, object]:
        """As the conversation that goes on has to show it: endpoints refuse arguments that are no JSON."""
        arguments = "{}" if self.arguments is None else self.arguments_json
        return {
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": arguments},
        }


@dataclass(frozen=True)
class Answer:
    """A message of the model, and what it took; None where the endpoint does not say."""

    text: str
    requests: tuple[ToolRequest, ...]
    prompt_tokens: int | None
    completion_tokens: int | None


def read_answer(answer: Any) -> Answer | None:
    """The answer of a chat endpoint; raises LookupError, TypeError and their kind for what is none."""
    message = answer["choices"][0]["message"]
    usage = answer.get("usage") or {}
    asked = message.get("tool_calls") or []
    if not isinstance(asked, list):
        return None
    text = message.get("content")
    return Answer(
        text=plain_text(text, _MOST_TEXT) if isinstance(text, str) else "",
        requests=tuple(_request(place, each) for place, each in enumerate(asked[:_MOST_REQUESTS])),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def plain_text(text: str, most: int) -> str:
    """Text that can be stored and shown: of whole characters, without control characters, cut off."""
    whole = text[: 2 * most].encode("utf-8", "replace").decode()
    return re.sub(r"[^\S\n]+", " ", re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", " ", whole)).strip()[:most]


def _request(place: int, said: Any) -> ToolRequest:
    function = said["function"]
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(function["name"]))[:64] or "unnamed"
    written = function.get("arguments") or "{}"
    arguments = written if isinstance(written, dict) else _parsed(written)
    if arguments is None:
        shown = json.dumps(plain_text(str(written), _MOST_ARGUMENTS // 8))
    else:
        # Escapes keep halves of characters out of what is stored and sent.
        shown = json.dumps(arguments)
    if len(shown) > _MOST_ARGUMENTS:
        arguments, shown = None, json.dumps(f"{len(shown)} characters")
    request_id = said.get("id")
    sound_id = isinstance(request_id, str) and re.fullmatch(r"[A-Za-z0-9_.:-]{1,128}", request_id)
    return ToolRequest(str(request_id) if sound_id else f"call_{place}", name, arguments, shown)


def _parsed(written: Any) -> dict[str, Any] | None:
    try:
        arguments = json.loads(written)
    except (ValueError, TypeError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def _count(said: Any) -> int | None:
    sound = isinstance(said, int) and not isinstance(said, bool) and 0 <= said < _MOST_TOKENS
    return said if sound else None
