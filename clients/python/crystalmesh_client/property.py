"""The client side of PropertyService, for synchronous code."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from crystalmesh.property.v1.property_service_pb2 import ListModelsRequest
from crystalmesh.property.v1.property_service_pb2_grpc import PropertyServiceStub
from crystalmesh_client import property_questions as ask
from crystalmesh_client.calls import Caller
from crystalmesh_client.connection import Connection
from crystalmesh_client.exchanges import Exchange
from crystalmesh_client.inputs import CrystalLike, to_crystal, to_crystals
from crystalmesh_client.model_cards import ModelCard, model_card_from
from crystalmesh_client.prediction_streams import PredictionStream
from crystalmesh_client.predictions import Prediction
from crystalmesh_client.properties import PropertyName
from crystalmesh_client.results import Failed, result_of


class PropertyClient:
    """Models trained on properties, from synchronous code."""

    def __init__(self, connection: Connection) -> None:
        self._caller = Caller(connection, ask.SERVICE, PropertyServiceStub)

    def predict(
        self,
        crystal: CrystalLike,
        properties: Sequence[PropertyName] | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> Prediction:
        """The properties of one crystal as it is; look at `out_of_domain`. Raises what is wrong with it."""
        outcomes = self.predict_many([to_crystal(crystal)], properties, model=model, timeout=timeout)
        return result_of(next(outcomes))

    def predict_many(
        self,
        crystals: Iterable[CrystalLike],
        properties: Sequence[PropertyName] | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> Iterator[Prediction | Failed]:
        """One outcome per crystal, as each is done; ids must be distinct.

        Without `properties`: all that the model, or any model there, can give. Without a model each property
        is predicted by the one that the server prefers. `timeout`, lost servers and closing as in
        `RelaxationClient.evaluate_many`.
        """
        question = ask.predictions(properties, model)
        return self._caller.outcomes(question, to_crystals(crystals), timeout)

    def predict_stream(
        self,
        crystals: Iterable[CrystalLike],
        properties: Sequence[PropertyName] | None = None,
        *,
        model: str = "",
        timeout: float | None = None,
    ) -> Iterator[Prediction | Failed]:
        """One outcome per crystal, as each is done, of more crystals than fit into memory.

        `crystals` is read on this thread while outcomes are, no further ahead of them than some thousand
        crystals, and outcomes come between two that are read. Ids may repeat: `index` says which crystal is
        meant. One that cannot be read or sent is a `Failed`. When the server goes away and comes back, or its
        queue is full, what has no outcome is sent again. `timeout` bounds the whole stream, in seconds, anew
        when a server was lost. Closing the iterator cancels the call.
        """
        stream = PredictionStream(ask.predict_options(properties, model))
        return self._streamed(stream, iter(crystals), timeout)

    def models(self) -> list[ModelCard]:
        """The models that the server runs, with their cards, the default first."""
        response = self._caller.look_up("ListModels", ListModelsRequest())
        return [model_card_from(message) for message in response.models]

    def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        self._caller.close()

    def _streamed(
        self, stream: PredictionStream, source: Iterator[CrystalLike], timeout: float | None
    ) -> Iterator[Prediction | Failed]:
        while True:
            stream.begin()
            with self._caller.exchange("PredictStream", timeout) as exchange:
                yield from _outcomes(exchange, stream, source)
            # Only what the call failed with, never what the caller's iterable raised.
            if exchange.failure is None:
                stream.check_all_answered()
                return
            time.sleep(stream.pause_after(exchange.failure))


def _outcomes(
    exchange: Exchange, stream: PredictionStream, source: Iterator[CrystalLike]
) -> Iterator[Prediction | Failed]:
    """The outcomes of one call, until it is over."""
    has_ended = False
    while not exchange.is_over:
        if (response := exchange.next_received()) is not None:
            yield stream.read(response)
        elif stream.is_due and exchange.can_send:
            exchange.send(stream.next_message())
        elif stream.takes_more:
            for given in source:  # the next one
                if (failed := stream.take(given)) is not None:
                    yield failed
                break
            else:
                stream.close()
        elif stream.is_sent and exchange.can_send and not has_ended:
            exchange.end()
            has_ended = True
        else:
            exchange.wait(to_send=not has_ended and (stream.has_unsent or stream.is_sent))
