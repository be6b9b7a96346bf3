from __future__ import annotations

import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import Crystal, CrystalInput
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal as OurCrystal
from crystalmesh_common.runtime import errors
from crystalmesh_common.runtime.intake import read_inputs, resolve_ids
from tests.conftest import silicon, sodium_chloride


def test_an_id_is_the_inputs_then_the_crystals_then_the_position() -> None:
    """Ids are resolved in that order."""
    inputs = [
        CrystalInput(id="outer", crystal=Crystal(id="inner")),
        CrystalInput(crystal=Crystal(id="inner")),
        CrystalInput(cif_text="data_x"),
    ]
    assert resolve_ids(inputs, max_crystals=3) == ["outer", "inner", "2"]


def test_a_batch_must_have_items_and_not_too_many() -> None:
    """No crystals and one over the limit are refused, exactly the limit is taken."""
    with pytest.raises(errors.EmptyBatchError):
        resolve_ids([], max_crystals=2)
    with pytest.raises(errors.TooManyCrystalsError) as refused:
        resolve_ids([CrystalInput()] * 3, max_crystals=2)
    assert refused.value.details == {"max_crystals": "2"}
    assert resolve_ids([CrystalInput()] * 2, max_crystals=2) == ["0", "1"]


@pytest.mark.parametrize(
    "inputs",
    [
        [CrystalInput(id="twin"), CrystalInput(id="twin")],
        [CrystalInput(id="twin"), CrystalInput(crystal=Crystal(id="twin"))],
        [CrystalInput(id="1"), CrystalInput()],
    ],
)
def test_two_crystals_cannot_share_an_id(inputs: list[CrystalInput]) -> None:
    """Ids given twice are refused, one that equals another's position included."""
    with pytest.raises(errors.DuplicateIdError):
        resolve_ids(inputs, max_crystals=9)


async def test_crystals_come_in_order_and_bad_ones_as_their_error() -> None:
    """Every input gives a crystal or the reason why not, across chunks, in order, named after its id."""
    good = CrystalInput(crystal=crystal_to_proto(sodium_chloride("")))
    overlapping = crystal_to_proto(silicon(""))
    overlapping.fractional_coordinates[:] = [0.1] * 6
    inputs = [good] * 40 + [
        CrystalInput(cif_text="no cif"),
        CrystalInput(),
        CrystalInput(crystal=overlapping),
    ]
    ids = [f"crystal-{position}" for position in range(len(inputs))]
    read = [item async for item in read_inputs(inputs, ids, max_atoms=10)]
    crystals = [item for item in read if isinstance(item, OurCrystal)]
    assert [crystal.id for crystal in crystals] == ids[:40]
    assert all(np.array_equal(crystal.numbers, [11, 17]) for crystal in crystals)
    assert [type(item) for item in read[40:]] == [
        errors.UnreadableCrystalError,
        errors.InvalidFieldError,
        errors.OverlappingAtomsError,
    ]
