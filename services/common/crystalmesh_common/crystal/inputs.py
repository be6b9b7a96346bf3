"""A caller's crystal, in whichever form it came."""

from __future__ import annotations

from dataclasses import replace

from crystalmesh.crystal.v1 import crystal_pb2
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.text import crystal_from_cif, crystal_from_poscar
from crystalmesh_common.crystal.validity import check_crystal
from crystalmesh_common.runtime.errors import InvalidFieldError


def crystal_from_input(message: crystal_pb2.CrystalInput, *, default_id: str, max_atoms: int) -> Crystal:
    """The crystal of an input, read, named and checked: models can compute with it.

    Its id is the input's, else the one inside `crystal`, else `default_id`. Raises `InvalidFieldError`
    for an input without a source, and whatever reading and `check_crystal` raise.
    """
    source = message.WhichOneof("source")
    if source == "crystal":
        crystal = crystal_from_proto(message.crystal)
        crystal = replace(crystal, id=message.id or crystal.id or default_id)
    elif source == "cif_text":
        crystal = crystal_from_cif(message.cif_text, id=message.id or default_id, max_atoms=max_atoms)
    elif source == "poscar_text":
        crystal = crystal_from_poscar(message.poscar_text, id=message.id or default_id, max_atoms=max_atoms)
    else:
        raise InvalidFieldError("one of crystal, cif_text and poscar_text must be set", field="source")
    check_crystal(crystal, max_atoms=max_atoms)
    return crystal
