"""Lines as the stages of a build write them, of crystals that are soon computed."""

from __future__ import annotations

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_retrieval.starter.candidates import Candidate, crystal_record
from crystalmesh_retrieval.starter.ledger import Record
from tests.conftest import silicon, sodium_chloride

SALT, SILICON = sodium_chloride("cm-NaCl"), silicon("cm-Si")


def candidate(crystal: Crystal, origin: str = "known") -> Record:
    """A line of candidates."""
    return Candidate(crystal, "AB_cF8_225_a_b (Halite)", origin, "").record()


def relaxed(crystal: Crystal, *, stop: str = "converged", energy: float = -3.4) -> Record:
    """A line of results."""
    return {
        "id": crystal.id,
        "stop": stop,
        "energy_ev_per_atom": energy,
        "model": "chgnet-0.3.0",
        "model_version": "0.4.2",
        **crystal_record(crystal),
        "magnetic_moments_mu_b": [0.5] * len(crystal),
    }
