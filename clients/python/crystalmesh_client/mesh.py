"""The mesh as one object: a client per service, opened when first used."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Self

from crystalmesh_client.connection import Connection, Credentials
from crystalmesh_client.relaxation import AsyncRelaxationClient, RelaxationClient


class Mesh:
    """A mesh, for synchronous code.

    Without an address it is the one that `crystalmesh up` runs on this machine, or the one that
    CRYSTALMESH_ADDRESS names. A token comes from CRYSTALMESH_TOKEN unless `credentials` are given. Safe to
    share between threads. Errors are those of `crystalmesh_common.runtime.errors`.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        credentials: Credentials | None = None,
        allow_clear_text: bool = False,
    ) -> None:
        self._connection = Connection(address, credentials, allow_clear_text=allow_clear_text)

    @cached_property
    def relaxation(self) -> RelaxationClient:
        """Potentials: energies, forces, stress."""
        return RelaxationClient(self._connection)

    def close(self) -> None:
        """Close all connections; running calls are cancelled."""
        if "relaxation" in vars(self):
            self.relaxation.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncMesh:
    """A mesh, for asyncio code; otherwise like `Mesh`. Use it on one event loop."""

    def __init__(
        self,
        address: str | None = None,
        *,
        credentials: Credentials | None = None,
        allow_clear_text: bool = False,
    ) -> None:
        self._connection = Connection(address, credentials, allow_clear_text=allow_clear_text)

    @cached_property
    def relaxation(self) -> AsyncRelaxationClient:
        """Potentials: energies, forces, stress."""
        return AsyncRelaxationClient(self._connection)

    async def close(self) -> None:
        """Close all connections; running calls are cancelled."""
        if "relaxation" in vars(self):
            await self.relaxation.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
