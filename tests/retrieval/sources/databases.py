"""Crystals as databases send them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.structure import Crystal


def optimade_attributes(crystal: Crystal, *, per_angstrom: float = 1.0, **more: Any) -> dict[str, Any]:
    """The fields of an OPTIMADE structure; lengths in another unit for databases that are laid out alike."""
    symbols = [symbol_of(number) for number in crystal.numbers.tolist()]
    return {
        "dimension_types": [1, 1, 1],
        "lattice_vectors": (crystal.cell * per_angstrom).tolist(),
        "cartesian_site_positions": (crystal.cart_coords * per_angstrom).tolist(),
        "species_at_sites": symbols,
        "species": [
            {"name": symbol, "chemical_symbols": [symbol], "concentration": [1.0]} for symbol in set(symbols)
        ],
        **more,
    }


def optimade_page(
    entries: Sequence[Any], following: Any = None, *, total: int | None = None
) -> dict[str, Any]:
    """A page of an OPTIMADE provider, with the parts around the data that providers send."""
    return {
        "data": list(entries),
        "links": {"next": following, "base_url": {"href": "http://example.org", "meta": {}}},
        "meta": {
            "query": {"representation": "/structures?filter=nelements=2"},
            "api_version": "1.1.0",
            "more_data_available": following is not None,
            "data_returned": total,
            "provider": {"name": "The Open Quantum Materials Database", "prefix": "oqmd", "description": ""},
        },
    }


def optimade_entry(crystal: Crystal, **more: Any) -> dict[str, Any]:
    return {"type": "structures", "id": crystal.id, "attributes": optimade_attributes(crystal, **more)}


def pymatgen_structure(crystal: Crystal) -> dict[str, Any]:
    """What pymatgen writes for a structure."""
    from crystalmesh_common.crystal.pymatgen_codec import to_structure

    structure: dict[str, Any] = to_structure(crystal).as_dict()
    return structure
