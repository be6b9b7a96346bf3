"""The runner's encoder for other threads: their texts join the batches of everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import numpy as np

from crystalmesh_common.runtime.errors import CrystalMeshError, QueueFullError
from crystalmesh_retrieval.encoders.encoder import Embeddings, EncoderInfo, Tower
from crystalmesh_retrieval.worker import Encoded, EncodingRunner, Item, Text


class SharedEncoder:
    """An `Encoder` for any thread but that of the event loop on which the runner lives."""

    def __init__(self, runner: EncodingRunner, info: EncoderInfo, loop: asyncio.AbstractEventLoop) -> None:
        self._runner = runner
        self._info = info
        self._loop = loop

    @property
    def info(self) -> EncoderInfo:
        return self._info

    def encode(self, tower: Tower, texts: Sequence[str]) -> Embeddings:
        """As `Encoder.encode`; raises what keeps a text from having a point."""
        return asyncio.run_coroutine_threadsafe(self._encode(tower, texts), self._loop).result()

    async def _encode(self, tower: Tower, texts: Sequence[str]) -> Embeddings:
        while True:
            try:
                return await self._encode_once(tower, texts)
            except QueueFullError as error:  # others first
                await asyncio.sleep(error.retry_after_seconds or 1.0)

    async def _encode_once(self, tower: Tower, texts: Sequence[str]) -> Embeddings:
        vectors = np.empty((len(texts), self._info.dimensions), dtype=np.float32)
        truncated = np.empty(len(texts), dtype=bool)
        outcomes = self._runner.stream(self._info.name, _items(tower, texts))
        try:
            async for position, outcome in outcomes:
                if isinstance(outcome, CrystalMeshError):
                    raise outcome
                if not isinstance(outcome, Encoded):
                    raise TypeError(f"a text cannot become {type(outcome).__name__}")
                vectors[position], truncated[position] = outcome.vector, outcome.truncated
        finally:
            await outcomes.aclose()
        return Embeddings(vectors, truncated)


async def _items(tower: Tower, texts: Sequence[str]) -> AsyncIterator[Item]:
    for text in texts:
        yield Text(text, tower)
