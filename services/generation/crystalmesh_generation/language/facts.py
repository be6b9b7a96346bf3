"""Knowledge of structure and activity as text: what a crystal is, and why it conducts or does not."""

from __future__ import annotations

from crystalmesh_common.crystal.description.elements import ELECTRONEGATIVITIES
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_generation.language.portrait import Portrait
from crystalmesh_generation.language.templates import amount, description

METAL_BELOW_EV, INSULATOR_FROM_EV = 0.05, 3.0
_IONIC_DIFFERENCE = 1.7
_STABLE_BELOW_EV = 0.025
_HARD_FROM_GPA = 100.0


def facts_of(portrait: Portrait) -> str:
    """What the model learns to say of a crystal that it has read."""
    clauses = [description(portrait), *_charges(portrait), *_conduction(portrait), *_other(portrait)]
    return " ; ".join(clauses)


def kind_by_gap(gap_ev: float) -> str:
    """What a gap makes of a material: "metal", "semiconductor" or "insulator"."""
    if gap_ev < METAL_BELOW_EV:
        return "metal"
    return "insulator" if gap_ev >= INSULATOR_FROM_EV else "semiconductor"


def _charges(portrait: Portrait) -> list[str]:
    if not portrait.oxidation_states:
        return ["charges not balanced"] if len(portrait.composition) > 1 else []
    states = " ".join(
        f"{symbol_of(number)} {state:+d}" for number, state in portrait.oxidation_states.items()
    )
    return [f"charges balance : {states}"]


def _conduction(portrait: Portrait) -> list[str]:
    gap = portrait.properties.get("band_gap_ev")
    if gap is None:
        return []
    kind = kind_by_gap(gap)
    return [f"{kind} since {_reason(portrait)}" if _explains(portrait, kind) else kind]


def _explains(portrait: Portrait, kind: str) -> bool:
    """Whether balanced charges, or their lack, are on the side of what was found."""
    return bool(portrait.oxidation_states) == (kind != "metal")


def _reason(portrait: Portrait) -> str:
    if not portrait.oxidation_states:
        return "charges not balanced"
    cation, anion = portrait.composition[0][0], portrait.composition[-1][0]
    difference = ELECTRONEGATIVITIES[anion] - ELECTRONEGATIVITIES[cation]
    much = "far more" if difference >= _IONIC_DIFFERENCE else "more"
    return f"charges balance and {symbol_of(anion)} is {much} electronegative than {symbol_of(cation)}"


def _other(portrait: Portrait) -> list[str]:
    clauses = []
    known = portrait.properties
    if (hull := known.get("energy_above_hull_ev_per_atom")) is not None:
        clauses.append("stable" if hull < _STABLE_BELOW_EV else "unstable")
    if (modulus := known.get("bulk_modulus_gpa")) is not None:
        clauses.append("stiff" if modulus >= _HARD_FROM_GPA else "soft")
    if (moment := known.get("magnetization_mu_b_per_cubic_angstrom")) is not None:
        clauses.append("magnetic" if float(amount("magnetization_mu_b_per_cubic_angstrom", moment)) else "")
    return [clause for clause in clauses if clause]
