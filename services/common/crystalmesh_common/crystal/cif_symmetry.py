"""The symmetry operations that a CIF means, listed in it or implied by its space group."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from crystalmesh_common.crystal.cif_syntax import CifBlock
from crystalmesh_common.crystal.notation import parse_number, quoted
from crystalmesh_common.crystal.structure import FloatArray
from crystalmesh_common.runtime.errors import UnreadableCrystalError

_MAX_OPERATIONS = 1_000
"""Five times what the largest space group has in its largest conventional cell; supercells repeat some."""

_TERM = re.compile(r"([+-]?)(?:(\d{1,6})/(\d{1,6})|(\d{0,6}\.\d{1,12}|\d{1,6}\.?))?\*?([xyz]?)")
_LISTED = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_MAGNETIC = "_space_group_symop_magn_operation_xyz"
_MAGNETIC_CENTERING = "_space_group_symop_magn_centering_xyz"
_HALL_NAME = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NAME = ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m", "_space_group_name_h-m_full")
_NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number")


@dataclass(frozen=True)
class SymmetryOperations:
    """x' = rotation x + translation in fractional coordinates, one or more of them."""

    rotations: FloatArray  # (m, 3, 3)
    translations: FloatArray  # (m, 3)

    def __len__(self) -> int:
        return len(self.rotations)


def symmetry_operations(block: CifBlock, cell: FloatArray) -> SymmetryOperations:
    """The operations of a block, the identity alone where it names no symmetry.

    Listed operations count, whatever space group is named beside them. A space group without listed
    operations is looked up by its Hall symbol, Hermann-Mauguin symbol or number; it must fit the cell and
    leave no choice of origin open. Raises `UnreadableCrystalError`.
    """
    magnetic = block.column(_MAGNETIC)
    if magnetic is not None:
        # The fourth part of a magnetic operation is time reversal, which moves no atom.
        operations = _listed([",".join(text.split(",")[:3]) for text in magnetic])
        centering = [",".join(text.split(",")[:3]) for text in block.column(_MAGNETIC_CENTERING) or []]
        return _combined(operations, _listed(centering)) if centering else operations
    listed = block.column(*_LISTED)
    if listed:
        return _listed(listed)
    return _implied(block, cell)


def parse_operation(text: str) -> tuple[FloatArray, FloatArray]:
    """Rotation (3, 3) and translation (3,) of an operation such as "-y, x-y, z+1/3"."""
    parts = text.lower().replace(" ", "").split(",") if len(text) <= 120 else []
    if len(parts) != 3 or not all(parts):
        raise UnreadableCrystalError(f"{quoted(text)} is not a symmetry operation")
    rotation, translation = np.zeros((3, 3)), np.zeros(3)
    for row, part in enumerate(parts):
        position = 0
        while position < len(part):
            term = _TERM.match(part, position)
            # Terms after the first need a sign, else "xy" would read as x + y.
            if term is None or not term[0].strip("+-*") or (position and not term[1]):
                raise UnreadableCrystalError(f"{quoted(text)} is not a symmetry operation")
            sign, above, below, decimal, axis = term.groups()
            if below is not None and int(below) == 0:
                raise UnreadableCrystalError(f"{quoted(text)} divides by zero")
            value = int(above) / int(below) if below else float(decimal or 1)
            value = -value if sign == "-" else value
            if axis:
                rotation[row, "xyz".index(axis)] += value
            else:
                translation[row] += value
            position = term.end()
    if not np.isclose(abs(np.linalg.det(rotation)), 1.0):
        raise UnreadableCrystalError(f"{quoted(text)} does not keep the volume of the cell")
    return rotation, translation


def format_operation(rotation: FloatArray, translation: FloatArray) -> str:
    """The text of an operation of a space group setting, such as "-y, x-y, z+1/3"."""
    parts = []
    for row, shift in zip(rotation, translation, strict=True):
        signs = {1: "+", -1: "-"}
        terms = [
            f"{signs[round(value)]}{axis}" for value, axis in zip(row, "xyz", strict=True) if round(value)
        ]
        # Translations of the tabulated settings are multiples of 1/24 or 1/3.
        fraction = Fraction(float(shift)).limit_denominator(24)
        terms += [f"{fraction.numerator:+d}/{fraction.denominator}"] if fraction else []
        parts.append("".join(terms).removeprefix("+"))
    return ", ".join(parts)


def _listed(texts: list[str]) -> SymmetryOperations:
    if len(texts) > _MAX_OPERATIONS:
        raise UnreadableCrystalError(f"{len(texts)} symmetry operations; no space group has that many")
    parsed = [parse_operation(text) for text in texts]
    return SymmetryOperations(np.array([r for r, _ in parsed]), np.array([t for _, t in parsed]))


