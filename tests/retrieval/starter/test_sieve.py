"""What is kept."""

from __future__ import annotations

from dataclasses import replace

from crystalmesh_retrieval.starter.labelling import Labels
from crystalmesh_retrieval.starter.sieve import sound, worth_keeping
from tests.retrieval.starter.records import SALT, SILICON, relaxed


def test_what_did_not_converge_is_left_out_with_its_reason() -> None:
    """Failures, step limits, cells that fell apart and atoms that fell together are counted apart."""
    kept = sound(
        [
            relaxed(SALT),
            relaxed(replace(SALT, id="slow"), stop="step limit"),
            {"id": "bad", "stop": "failed", "reason": "MODEL_FAILED"},
            relaxed(replace(SALT, id="gas", cell=SALT.cell * 3)),
            relaxed(replace(SALT, id="dense", cell=SALT.cell / 6)),
        ]
    )
    assert [record["id"] for record in kept.records] == [SALT.id]
    assert kept.reasons == {
        "step limit": 1,
        "failed: MODEL_FAILED": 1,
        "fallen apart": 1,
        "atoms too close": 1,
    }


def test_of_one_structure_the_lowest_stays() -> None:
    """What relaxed into another one is left out, and what is far above the hull, and what has no labels."""
    twin, high = replace(SALT, id="twin", cell=SALT.cell * 1.01), replace(SILICON, id="high")
    records = [relaxed(crystal) for crystal in (SALT, twin, SILICON, high, replace(SILICON, id="unknown"))]
    labels = {
        SALT.id: Labels(-2.0, 0.1),
        "twin": Labels(-2.1, 0.0),
        SILICON.id: Labels(0.0, 0.0),
        "high": Labels(0.9, 0.9),
    }
    kept = worth_keeping(records, labels)
    assert {record["id"] for record in kept.records} == {"twin", SILICON.id}
    assert kept.reasons == {"same as another after relaxation": 1, "far above the hull": 1, "not scored": 1}
