"""Which language model writes transitions, and how it is asked."""

from __future__ import annotations

import os
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from crystalmesh_common.runtime.errors import TokenInvalidError, TokenMissingError
from crystalmesh_common.runtime.experiments import Section


def _plain_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("is no http or https address")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("holds more than an address; a key belongs into the environment variable")
    return text.rstrip("/")


class TransitionsConfig(Section):
    """An OpenAI-compatible endpoint. Its key is in an environment variable, and nowhere else."""

    base_url: Annotated[str, AfterValidator(_plain_address)] = Field(
        description="with the version, as https://host/v1; chat/completions below it is asked"
    )
    model: str = Field(min_length=1, description="as the endpoint calls it")
    key_variable: str = Field(
        "OPENAI_API_KEY",
        pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="environment variable with the key; empty: the endpoint needs none",
    )
    temperature: float = Field(0.7, ge=0, le=2)
    most_tokens: int = Field(400, ge=16, description="of an answer; one that is cut off there is not used")
    concurrent: int = Field(8, ge=1, le=256, description="requests at a time")
    timeout_seconds: float = Field(120.0, gt=0, description="for one whole answer")
    attempts: int = Field(7, ge=1, description="at one answer, where asking again may help")
    longest_wait_seconds: float = Field(
        120.0, ge=0, description="between attempts; who asks to wait longer ends the run"
    )

    def key(self) -> str:
        """The key; empty where none is needed. Raises TokenMissingError, TokenInvalidError for nonsense."""
        if not self.key_variable:
            return ""
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise TokenMissingError(
                f"the endpoint's key is looked for in the environment variable {self.key_variable}, which is "
                "not set; transitions.key_variable names another one, or none at all"
            )
        # Anything else would come back in an error of the library, key and all.
        if not key.isascii() or not key.isprintable() or " " in key:
            raise TokenInvalidError(f"what {self.key_variable} holds is no key")
        return key