def _combined(operations: SymmetryOperations, centering: SymmetryOperations) -> SymmetryOperations:
    count = len(operations) * len(centering)
    if count > _MAX_OPERATIONS:
        raise UnreadableCrystalError(f"{count} symmetry operations; no space group has that many")
    rotations = np.einsum("cij,ojk->coik", centering.rotations, operations.rotations)
    translations = np.einsum("cij,oj->coi", centering.rotations, operations.translations)
    translations += centering.translations[:, None, :]
    return SymmetryOperations(rotations.reshape(-1, 3, 3), translations.reshape(-1, 3))


def _implied(block: CifBlock, cell: FloatArray) -> SymmetryOperations:
    hall_name, name, number = block.value(*_HALL_NAME), block.value(*_NAME), block.value(*_NUMBER)
    settings = _settings_by_name()
    hall_numbers: tuple[int, ...] = ()
    if hall_name:
        hall_numbers = settings.get("hall:" + _key(hall_name), ())
    if not hall_numbers and name:
        hall_numbers = settings.get(_key(name), ())
    if not hall_numbers and number:
        hall_numbers = settings.get(f"{parse_number(number, 'the space group number'):g}", ())
    if hall_numbers:
        return _fitting(hall_numbers, cell, name or f"number {number}")
    named = hall_name or name or number
    if named:
        raise UnreadableCrystalError(
            f"no symmetry operations are listed, and space group {quoted(named)} is not known"
        )
    return SymmetryOperations(np.eye(3)[None], np.zeros((1, 3)))


def _fitting(hall_numbers: tuple[int, ...], cell: FloatArray, name: str) -> SymmetryOperations:
    """The operations of the only setting that keeps the lengths and angles of the cell."""
    metric = cell @ cell.T
    fitting: list[SymmetryOperations] = []
    for hall_number in hall_numbers:
        operations = operations_of_setting(hall_number)
        # Fractional coordinates transform as columns, so the metric must satisfy RᵀGR = G.
        turned = np.einsum("mji,jk,mkl->mil", operations.rotations, metric, operations.rotations)
        if np.abs(turned - metric).max() < 0.01 * np.abs(metric).max():
            fitting.append(operations)
    if not fitting:
        raise UnreadableCrystalError(f"the cell does not have the symmetry of space group {quoted(name)}")
    if len(fitting) > 1:
        raise UnreadableCrystalError(
            f"space group {quoted(name)} has several settings that fit the cell;"
            " list the symmetry operations or name the setting"
        )
    return fitting[0]


@lru_cache(maxsize=32)
def operations_of_setting(hall_number: int) -> SymmetryOperations:
    """The operations of one of the 530 settings of the Hall table, centering included."""
    from moyopy import HallSymbolEntry, Setting, operations_from_number  # noqa: PLC0415

    number = HallSymbolEntry(hall_number).number
    found = operations_from_number(number, setting=Setting.hall_number(hall_number))
    return SymmetryOperations(np.array(found.rotations, dtype=float), np.array(found.translations))


@lru_cache(maxsize=1)
def _settings_by_name() -> dict[str, tuple[int, ...]]:
    """Hall numbers (1 to 530) by every name a CIF gives a setting, without spaces and underscores.

    A name of several settings lists them all; monoclinic axis and cell choices are the exception, where
    the first that has the name is what everybody means.
    """
    from moyopy import HallSymbolEntry  # noqa: PLC0415

    by_name: dict[str, list[int]] = defaultdict(list)
    for hall_number in range(1, 531):
        entry = HallSymbolEntry(hall_number)
        # "1", "2" (origins), "H", "R" (axes of rhombohedral groups) are choices; axis orders are not.
        choice = str(entry.setting)[:1]
        setting = choice if choice in {"1", "2", "H", "R"} else ""
        full = entry.hm_full
        short = entry.hm_short if entry.number > 15 else full.replace(" 1", "") or full
        names = {_key(full), _key(short)}
        if str(entry.number) not in by_name or setting:
            names.add(str(entry.number))
        for name in names:
            if not by_name[name] or setting:
                by_name[name].append(hall_number)
            if setting:
                by_name[f"{name}:{setting.lower()}"].append(hall_number)
        by_name["hall:" + _key(entry.hall_symbol)].append(hall_number)
    return {name: tuple(hall_numbers) for name, hall_numbers in by_name.items()}


def _key(name: str) -> str:
    return re.sub(r"[\s_]", "", name[:80]).lower()
