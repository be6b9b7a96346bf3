"""Small materials for catalogs, each a real crystal, and the catalogs of a test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.catalog.material import (
    MaterialInput,
    MaterialSource,
    Property,
    PropertyValue,
    SourceKind,
    ValueSource,
)
from crystalmesh_retrieval.catalog.writer import CatalogWriter
from tests.conftest import silicon, sodium_chloride

DFT = ValueSource(SourceKind.DFT, "Materials Project", "2021")
MODEL = ValueSource(SourceKind.POTENTIAL, "chgnet-0.3.0")


def salt(name: str, *, a: float = 5.69, gap: float | None = None, source: ValueSource = DFT) -> MaterialInput:
    """Rock salt under an id; its lattice constant makes it another material."""
    return material(sodium_chloride(name, a=a), gap=gap, source=source)


def diamond(name: str = "si", *, gap: float | None = 0.6) -> MaterialInput:
    return material(silicon(name), gap=gap)


def material(crystal: Crystal, *, gap: float | None = None, source: ValueSource = DFT) -> MaterialInput:
    """The crystal under its id."""
    known = {} if gap is None else {Property.BAND_GAP: PropertyValue(gap, source)}
    return MaterialInput(crystal.id, crystal, known, MaterialSource("tests", f"{crystal.id}-there"))


def salts(count: int, *, start: int = 0) -> list[MaterialInput]:
    """Materials salt-0, salt-1, …, all different."""
    return [salt(f"salt-{n}", a=5.5 + n * 1e-4, gap=n * 1e-3) for n in range(start, start + count)]


def overlapping(name: str) -> MaterialInput:
    """Two atoms at one place, which no catalog takes."""
    crystal = sodium_chloride(name)
    return material(replace(crystal, frac_coords=crystal.frac_coords * 0))


def new_catalog(folder: Path, name: str = "known") -> Catalogs:
    catalogs = Catalogs(folder / "catalogs")
    catalogs.create(name)
    return catalogs


def filled(folder: Path, *materials: MaterialInput) -> CatalogWriter:
    """A writer of a new catalog `known` with these materials."""
    writer = new_catalog(folder).writer("known")
    writer.add(materials)
    return writer
