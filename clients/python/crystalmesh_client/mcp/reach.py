"""How tools reach the mesh."""

from __future__ import annotations

from collections.abc import Callable

from crystalmesh_client.mesh import AsyncMesh

OpenMesh = Callable[[], AsyncMesh]
"""Opens the mesh for one call. Anew each time: it may have been started again elsewhere meanwhile."""
