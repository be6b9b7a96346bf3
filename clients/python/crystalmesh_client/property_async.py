"""The client side of PropertyService, for asyncio code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import aclosing

from crystalmesh.property.v1.property_service_pb2 import ListModelsRequest
from crystalmesh.property.v1.property_service_pb2_grpc import PropertyServiceStub
from crystalmesh_client import property_questions as ask
from crystalmesh_client.calls import AsyncCaller
from crystalmesh_client.connection import Connection
from crystalmesh_client.exchanges import AsyncExchange
from crystalmesh_client.inputs import CrystalLike, to_crystal, to_crystals
from crystalmesh_client.model_cards import ModelCard, model_card_from
from crystalmesh_client.prediction_streams import LINGER_SECONDS, PredictionStream
from crystalmesh_client.predictions import Prediction
from crystalmesh_client.properties import PropertyName
from crystalmesh_client.results import Failed, result_of


class AsyncPropertyClient:
    """Models trained on properties, from asyncio code; each method like its namesake of `PropertyClient`."""

    def __init__(self, connection: Connection) -> None:
        self._caller = AsyncCaller(connection, ask.SERVICE, PropertyServiceStub)

    async def predict(
        self,
        crystal: CrystalLike,
        properties: Sequence[PropertyName] | None = None,
        *,
        model: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> Prediction:
        """The properties of one crystal as it is; look at `out_of_domain`. Raises what is wrong with it."""
        outcomes = self.predict_many([to_crystal(crystal)], properties, model=model, timeout=timeout)
        async with aclosing(outcomes):
            return result_of(await anext(outcomes))

    def predict_many(
        self,
        crystals: Iterable[CrystalLike],
        properties: Sequence[PropertyName] | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Prediction | Failed, None]:
        """One outcome per crystal, as each is done."""
        question = ask.predictions(properties, model)
        return self._caller.outcomes(question, to_crystals(crystals), timeout)

    def predict_stream(
        self,
        crystals: Iterable[CrystalLike] | AsyncIterable[CrystalLike],
        properties: Sequence[PropertyName] | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Prediction | Failed, None]:
        """One outcome per crystal, as each is done, also while the next crystal is waited for.

        An iterable that is not asynchronous is read on the event loop.
        """
        stream = PredictionStream(ask.predict_options(properties, model))
        return self._streamed(stream, crystals, timeout)

    async def models(self) -> list[ModelCard]:
        """The models that the server runs, with their cards, the default first."""
        response = await self._caller.look_up("ListModels", ListModelsRequest())
        return [model_card_from(message) for message in response.models]

    async def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        await self._caller.close()

    async def _streamed(
        self,
        stream: PredictionStream,
        crystals: Iterable[CrystalLike] | AsyncIterable[CrystalLike],
        timeout: float | None,  # noqa: ASYNC109
    ) -> AsyncGenerator[Prediction | Failed, None]:
        changed = asyncio.Event()
        source = _Source(crystals, changed)
        try:
            while True:
                stream.begin()
                async with (
                    self._caller.exchange("PredictStream", timeout, changed) as exchange,
                    aclosing(_outcomes(exchange, stream, source, changed)) as outcomes,
                ):
                    async for outcome in outcomes:
                        yield outcome
                # Only what the call failed with, never what the caller's iterable raised.
                if exchange.failure is None:
                    stream.check_all_answered()
                    return
                await asyncio.sleep(stream.pause_after(exchange.failure))
        finally:
            await source.stop()


class _Source:
    """The caller's crystals. The next one is waited for while other things happen, also between two calls."""

    def __init__(
        self, crystals: Iterable[CrystalLike] | AsyncIterable[CrystalLike], changed: asyncio.Event
    ) -> None:
        self._iterator = aiter(crystals if isinstance(crystals, AsyncIterable) else _each(crystals))
        self._changed = changed
        self._next: asyncio.Task[list[CrystalLike]] | None = None

    def take(self) -> list[CrystalLike] | None:
        """The next crystal; an empty list when there are no more; None when it has to be waited for."""
        if self._next is None:
            self._next = asyncio.create_task(_next_of(self._iterator))
            self._next.add_done_callback(lambda _: self._changed.set())
        if not self._next.done():
            return None
        found, self._next = self._next.result(), None
        return found

    async def stop(self) -> None:
        """Do not wait for the next one any more."""
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)


async def _each(crystals: Iterable[CrystalLike]) -> AsyncIterator[CrystalLike]:
    for crystal in crystals:
        yield crystal


async def _next_of(iterator: AsyncIterator[CrystalLike]) -> list[CrystalLike]:
    try:
        return [await anext(iterator)]
    except StopAsyncIteration:
        return []


async def _outcomes(
    exchange: AsyncExchange, stream: PredictionStream, source: _Source, changed: asyncio.Event
) -> AsyncGenerator[Prediction | Failed, None]:
    """The outcomes of one call, until it is over."""
    has_ended = False
    loop = asyncio.get_running_loop()
    while not exchange.is_over:
        changed.clear()
        if (response := exchange.next_received()) is not None:
            yield stream.read(response)
        elif stream.is_due and exchange.can_send:
            exchange.send(stream.next_message())
        elif stream.takes_more and (given := source.take()) is not None:
            if not given:
                stream.close()
            elif (failed := stream.take(given[0])) is not None:
                yield failed
        elif stream.is_sent and exchange.can_send and not has_ended:
            exchange.end()
            has_ended = True
        else:
            lingers = stream.has_unsent and not stream.is_due
            timer = loop.call_later(LINGER_SECONDS, changed.set) if lingers else None
            await changed.wait()
            if timer is not None:
                timer.cancel()
