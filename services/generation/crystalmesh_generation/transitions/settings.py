"""Which language model writes transitions, and how it is asked."""

from __future__ import annotations

from pydantic import Field

from crystalmesh_common.runtime.chat.settings import ChatEndpointConfig


class TransitionsConfig(ChatEndpointConfig):
    """An OpenAI-compatible endpoint. Its key is in an environment variable, and nowhere else."""

    temperature: float = Field(0.7, ge=0, le=2)
    most_tokens: int = Field(400, ge=16, description="of an answer; one that is cut off there is not used")
    concurrent: int = Field(8, ge=1, le=256, description="requests at a time")
