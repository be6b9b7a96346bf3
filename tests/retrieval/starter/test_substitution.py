"""What stands for what, and what is chosen."""

from __future__ import annotations

import math

from crystalmesh_retrieval.starter.decoration import decoration_of
from crystalmesh_retrieval.starter.parents import Parent
from crystalmesh_retrieval.starter.prototypes import prototypes
from crystalmesh_retrieval.starter.selection import Coverage, ranked
from crystalmesh_retrieval.starter.species import Ion, log_likelihood, substitutes
from crystalmesh_retrieval.starter.substitution import Substitution, balances, substitutions


def _from(key: str, formula: str, charges: tuple[int, ...] | None) -> list[Substitution]:
    return substitutions([Parent(decoration_of(prototypes()[key], formula), charges)])


def test_an_ion_is_the_likeliest_in_its_own_place() -> None:
    """Likenesses are counted from the ion itself; potassium stands for sodium, chlorine never does."""
    sodium = Ion("Na", 1)
    assert substitutes(sodium, 2)[0] == (sodium, 0.0)
    assert log_likelihood(sodium, Ion("K", 1)) > log_likelihood(sodium, Ion("W", 6))
    assert log_likelihood(sodium, Ion("Cl", -1)) == -math.inf


def test_ions_that_were_never_mined_go_by_likeness() -> None:
    """Arsenides become phosphides before they become bismuthides."""
    arsenic = Ion("As", -3)
    assert log_likelihood(arsenic, Ion("P", -3)) > log_likelihood(arsenic, Ion("Bi", -3)) > -math.inf


def test_ionic_substitutions_are_neutral() -> None:
    """The charges of every compound add up to nothing, and its formula says so to SMACT too."""
    found = _from("CaTiO3 221", "CaTiO3", (2, 4, -2))
    assert len(found) > 50
    for one in found:
        assert one.ions is not None
        counts = one.decoration.prototype.counts
        assert sum(n * ion.charge for n, ion in zip(counts, one.ions, strict=True)) == 0
    assert {("Sr", "Ti", "O"), ("K", "Nb", "O")} <= {one.decoration.elements for one in found}
    assert balances(decoration_of(prototypes()["CaTiO3 221"], "SrTiO3"))
    assert not balances(decoration_of(prototypes()["CaTiO3 221"], "CsRbF3"))


def test_metals_are_exchanged_for_metals_alike() -> None:
    """Rhodium for cobalt is likelier than lithium, and no oxide comes of an alloy."""
    found = {one.decoration.elements: one.log_likelihood for one in _from("CsCl 221", "AlCo", None)}
    assert found["Al", "Co"] == 0.0
    assert found["Ga", "Ni"] > -9.0
    assert not any("O" in elements for elements in found)


def test_the_choice_is_spread_and_the_same_every_time() -> None:
    """One system does not fill the catalog, however likely its compounds are, and runs agree."""
    pool = _from("CaTiO3 221", "CaTiO3", (2, 4, -2)) + _from("CsCl 221", "AlCo", None)

    def first(count: int) -> list[str]:
        coverage, names = Coverage(), []
        for one in ranked(pool, coverage):
            coverage.take(one.decoration)
            names.append(one.decoration.name)
            if len(names) == count:
                break
        assert len(coverage.systems) == count
        return names

    assert first(20) == first(20)


def test_the_choice_ends_when_nothing_is_left() -> None:
    """Every compound that balances comes once."""
    pool = _from("NaCl 225", "NaCl", (1, -1))
    names = [one.decoration.name for one in ranked(pool, Coverage())]
    assert len(names) == len(set(names)) == sum(balances(one.decoration) for one in pool)
