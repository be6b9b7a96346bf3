"""What follows from a structure, and whether it may be in a catalog at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from math import gcd, isfinite

from crystalmesh_common.crystal.composition import (
    chemical_system,
    composition_of,
    density_g_per_cubic_centimeter,
    reduced_formula,
)
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import primitive_cell, space_group_number
from crystalmesh_common.crystal.text import MAX_ATOMS
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.errors import CrystalMeshError, InvalidFieldError
from crystalmesh_retrieval.catalog.material import (
    GEOMETRY,
    Material,
    MaterialInput,
    Property,
    PropertyValue,
)

SYMPREC_ANGSTROM = 0.1
MAX_ID_CHARACTERS = 256


def analyzed(materials: Sequence[MaterialInput]) -> list[Material | CrystalMeshError]:
    """The outcome of each material, in order."""
    # moyopy lets go of the interpreter, and it takes nearly all of the time.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(_outcome, materials))


def analyze(material: MaterialInput) -> Material:
    """The material with its formula, symmetry, density and atoms in the primitive cell.

    Raises as `check_crystal` for its crystal; its fields have passed `check_fields`.
    """
    crystal = replace(material.crystal, id=material.id, scalars={})
    check_crystal(crystal, max_atoms=MAX_ATOMS)
    geometry = {
        Property.DENSITY: PropertyValue(density_g_per_cubic_centimeter(crystal), GEOMETRY),
        Property.ATOMS_IN_CELL: PropertyValue(float(_atoms_in_primitive_cell(crystal)), GEOMETRY),
    }
    brought = {field.name: getattr(material, field.name) for field in fields(MaterialInput)}
    return Material(
        **{**brought, "crystal": crystal, "properties": {**material.properties, **geometry}},
        formula=reduced_formula(crystal),
        chemical_system=chemical_system(crystal),
        space_group_number=space_group_number(crystal, symprec=SYMPREC_ANGSTROM),
    )


def check_fields(material: MaterialInput) -> None:
    """Raise InvalidFieldError for an id or a value that no catalog takes."""
    if not 1 <= len(material.id) <= MAX_ID_CHARACTERS:
        raise InvalidFieldError(
            f"an id has 1 to {MAX_ID_CHARACTERS} characters, this one has {len(material.id)}", field="id"
        )
    if not material.id.isprintable():
        raise InvalidFieldError(
            f"the id {ascii(material.id)[:80]} has characters that do not print", field="id"
        )
    for name, known in material.properties.items():
        if not isfinite(known.value) or not isfinite(known.uncertainty or 0.0):
            raise InvalidFieldError(f"{name} is {known.value:g}, which is not a finite number", field=name)
    for text in _texts(material):
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidFieldError(f"{ascii(text)[:80]} is no text: half of a character", field="source")


def _texts(material: MaterialInput) -> Iterator[str]:
    source = material.source
    yield from (source.name, source.source_id, source.url, source.license, source.method)
    yield from (material.property_description, material.structure_description)
    for known in material.properties.values():
        yield from (known.source.name, known.source.version)


def _outcome(material: MaterialInput) -> Material | CrystalMeshError:
    try:
        return analyze(material)
    except CrystalMeshError as error:
        return error


def _atoms_in_primitive_cell(crystal: Crystal) -> int:
    # A cell of several primitive ones holds each element a multiple of times.
    if gcd(*(count for _, count in composition_of(crystal))) == 1:
        return len(crystal)
    return len(primitive_cell(crystal, symprec=SYMPREC_ANGSTROM))
