"""Targets: whether they can be meant, and what they say in words."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh_common.crystal.composition import reduced_formula_of_text
from crystalmesh_common.crystal.description import describe_target
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, MAX_ATOMIC_NUMBER, symbol_of
from crystalmesh_common.crystal.symmetry import SPACE_GROUPS
from crystalmesh_common.runtime.errors import ContradictoryTargetError, InvalidFieldError
from crystalmesh_retrieval.convert import bounds_of, crystal_system_of

MAX_FREE_TEXT_CHARACTERS = 4000


def target_text(target: Target) -> str:
    """The target as a description.

    Raises InvalidFieldError, UnknownEnumValueError and ContradictoryTargetError for one that cannot be meant.
    """
    check_target(target)
    text = describe_target(target)
    if not text:
        raise InvalidFieldError("the target says nothing", field="target")
    return text


def check_target(target: Target) -> None:
    """Raise unless each part of a target is right by itself, and all can hold together."""
    bounds_of(target.properties, "target.properties")
    for field in ("required_elements", "allowed_elements", "forbidden_elements"):
        for number in getattr(target, field):
            if not 1 <= number <= MAX_ATOMIC_NUMBER:
                raise InvalidFieldError(
                    f"target.{field}: {number} is no atomic number", field=f"target.{field}"
                )
    symmetry = target.WhichOneof("symmetry")
    if symmetry == "space_group_number" and not 1 <= target.space_group_number <= SPACE_GROUPS:
        raise InvalidFieldError(
            f"target.space_group_number: {target.space_group_number} is no space group, 1 to 230 are",
            field="target.space_group_number",
        )
    if symmetry == "crystal_system" and target.crystal_system:
        crystal_system_of(target.crystal_system, "target.crystal_system")
    if len(target.free_text) > MAX_FREE_TEXT_CHARACTERS:
        raise InvalidFieldError(
            f"target.free_text has {len(target.free_text):,} characters; "
            f"at most {MAX_FREE_TEXT_CHARACTERS:,} are taken",
            field="target.free_text",
        )
    _check_elements(target)


def _check_elements(target: Target) -> None:
    required, forbidden = set(target.required_elements), set(target.forbidden_elements)
    allowed = {*target.allowed_elements, *required} if target.allowed_elements else None
    _refuse("required_elements", "forbidden_elements", required & forbidden)
    exact = {
        "formula": _elements_of_formula(target.formula),
        "chemical_system": _elements_of_system(target.chemical_system),
    }
    for field, elements in exact.items():
        if elements is None:
            continue
        _refuse(field, "forbidden_elements", elements & forbidden)
        _refuse("required_elements", field, required - elements)
        _refuse(field, "allowed_elements", elements - allowed if allowed is not None else ())
    formula, system = exact.values()
    if formula is not None and system is not None:
        _refuse("formula", "chemical_system", formula ^ system)


def _refuse(first: str, second: str, elements: Collection[int]) -> None:
    if elements:
        raise ContradictoryTargetError(
            f"target.{first} and target.{second} exclude each other: {_symbols(elements)}",
            field=f"target.{first}",
        )


def _symbols(elements: Iterable[int]) -> str:
    return ", ".join(symbol_of(number) for number in sorted(elements))


def _elements_of_formula(formula: str) -> set[int] | None:
    if not formula:
        return None
    try:
        reduced = reduced_formula_of_text(formula)
    except InvalidFieldError as error:
        raise InvalidFieldError(f"target.formula: {error.message}", field="target.formula") from None
    from pymatgen.core.composition import Composition  # noqa: PLC0415 -- half a second

    return {ATOMIC_NUMBERS[symbol] for symbol in Composition(reduced).get_el_amt_dict()}


def _elements_of_system(system: str) -> set[int] | None:
    symbols = system.split("-") if system else []
    for symbol in symbols:
        if symbol not in ATOMIC_NUMBERS:
            raise InvalidFieldError(
                f"target.chemical_system: {symbol[:20]!r} is no element; write Fe-Li-O",
                field="target.chemical_system",
            )
    return {ATOMIC_NUMBERS[symbol] for symbol in symbols} or None
