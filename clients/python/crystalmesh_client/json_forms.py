"""Typed values as JSON can hold them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import numpy as np
from google.protobuf.message import Message

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError


def json_form(value: object) -> Any:
    """The value with all that it holds; a dataclass by its fields, without messages and private ones.

    NaN and infinities, which JSON has not, are null.
    """
    match value:
        case float():
            form: Any = value if math.isfinite(value) else None
        case None | bool() | int() | str():
            form = value
        case datetime():
            form = value.isoformat(timespec="milliseconds")
        case CrystalMeshError():
            form = {"reason": value.reason, "message": value.message, **value.details}
        case np.ndarray():
            form = json_form(value.tolist())
        case Mapping():
            form = {str(name): json_form(each) for name, each in value.items()}
        case Crystal():
            form = crystal_form(value)
        case _:
            form = _form_of_parts(value)
    return form


def fields_form(value: Any) -> dict[str, Any]:
    """A dataclass by its fields, though it has a `to_dict` of its own."""
    shown = (field.name for field in fields(value) if not field.name.startswith("_"))
    known = {name: getattr(value, name) for name in shown}
    return {name: json_form(each) for name, each in known.items() if not isinstance(each, Message)}


def crystal_form(crystal: Crystal) -> dict[str, Any]:
    """Cell, elements and positions, by the names of the API."""
    return {
        "cell_angstrom": crystal.cell.tolist(),
        "atomic_numbers": crystal.numbers.tolist(),
        "fractional_coordinates": crystal.frac_coords.tolist(),
    }


def _form_of_parts(value: object) -> Any:
    to_dict = getattr(value, "to_dict", None)
    if to_dict is not None:
        return json_form(to_dict())
    if is_dataclass(value):
        return fields_form(value)
    if isinstance(value, Collection):
        return [json_form(each) for each in value]
    return str(value)
