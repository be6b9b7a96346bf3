from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.composition_limits import composition_limits
from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_common.runtime.errors import DataCorruptError, WrongStateError
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.samples.materials import Material, held_materials
from crystalmesh_generation.samples.references import References
from crystalmesh_generation.samples.seeds import proposal_seed, reference_seed
from crystalmesh_generation.substitution.table import shipped_substitutions
from tests.conftest import block, iron, silicon, sodium_chloride
from tests.property.crystals import rock_salt, salts_table

HELD = [Material(crystal, {}) for crystal in (sodium_chloride(), silicon(), iron(), block(repeat=2))]


def drawn(*, count: int = 20, seed: int = 0, **target: Any) -> set[str]:
    limits = composition_limits(**target)
    return {
        known.crystal.id
        for known in islice(References(HELD, shipped_substitutions()).draws(limits, Aim(), seed), count)
    }


def test_references_fit_the_target() -> None:
    """Elements in the ratio of a formula, as many elements as are named, no more atoms than allowed."""
    assert drawn(formula="KBr") == {"NaCl", "block"}
    assert drawn(formula="KBr", max_atoms=4) == {"NaCl"}
    assert drawn(required=[3, 8], max_atoms=4) == {"NaCl"}
    assert drawn(chemical_system="Ti") == {"Si", "Fe"}
    assert drawn(max_atoms=4) == {"NaCl", "Si", "Fe"}


def test_likely_references_come_first_as_a_rule() -> None:
    """For a bromide of potassium that of rubidium rather than an oxide, and nothing twice."""
    held = [Material(rock_salt(number), {}) for number in range(49)]
    references = References(held, shipped_substitutions())
    sooner = 0
    for seed in range(20):
        draws = references.draws(composition_limits(formula="KBr"), Aim(), seed)
        formulas = [reduced_formula(known.crystal) for known in draws]
        assert len(set(formulas)) == len(formulas) == len(held)
        sooner += formulas.index("RbBr") < formulas.index("MgO")
    assert sooner > 15


def test_references_have_the_symmetry_of_the_target() -> None:
    """Where any has it; a system counts as each of its groups."""
    groups = {"NaCl": 225, "Si": 227, "Fe": 229, "block": 12}
    held = [Material(each.crystal, {}, groups[each.crystal.id]) for each in HELD]
    references = References(held, shipped_substitutions())

    def found(aim: Aim) -> set[str]:
        return {known.crystal.id for known in islice(references.draws(composition_limits(), aim, 0), 60)}

    assert found(Aim(space_group_number=227)) == {"Si"}
    assert found(Aim(crystal_system="cubic")) == {"NaCl", "Si", "Fe"}
    assert found(Aim(space_group_number=62)) == {"NaCl", "Si", "Fe", "block"}


def test_where_none_is_alike_any_will_do() -> None:
    """A ratio that nothing has is no reason to have no reference at all."""
    assert drawn(formula="Al2O3", max_atoms=5) == {"NaCl", "Si", "Fe"}


def test_draws_follow_the_seed() -> None:
    """Same seed, same materials in the same order; and in their standard setting."""
    references, limits = References(HELD, shipped_substitutions()), composition_limits()
    first, again, other = (
        [known.crystal.id for known in islice(references.draws(limits, Aim(), seed), 30)]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_nothing_to_draw_is_an_error() -> None:
    """It says what to do instead."""
    with pytest.raises(WrongStateError, match="MISSING_REFERENCE_OMIT"):
        next(References([], shipped_substitutions()).draws(composition_limits(), Aim(), 0))


def test_materials_come_from_folders_and_tables(tmp_path: Path) -> None:
    """With their ids, and their values where there are any; what is none of these is refused."""
    (tmp_path / "salts").mkdir()
    for number in range(3):
        (tmp_path / "salts" / f"{number}.cif").write_text(crystal_to_cif(rock_salt(number)))
    (tmp_path / "salts" / "none.cif").write_text("data_none")
    assert [each.crystal.id for each in held_materials(tmp_path / "salts")] == ["0", "1", "2"]
    table = salts_table(tmp_path / "salts.parquet", [4, 5])
    held = held_materials(table)
    assert [each.crystal.id for each in held] == ["salt-0004", "salt-0005"]
    assert all(each.properties["band_gap_ev"] > 0 for each in held)
    with pytest.raises(DataCorruptError):
        held_materials(tmp_path / "nothing")


def test_seeds_are_those_that_are_documented() -> None:
    """The first eight bytes of a SHA-256; of every sample, proposal and prompt another."""
    assert proposal_seed(7, "salt", 1, 2) == 0x90BF3DBB76BDE905
    seeds = {
        proposal_seed(request, prompt, sample, proposal)
        for request in range(3)
        for prompt in ("a", "b")
        for sample in range(3)
        for proposal in range(3)
    } | {reference_seed(0, "a", 0)}
    assert len(seeds) == 3 * 2 * 3 * 3 + 1
