"""What there is to tell of a catalog and of a material, for people and for programs."""

from __future__ import annotations

from typing import Any

from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_retrieval.catalog.material import Material
from crystalmesh_retrieval.catalog.snapshot import Snapshot


def catalog_fields(snapshot: Snapshot) -> dict[str, Any]:
    """A catalog without its materials."""
    manifest = snapshot.manifest
    return {
        "name": manifest.name,
        "description": manifest.description,
        "version": manifest.content_version,
        "material_count": len(snapshot),
        "size_bytes": manifest.size_bytes,
        "elements": [symbol_of(number) for number in snapshot.atomic_numbers()],
        "properties": {str(name): count for name, count in snapshot.coverage().items() if count},
        "attributions": list(manifest.attributions),
        "unfinished_imports": {
            source: state.received for source, state in manifest.imports.items() if not state.is_done
        },
        "create_time": manifest.create_time.isoformat(timespec="seconds"),
        "update_time": manifest.update_time.isoformat(timespec="seconds"),
    }


def material_fields(material: Material) -> dict[str, Any]:
    """All of a material."""
    crystal, source = material.crystal, material.source
    moments = crystal.magnetic_moments
    return {
        "id": material.id,
        "formula": material.formula,
        "chemical_system": material.chemical_system,
        "space_group_number": material.space_group_number,
        "properties": {
            str(name): {
                "value": known.value,
                "uncertainty": known.uncertainty,
                "kind": str(known.source.kind),
                "from": " ".join(filter(None, (known.source.name, known.source.version))),
            }
            for name, known in material.properties.items()
        },
        "source": {
            "name": source.name,
            "id": source.source_id,
            "url": source.url,
            "license": source.license,
            "method": source.method,
        },
        "property_description": material.property_description,
        "structure_description": material.structure_description,
        "crystal": {
            "cell_angstrom": crystal.cell.tolist(),
            "atomic_numbers": crystal.numbers.tolist(),
            "fractional_coordinates": crystal.frac_coords.tolist(),
            "magnetic_moments_mu_b": None if moments is None else moments.tolist(),
        },
    }
