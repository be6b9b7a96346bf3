"""The mesh as one object: a client per service, opened when first used."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Self

from crystalmesh_client.campaign import CampaignClient
from crystalmesh_client.campaign_async import AsyncCampaignClient
from crystalmesh_client.connection import Connection, Credentials
from crystalmesh_client.generation import GenerationClient
from crystalmesh_client.generation_async import AsyncGenerationClient
from crystalmesh_client.property import PropertyClient
from crystalmesh_client.property_async import AsyncPropertyClient
from crystalmesh_client.relaxation import RelaxationClient
from crystalmesh_client.relaxation_async import AsyncRelaxationClient
from crystalmesh_client.retrieval import RetrievalClient
from crystalmesh_client.retrieval_async import AsyncRetrievalClient
from crystalmesh_client.stability import StabilityClient
from crystalmesh_client.stability_async import AsyncStabilityClient

_Client = (
    CampaignClient | GenerationClient | PropertyClient | RelaxationClient | RetrievalClient | StabilityClient
)
_AsyncClient = (
    AsyncCampaignClient
    | AsyncGenerationClient
    | AsyncPropertyClient
    | AsyncRelaxationClient
    | AsyncRetrievalClient
    | AsyncStabilityClient
)


class _Mesh:
    """Where a mesh is and what proves who calls it. Clients of services are cached properties."""

    def __init__(
        self,
        address: str | None = None,
        *,
        credentials: Credentials | None = None,
        allow_clear_text: bool = False,
    ) -> None:
        self._connection = Connection(address, credentials, allow_clear_text=allow_clear_text)


class Mesh(_Mesh):
    """A mesh, for synchronous code.

    Without an address it is the one that `crystalmesh up` runs on this machine, or the one that
    CRYSTALMESH_ADDRESS names. A token comes from CRYSTALMESH_TOKEN unless `credentials` are given. Safe to
    share between threads. Errors are those of `crystalmesh_common.runtime.errors`.
    """

    @cached_property
    def campaigns(self) -> CampaignClient:
        """The whole search: from a target to ranked, relaxed, new crystals, each with its evidence."""
        return CampaignClient(self._connection)

    @cached_property
    def generation(self) -> GenerationClient:
        """New crystals: from a target and a known material to candidates, and the way between in words."""
        return GenerationClient(self._connection)

    @cached_property
    def property(self) -> PropertyClient:
        """Trained models: band gaps, formation energies, moduli, with how far each may be trusted."""
        return PropertyClient(self._connection)

    @cached_property
    def relaxation(self) -> RelaxationClient:
        """Potentials: energies, forces, stress, relaxations, molecular dynamics."""
        return RelaxationClient(self._connection)

    @cached_property
    def retrieval(self) -> RetrievalClient:
        """Known materials: searches, matches, embeddings, catalogs."""
        return RetrievalClient(self._connection)

    @cached_property
    def stability(self) -> StabilityClient:
        """Whether crystals would last: hulls, equations of state, elasticity, phonons."""
        return StabilityClient(self._connection)

    def close(self) -> None:
        """Close all connections; running calls are cancelled."""
        for client in list(vars(self).values()):
            if isinstance(client, _Client):
                client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncMesh(_Mesh):
    """A mesh, for asyncio code; otherwise like `Mesh`. Use it on one event loop."""

    @cached_property
    def campaigns(self) -> AsyncCampaignClient:
        """The whole search: from a target to ranked, relaxed, new crystals, each with its evidence."""
        return AsyncCampaignClient(self._connection)

    @cached_property
    def generation(self) -> AsyncGenerationClient:
        """New crystals: from a target and a known material to candidates, and the way between in words."""
        return AsyncGenerationClient(self._connection)

    @cached_property
    def property(self) -> AsyncPropertyClient:
        """Trained models: band gaps, formation energies, moduli, with how far each may be trusted."""
        return AsyncPropertyClient(self._connection)

    @cached_property
    def relaxation(self) -> AsyncRelaxationClient:
        """Potentials: energies, forces, stress, relaxations, molecular dynamics."""
        return AsyncRelaxationClient(self._connection)

    @cached_property
    def retrieval(self) -> AsyncRetrievalClient:
        """Known materials: searches, matches, embeddings, catalogs."""
        return AsyncRetrievalClient(self._connection)

    @cached_property
    def stability(self) -> AsyncStabilityClient:
        """Whether crystals would last: hulls, equations of state, elasticity, phonons."""
        return AsyncStabilityClient(self._connection)

    async def close(self) -> None:
        """Close all connections; running calls are cancelled."""
        for client in list(vars(self).values()):
            if isinstance(client, _AsyncClient):
                await client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
