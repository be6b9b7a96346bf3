"""Describers by name."""

from __future__ import annotations

import sys

import pytest

from crystalmesh_common.crystal.description import describe_structure
from crystalmesh_common.runtime.errors import ModelNotFoundError, UnsupportedQuantityError
from crystalmesh_retrieval.descriptions.describers import describer
from tests.conftest import sodium_chloride


def test_default() -> None:
    """The default is our own, with formula and without."""
    salt = sodium_chloride()
    assert describer().describe(salt) == describe_structure(salt)
    assert describer("crystalmesh").describe(salt, formula=False) == describe_structure(salt, formula=False)


def test_unknown_name() -> None:
    """A name that is none is refused with those that there are."""
    with pytest.raises(ModelNotFoundError, match="no describer 'poet'; there are crystalmesh, robocrys"):
        describer("poet")


def test_robocrys_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without RoboCrystallographer its describer says how to install it."""
    monkeypatch.setitem(sys.modules, "robocrys", None)
    with pytest.raises(ModelNotFoundError, match=r"pip install 'crystalmesh-retrieval\[robocrys\]'"):
        describer("robocrys")


@pytest.mark.filterwarnings("ignore")  # it and its many libraries give several
def test_robocrys() -> None:
    """RoboCrystallographer describes a crystal, and refuses to leave the elements out."""
    pytest.importorskip("robocrys", reason="an optional extra that no other test needs")
    robocrystallographer = describer("robocrys")
    text = robocrystallographer.describe(sodium_chloride())
    assert "Rock Salt" in text
    with pytest.raises(UnsupportedQuantityError):
        robocrystallographer.describe(sodium_chloride(), formula=False)
