"""The potentials that this server runs: their names from the start, and what they are once loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crystalmesh_common.runtime.errors import ModelLoadingError, ModelNotFoundError
from crystalmesh_relaxation.engine import PotentialInfo


class Models:
    """Names to potentials, the default first. Safe to fill from one thread while others read."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._loaded: Mapping[str, PotentialInfo] = {}

    def loaded(self, potentials: Sequence[PotentialInfo]) -> None:
        """From now on these are known."""
        self._loaded = {info.name: info for info in potentials}

    def get(self, name: str) -> PotentialInfo | None:
        """A potential by its name; None while it loads."""
        return self._loaded.get(name)

    def resolve(self, name: str) -> PotentialInfo:
        """The potential that a request names; the default for the empty name.

        Raises ModelNotFoundError for a name that is not served, and ModelLoadingError while it loads.
        """
        wanted = name or self.names[0]
        if wanted not in self.names:
            known = ", ".join(self.names)
            raise ModelNotFoundError(f"no model {name[:80]!r} is served here; there is {known}", known=known)
        info = self.get(wanted)
        if info is None:
            raise ModelLoadingError("the model is still loading", retry_after_seconds=1.0)
        return info
