"""The references that a server scores against."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from crystalmesh_common.runtime.errors import ModelLoadingError, ResourceNotFoundError
from crystalmesh_relaxation.stability.reference import Reference

_SHIPPED = Path(__file__).parents[1] / "reference"


def shipped_references() -> list[Path]:
    """The descriptions of the references that come with this package, the default first."""
    return sorted(_SHIPPED.glob("*.json"))


class References:
    """References by name, the default first. Safe to fill from one thread while others read."""

    def __init__(self) -> None:
        self._references: tuple[Reference, ...] | None = None

    @property
    def are_loaded(self) -> bool:
        return self._references is not None

    def loaded(self, references: Iterable[Reference], default: str = "") -> None:
        """From now on these are known, the default first: the one of that name, else the first.

        Raises ResourceNotFoundError where none has the default's name.
        """
        by_name = {reference.name: reference for reference in references}
        if default and default not in by_name:
            raise ResourceNotFoundError(f"no reference is called {default!r}", resource="reference")
        first = default or next(iter(by_name), "")
        for reference in by_name.values():
            reference.is_default = reference.name == first
        _share_elements(by_name.values())
        self._references = tuple(sorted(by_name.values(), key=lambda r: (not r.is_default, r.name)))

    def all(self) -> Sequence[Reference]:
        """The default first, then by name. Raises ModelLoadingError until they are loaded."""
        if self._references is None:
            raise ModelLoadingError("the references are still loading", retry_after_seconds=1.0)
        return self._references

    def resolve(self, name: str) -> Reference:
        """The reference that a request names; the default for the empty name.

        Raises ResourceNotFoundError where there is none, and ModelLoadingError while they load.
        """
        for reference in self.all():
            if name in ("", reference.name):
                return reference
        known = ", ".join(reference.name for reference in self.all()) or "none"
        raise ResourceNotFoundError(
            f"no reference {name[:80]!r} is served here; there is {known}", resource="reference", known=known
        )


def _share_elements(references: Collection[Reference]) -> None:
    """What is known of the elements in one scheme counts for every reference of that scheme."""
    by_scheme: dict[str, dict[str, Mapping[str, float]]] = {}
    for reference in references:
        scheme = by_scheme.setdefault(reference.provenance.energy_scheme, {})
        for model, energies in reference.elemental_energies.items():
            scheme.setdefault(model, energies)
    for reference in references:
        shared = by_scheme[reference.provenance.energy_scheme]
        reference.elemental_energies = {**shared, **reference.elemental_energies}
