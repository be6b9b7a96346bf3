"""A campaign for wide-gap fluorides, with crystals that exist, and values as models would give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crystalmesh.agent.v1 import campaign_candidate_pb2, campaign_pb2, run_pb2
from crystalmesh.crystal.v1 import property_pb2
from crystalmesh.generation.v1 import candidate_pb2, generation_pb2, transition_pb2
from crystalmesh.relaxation.v1 import relaxation_pb2
from crystalmesh_client.hulls import PhaseDiagram, PhaseDiagramEntry
from crystalmesh_client.references import Reference
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.elements import ATOMIC_NUMBERS, symbol_of
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.crystal.symmetry import space_group_number
from crystalmesh_common.crystal.text import crystal_to_cif

KNOWN = 6
"""The rank of the candidate that fulfils everything and is in the catalog already."""

Candidate = campaign_candidate_pb2.CampaignCandidate

REFERENCE = Reference(
    "mp20-chgnet-0.3.0", "model", "chgnet-0.3.0", "MP2020", 40476, is_default=True, entries_sha256="9f" * 32
)
STAGES = campaign_pb2.CampaignStage
TRANSITION = (
    "Replace {old} by {new}. Both have the same charge and like the same surroundings, so the frame stays; "
    "the cell changes by about {part} %.\n"
    "The states at the band edges are those of fluorine and of the alkali metal, and the d states of {old} "
    "leave the gap: it should widen."
)


def perovskite(a: str, b: str, edge: float) -> Crystal:
    """Cubic ABF3, five atoms, with the edge in Å."""
    sites = [[0.5, 0.5, 0.5], [0.0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]]
    return _crystal(edge * np.eye(3), [a, b, "F", "F", "F"], sites)


def layered(a: str, b: str, a_edge: float, c_edge: float) -> Crystal:
    """A2BF4 of the K2NiF4 type, the conventional cell of 14 atoms."""
    z_a, z_f = 0.3526, 0.1515
    half = [[0, 0, z_a], [0, 0, -z_a], [0, 0, 0], [0.5, 0, 0], [0, 0.5, 0], [0, 0, z_f], [0, 0, -z_f]]
    sites = [*half, *(np.array(half) + 0.5).tolist()]
    return _crystal(np.diag([a_edge, a_edge, c_edge]), [a, a, b, "F", "F", "F", "F"] * 2, sites)


def rutile(b: str, a_edge: float, c_edge: float) -> Crystal:
    """BF2 of the rutile type, six atoms."""
    u = 0.303
    sites = [
        [0.0, 0, 0],
        [0.5, 0.5, 0.5],
        [u, u, 0],
        [-u, -u, 0],
        [0.5 + u, 0.5 - u, 0.5],
        [0.5 - u, 0.5 + u, 0.5],
    ]
    return _crystal(np.diag([a_edge, a_edge, c_edge]), [b, b, "F", "F", "F", "F"], sites)


def _crystal(cell: np.ndarray, symbols: Sequence[str], sites: Sequence[Sequence[float]]) -> Crystal:
    numbers = np.array([ATOMIC_NUMBERS[symbol] for symbol in symbols], dtype=np.int64)
    return Crystal(cell, numbers, np.array(sites, dtype=np.float64))


@dataclass(frozen=True)
class Made:
    """What differs from candidate to candidate."""

    crystal: Crystal
    above_hull: float  # eV/atom
    formation: float  # eV/atom
    gap: float  # eV
    start: str  # formula of the material that it started from
    swap: tuple[str, str]  # element of that, and the one in its place
    products: tuple[tuple[str, float], ...] = ()


MADE = (
    Made(perovskite("K", "Mg", 4.006), 0.0, -3.127, 7.41, "KZnF3", ("Zn", "Mg")),
    Made(
        perovskite("Rb", "Mg", 4.152), 0.011, -3.09, 7.12, "KMgF3", ("K", "Rb"), (("RbF", 0.4), ("MgF2", 0.6))
    ),
    Made(
        layered("K", "Mg", 4.0, 13.7),
        0.004,
        -3.06,
        6.93,
        "K2NiF4",
        ("Ni", "Mg"),
        (("KF", 0.29), ("KMgF3", 0.71)),
    ),
    Made(
        perovskite("Cs", "Ca", 4.552),
        -0.006,
        -3.22,
        6.77,
        "CsSrF3",
        ("Sr", "Ca"),
        (("CsF", 0.4), ("CaF2", 0.6)),
    ),
    Made(
        perovskite("Na", "Mg", 3.954),
        0.031,
        -3.02,
        6.9,
        "NaMnF3",
        ("Mn", "Mg"),
        (("NaF", 0.4), ("MgF2", 0.6)),
    ),
    Made(rutile("Mg", 4.62, 3.05), 0.0, -3.75, 7.02, "MnF2", ("Mn", "Mg")),
    Made(
        layered("Rb", "Mg", 4.07, 13.9),
        0.024,
        -3.01,
        6.42,
        "K2MgF4",
        ("K", "Rb"),
        (("RbF", 0.29), ("RbMgF3", 0.71)),
    ),
    Made(rutile("Ca", 5.01, 3.36), 0.061, -4.05, 6.71, "MgF2", ("Mg", "Ca"), (("CaF2", 1.0),)),
    Made(perovskite("K", "Ca", 4.46), 0.018, -3.3, 6.2, "KCdF3", ("Cd", "Ca"), (("KF", 0.4), ("CaF2", 0.6))),
    Made(perovskite("K", "Zn", 4.06), 0.002, -2.4, 4.05, "KNiF3", ("Ni", "Zn"), (("KF", 0.4), ("ZnF2", 0.6))),
)


def candidates() -> list[Candidate]:
    """Ten that are ranked, five of them hits, and four that were dropped."""
    return [*(ranked(rank, made) for rank, made in enumerate(MADE, 1)), *rejected()]


def ranked(rank: int, made: Made) -> Candidate:
    """A candidate that came through all stages."""
    crystal, name = made.crystal, reduced_formula(made.crystal)
    fits, known = made.gap >= 6.5 and made.above_hull <= 0.05, rank == KNOWN
    hit = fits and not known
    message = Candidate(
        id=f"{0x7C3A91 * (rank + 7):024x}", campaign_id="cmp-2f81", round=1 + rank // 4, rank=rank
    )
    message.state = (
        campaign_candidate_pb2.CANDIDATE_STATE_HIT if hit else campaign_candidate_pb2.CANDIDATE_STATE_RANKED
    )
    message.on_pareto_front = rank in {1, 4}
    start = message.starting_material
    start.catalog, start.catalog_version = "mp20", "v3-61d0"
    start.material_id, start.formula = f"mp-{3448 + 17 * rank}", made.start
    start.similarity = 0.93 - 0.02 * rank
    message.generated.CopyFrom(generated(rank, crystal, made.start, made.swap))
    message.screening.values.append(value("BAND_GAP_EV", made.gap + 0.2, 0.31, "crystalmesh-property", "0.4"))
    _relax(message, crystal)
    _score(message, made, name)
    message.properties.extend(
        [
            value("BAND_GAP_EV", made.gap, 0.24, "crystalmesh-property", "0.4"),
            value("BULK_MODULUS_GPA", 75.0 - 2.5 * rank, 6.0, "crystalmesh-property", "0.4"),
            value("FORMATION_ENERGY_EV_PER_ATOM", made.formation, None, "chgnet-0.3.0", "", kind="POTENTIAL"),
            value("DENSITY_G_PER_CUBIC_CENTIMETER", 3.15 + 0.1 * rank, None, "", "", kind="GEOMETRY"),
        ]
    )
    novelty = message.novelty
    novelty.new_to_catalog, novelty.first_in_campaign = not known, True
    novelty.catalog_version = "v3-61d0"
    novelty.matched_material_id = "mp-1249" if known else ""
    fit = message.target_fit
    fit.fulfilled, fit.score = fits, 0.985 - 0.011 * rank if fits else 0.46 - 0.02 * rank
    if made.gap < 6.5:
        fit.misses.append(f"band gap {made.gap:.2f} eV, asked for at least 6.5 eV")
    if made.above_hull > 0.05:
        fit.misses.append(f"{1000 * made.above_hull:.0f} meV/atom above the hull, asked for at most 50")
    for stage, model, version in (
        ("GENERATE", "crystalmesh-lm" if rank % 2 else "ionic-substitution", "0.9"),
        ("SCREEN", "crystalmesh-property", "0.4"),
        ("RELAX", "chgnet-0.3.0", "0.3.0"),
        ("SCORE", "chgnet-0.3.0", "0.3.0"),
    ):
        message.models.add(stage=STAGES.Value(f"CAMPAIGN_STAGE_{stage}"), model=model, version=version)
    return message


def generated(rank: int, crystal: Crystal, start: str, swap: tuple[str, str]) -> candidate_pb2.Candidate:
    """The sample, by the language model for odd ranks, else by substitution."""
    made = candidate_pb2.Candidate(
        crystal=crystal_to_proto(crystal), cif_text=crystal_to_cif(crystal), alx_text=_alx(crystal)
    )
    made.crystal.id = f"1.0-{rank}"
    made.validity.structure_valid = made.validity.composition_valid = True
    made.validity.formula = reduced_formula(crystal)
    made.validity.shortest_distance_angstrom = 1.98
    made.validity.volume_cubic_angstrom = crystal.volume
    made.validity.space_group_number = space_group_number(crystal)
    made.origin.reference_id, made.origin.seed = start, 9_007_199_254 + rank
    made.transition.text = TRANSITION.format(old=swap[0], new=swap[1], part=1 + rank)
    made.transition.reference_id = start
    if rank % 2:
        made.log_probability = -31.4 - rank
        made.transition.origin = transition_pb2.TRANSITION_ORIGIN_MODEL
        made.transition.model, made.transition.log_probability = "crystalmesh-lm", -58.2
        writer = made.origin.language_model
        writer.model, writer.model_version, writer.temperature, writer.top_p = (
            "crystalmesh-lm",
            "0.9",
            0.8,
            0.95,
        )
        writer.constrained, writer.prompt_tokens, writer.completion_tokens = True, 412, 268
    else:
        made.transition.origin = transition_pb2.TRANSITION_ORIGIN_SUBSTITUTION
        made.transition.text = f"Replace {swap[0]} by {swap[1]}, and scale the cell to the new radii."
        origin = made.origin.ionic_substitution
        origin.substitutions.add(
            from_atomic_number=ATOMIC_NUMBERS[swap[0]], to_atomic_number=ATOMIC_NUMBERS[swap[1]]
        )
        origin.table_version, origin.probability = "icsd-2012", 0.0173
    return made


def rejected() -> list[Candidate]:
    """Four that did not come through, in different stages."""
    told = (
        ("VALIDATE", "INVALID_STRUCTURE", "the closest atoms are 0.31 Å apart"),
        ("VALIDATE", "DUPLICATE", "the same structure as candidate 1"),
        ("SCREEN", "OFF_TARGET", "band gap 1.9 eV, asked for at least 6.5 eV"),
        ("RELAX", "NOT_RELAXED", "500 steps, and the largest force is 0.31 eV/Å"),
    )
    dropped = []
    for number, (stage, reason, words) in enumerate(told):
        message = Candidate(id=f"{number:024x}", round=1)
        message.state = campaign_candidate_pb2.CANDIDATE_STATE_REJECTED
        crystal = perovskite("K", "Mn", 4.19 + 0.01 * number)
        message.generated.CopyFrom(generated(20 + number, crystal, "KNiF3", ("Ni", "Mn")))
        message.rejection.stage = STAGES.Value(f"CAMPAIGN_STAGE_{stage}")
        message.rejection.reason = campaign_candidate_pb2.RejectionReason.Value(f"REJECTION_REASON_{reason}")
        message.rejection.message = words
        dropped.append(message)
    return dropped


def value(
    name: str, number: float, uncertainty: float | None, source: str, version: str, kind: str = "PREDICTION"
) -> property_pb2.PropertyValue:
    """A property of a crystal as services give it."""
    return property_pb2.PropertyValue(
        property=property_pb2.Property.Value(f"PROPERTY_{name}"),
        value=number,
        uncertainty=uncertainty,
        source=property_pb2.ValueSource(
            kind=property_pb2.SourceKind.Value(f"SOURCE_KIND_{kind}"), name=source, version=version
        ),
    )


def campaign() -> campaign_pb2.Campaign:
    """The campaign, finished with enough hits."""
    message = campaign_pb2.Campaign(
        id="cmp-2f81",
        state=run_pb2.RUN_STATE_FINISHED,
        stop_reason=campaign_pb2.CAMPAIGN_STOP_REASON_HITS,
        last_sequence=311,
    )
    message.create_time.FromJsonString("2026-11-20T08:59:58Z")
    message.start_time.FromJsonString("2026-11-20T09:00:01Z")
    message.end_time.FromJsonString("2026-11-20T09:14:21Z")
    _ask(message.spec)
    progress = message.progress
    progress.rounds, progress.hits, progress.candidates, progress.evaluations = 3, 5, 48, 3122
    progress.wall_time.FromSeconds(860)
    funnel = (
        ("RETRIEVE", 24, 24, 0, 2),
        ("GENERATE", 48, 48, 0, 212),
        ("VALIDATE", 48, 33, 15, 1),
        ("SCREEN", 33, 21, 12, 9),
        ("RELAX", 21, 18, 3, 598),
        ("SCORE", 18, 13, 5, 31),
        ("NOVELTY", 13, 10, 3, 4),
        ("RANK", 10, 10, 0, 1),
    )
    for stage, entered, passed, dropped, seconds in funnel:
        row = progress.stages.add(
            stage=STAGES.Value(f"CAMPAIGN_STAGE_{stage}"),
            entered_count=entered,
            passed_count=passed,
            rejected_count=dropped,
        )
        row.busy_time.FromSeconds(seconds)
    return message


def diagrams() -> dict[str, PhaseDiagram]:
    """The hulls of F-Mg and F-K-Mg."""
    entries = [
        PhaseDiagramEntry(f"mp-{number}", formula, energy, distance)
        for number, (formula, energy, distance) in enumerate(
            [
                ("F2", 0.0, 0.0),
                ("Mg", 0.0, 0.0),
                ("MgF2", -3.75, 0.0),
                ("MgF2", -3.69, 0.06),
                ("K", 0.0, 0.0),
                ("KF", -2.88, 0.0),
                ("KMgF3", -3.127, 0.0),
                ("K2MgF4", -3.064, 0.0),
                ("KF2", -1.72, 0.2),
            ]
        )
    ]
    binary = PhaseDiagram("F-Mg", REFERENCE, tuple(entries[:4]), ((0, 2), (1, 2)))
    facets = ((0, 2, 6), (0, 5, 7), (0, 6, 7), (4, 5, 7), (1, 4, 7), (1, 6, 7), (1, 2, 6))
    return {"F-Mg": binary, "F-K-Mg": PhaseDiagram("F-K-Mg", REFERENCE, tuple(entries), facets)}


def _ask(spec: campaign_pb2.CampaignSpec) -> None:
    spec.display_name = "Wide-gap fluorides for windows in the deep ultraviolet"
    target = spec.target
    target.required_elements.append(9)
    target.forbidden_elements.extend([4, 80, 81, 82])
    target.properties.add(property=property_pb2.PROPERTY_BAND_GAP_EV, min=6.5)
    target.properties.add(property=property_pb2.PROPERTY_ENERGY_ABOVE_HULL_EV_PER_ATOM, max=0.05)
    target.free_text = "Cubic or tetragonal would be best, for the windows are polished & coated."
    spec.hits_wanted, spec.max_rounds_without_progress, spec.seed = 5, 10, 7
    spec.budget.max_candidates, spec.budget.max_planner_tokens = 500, 1_000_000
    spec.budget.max_wall_time.FromSeconds(3600)
    spec.catalog, spec.reference, spec.planner = "mp20", REFERENCE.name, "bandit"
    spec.generators.extend(
        [generation_pb2.GENERATOR_LANGUAGE_MODEL, generation_pb2.GENERATOR_IONIC_SUBSTITUTION]
    )
    spec.models.generation, spec.models.property = "crystalmesh-lm", "crystalmesh-property"
    spec.models.potential = "chgnet-0.3.0"


def _relax(message: Candidate, crystal: Crystal) -> None:
    relaxation = message.relaxation
    relaxation.crystal.CopyFrom(crystal_to_proto(crystal))
    relaxation.converged, relaxation.stop_reason = True, relaxation_pb2.STOP_REASON_CONVERGED
    relaxation.steps, relaxation.max_force_ev_per_angstrom, relaxation.max_stress_gpa = 38, 0.041, 0.12
    relaxation.initial.energy_ev_per_atom, relaxation.final.energy_ev_per_atom = -4.912, -4.968
    relaxation.initial.model = relaxation.final.model = "chgnet-0.3.0"
    relaxation.wall_time.FromMilliseconds(7340)


def _score(message: Candidate, made: Made, formula: str) -> None:
    hull = message.hull_distance
    hull.energy_above_hull_ev_per_atom, hull.formation_energy_ev_per_atom = made.above_hull, made.formation
    hull.formula, hull.competing_entry_count = formula, 9
    hull.model, hull.self_consistent = REFERENCE.model, True
    hull.reference.name, hull.reference.model = REFERENCE.name, REFERENCE.model
    hull.reference.energy_scheme, hull.reference.entry_count = REFERENCE.energy_scheme, REFERENCE.entry_count
    hull.reference.entries_sha256 = REFERENCE.entries_sha256
    for number, (product, share) in enumerate(made.products):
        hull.decomposition.add(
            entry_id=f"mp-{number + 500}",
            formula=product,
            atom_fraction=share,
            formation_energy_ev_per_atom=-3,
        )


def _alx(crystal: Crystal) -> str:
    lengths = " ".join(f"{length:.1f}" for length in np.linalg.norm(crystal.cell, axis=1))
    sites = (
        f"{symbol_of(number)} {' '.join(f'{part:.2f}' for part in place)}"
        for number, place in zip(crystal.numbers.tolist(), np.mod(crystal.frac_coords, 1), strict=True)
    )
    return "\n".join([lengths, "90 90 90", *sites])
