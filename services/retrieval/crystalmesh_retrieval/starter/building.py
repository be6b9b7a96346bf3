"""The catalog out of relaxed and labelled crystals."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from crystalmesh_common.crystal.description import describe_properties, describe_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.durable import make_folder, sync_folder, write_file
from crystalmesh_retrieval.catalog.analysis import analyze
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.catalog.manifest import MANIFEST, Manifest, read_manifest, write_manifest
from crystalmesh_retrieval.catalog.material import (
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.catalog.segment import SEGMENTS
from crystalmesh_retrieval.starter.candidates import crystal_of
from crystalmesh_retrieval.starter.labelling import Labels
from crystalmesh_retrieval.starter.ledger import Record

NAME = "starter"
SOURCE = "crystalmesh"
LICENSE = "CC0-1.0"
DESCRIPTION = (
    "Prototypes decorated by ionic substitution, relaxed and labelled by CrystalMesh itself. All values are "
    "of machine-learned models, none of DFT or experiment: energies and moments of a potential, band gaps "
    "predicted by a network. Hull distances count against the entries of "
    "mp20-chgnet-0.3.0 and of this catalog together."
)
ATTRIBUTIONS = (
    "Prototypes: AFLOW (M. J. Mehl et al., Comput. Mater. Sci. 136, S1, 2017)",
    "The same out of pymatgen (S. P. Ong et al., Comput. Mater. Sci. 68, 314, 2013)",
    "Substitutions: G. Hautier et al., Inorg. Chem. 50, 656, 2011",
    "Charge balance: SMACT (D. W. Davies et al., J. Open Source Softw. 4, 1361, 2019)",
    "Band gaps: a network trained on MatBench mp_gap (A. Dunn et al., npj Comput. Mater. 6, 138, 2020)",
    "Energies and magnetic moments: CHGNet 0.3.0 (B. Deng et al., Nat. Mach. Intell. 5, 1031, 2023)",
)
_DECIMALS = 4


def material_of(candidate: Record, relaxed: Record, labels: Labels) -> MaterialInput:
    """One material of the catalog, with its texts."""
    moments = relaxed["magnetic_moments_mu_b"]
    crystal = replace(crystal_of(relaxed), magnetic_moments=None if moments is None else np.array(moments))
    source = ValueSource(SourceKind.POTENTIAL, relaxed["model"], relaxed["model_version"])
    values = {
        Property.FORMATION_ENERGY: labels.formation_energy,
        # What rounding leaves below the hull is on it.
        Property.ENERGY_ABOVE_HULL: max(labels.energy_above_hull, 0.0),
        Property.MAGNETIZATION: magnetization_mu_b_per_cubic_angstrom(crystal),
    }
    known_values = {
        name: PropertyValue(round(value, _DECIMALS) + 0.0, source)
        for name, value in values.items()
        if value is not None
    }
    if labels.band_gap is not None:
        known_values[Property.BAND_GAP] = labels.band_gap
    material = MaterialInput(
        crystal.id,
        crystal,
        known_values,
        MaterialSource(SOURCE, license=LICENSE, method=_method(candidate)),
    )
    known = analyze(material)
    return replace(
        material,
        property_description=describe_properties(
            {name.value: value.value for name, value in known.properties.items()},
            formula=known.formula,
            space_group_number=known.space_group_number,
        ),
        structure_description=describe_structure(known.crystal),
    )


def magnetization_mu_b_per_cubic_angstrom(crystal: Crystal) -> float | None:
    """All moments in one direction, over the volume: the potential tells their sizes, not their order."""
    if crystal.magnetic_moments is None:
        return None
    return abs(float(crystal.magnetic_moments.sum())) / crystal.volume


def build_catalog(
    candidates: Mapping[str, Record], kept: Sequence[Record], labels: Mapping[str, Labels], folder: Path
) -> Manifest:
    """Make the folder the catalog of the kept ones, by id.

    A catalog of the same materials is left as it is, to the byte. Another one is replaced; a reader that
    has it open keeps what it sees.
    """
    materials = [
        material_of(candidates[record["id"]], record, labels[record["id"]])
        for record in sorted(kept, key=lambda record: str(record["id"]))
    ]
    with tempfile.TemporaryDirectory(prefix="crystalmesh-starter-") as scratch:
        catalogs = Catalogs(Path(scratch))
        catalogs.create(NAME, DESCRIPTION)
        with catalogs.writer(NAME) as writer:
            changes = writer.add(materials, attributions=ATTRIBUTIONS)
            manifest = writer.snapshot.manifest
        if changes.rejections:
            worst = changes.rejections[0]
            raise ValueError(f"{worst.material_id} is no material: {worst.error}")
        return _publish(catalogs.folder(NAME), manifest, folder)


def _publish(made: Path, manifest: Manifest, folder: Path) -> Manifest:
    if (folder / MANIFEST).exists():
        before = read_manifest(folder)
        if _said(before) == _said(manifest) and all(
            (folder / SEGMENTS / s.file).exists() for s in before.segments
        ):
            return before
        manifest = manifest.model_copy(update={"create_time": before.create_time})
    make_folder(folder / SEGMENTS)
    for segment in manifest.segments:
        write_file(folder / SEGMENTS / segment.file, (made / SEGMENTS / segment.file).read_bytes())
    write_manifest(folder, manifest)
    named = {segment.file for segment in manifest.segments}
    for path in (folder / SEGMENTS).iterdir():
        if path.name not in named:
            path.unlink()
    sync_folder(folder / SEGMENTS)
    return manifest


def _said(manifest: Manifest) -> tuple[str, str, tuple[str, ...]]:
    return manifest.content_version, manifest.description, manifest.attributions


def _method(candidate: Record) -> str:
    prototype = f"prototype {candidate['prototype']}"
    substitution = candidate["substitution"]
    return f"{prototype}; substitution {substitution}" if substitution else prototype
