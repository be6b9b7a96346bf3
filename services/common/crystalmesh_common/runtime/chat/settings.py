"""Which chat endpoint is asked, and with which patience."""

from __future__ import annotations

import os
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from crystalmesh_common.runtime.errors import TokenInvalidError, TokenMissingError


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


class ChatEndpointConfig(BaseModel):
    """Where an endpoint is and how long it is waited for. Its key is in an environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[str, AfterValidator(_plain_address)] = Field(
        description="with the version, as https://host/v1; chat/completions below it is asked"
    )
    model: str = Field(min_length=1, description="as the endpoint calls it")
    key_variable: str = Field(
        "OPENAI_API_KEY",
        pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="environment variable with the key; empty: the endpoint needs none",
    )
    timeout_seconds: float = Field(120.0, gt=0, description="for one whole answer")
    attempts: int = Field(7, ge=1, description="at one answer, where asking again may help")
    longest_wait_seconds: float = Field(
        120.0, ge=0, description="between attempts; an endpoint that asks to wait longer is given up"
    )

    def key(self) -> str:
        """The key; empty where none is needed. Raises TokenMissingError, TokenInvalidError for nonsense."""
        if not self.key_variable:
            return ""
        key = os.environ.get(self.key_variable, "").strip()
        if not key:
            raise TokenMissingError(
                f"the endpoint's key is looked for in the environment variable {self.key_variable}, which is "
                "not set; key_variable names another one, or none at all"
            )
        return sound_key(key, self.key_place)

    @property
    def key_place(self) -> str:
        """Where the key is kept, in words."""
        return self.key_variable or "no variable"


def sound_key(key: str, place: str) -> str:
    """A key that can be sent; raises TokenInvalidError for one that cannot."""
    # It would come back in an error of the library, key and all.
    if not key.isascii() or not key.isprintable() or " " in key:
        raise TokenInvalidError(f"what {place} holds is no key")
    return key
