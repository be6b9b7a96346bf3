"""Whether crystals are known: which materials of a catalog are the same structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from crystalmesh.retrieval.v1 import match_pb2
from crystalmesh_client.notebook import html_grid, html_table
from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.structure import Crystal


@dataclass(frozen=True)
class MatchTolerance:
    """How far two structures may differ and still be the same, as pymatgen's StructureMatcher means it.

    What is None is the server's default.
    """

    length_fraction: float | None = None  # relative difference of lattice lengths; 0.2
    site_fraction: float | None = None  # of the mean free length per atom; 0.3
    angle_degrees: float | None = None  # difference of lattice angles; 5

    def to_proto(self) -> match_pb2.MatchTolerance:
        """The message."""
        return match_pb2.MatchTolerance(
            length_fraction=self.length_fraction,
            site_fraction=self.site_fraction,
            angle_degrees=self.angle_degrees,
        )


@dataclass(frozen=True)
class Match:
    """A material that is the same structure as a crystal."""

    material_id: str
    rms_distance_fraction: float  # of matched sites, as a fraction of the mean free length per atom


@dataclass(frozen=True, eq=False)
class Matches:
    """Which materials of a catalog a crystal is, the closest first. Iterates over them."""

    id: str
    crystal: Crystal = field(repr=False)
    matches: tuple[Match, ...]
    catalog: str
    catalog_version: str
    compared_count: int  # materials of the same reduced formula that it was compared with

    @property
    def is_known(self) -> bool:
        """Whether the catalog has it; otherwise it is new to it."""
        return bool(self.matches)

    @property
    def formula(self) -> str:
        """The reduced formula of the crystal."""
        return reduced_formula(self.crystal)

    def __len__(self) -> int:
        return len(self.matches)

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matches)

    def _repr_html_(self) -> str:
        head = html_table(
            ("crystal", self.id),
            ("formula", self.formula),
            ("catalog", self.catalog),
            ("known", "yes" if self.is_known else f"no, of {self.compared_count} that it could have been"),
        )
        rows = [(match.material_id, f"{match.rms_distance_fraction:.4f}") for match in self.matches]
        return head + (html_grid(("material", "rms distance"), rows) if rows else "")


def matches_from(message: match_pb2.Matches, crystal: Crystal) -> Matches:
    """The typed form of a message about `crystal`."""
    return Matches(
        id=crystal.id,
        crystal=crystal,
        matches=tuple(Match(match.material_id, match.rms_distance_fraction) for match in message.matches),
        catalog=message.catalog,
        catalog_version=message.catalog_version,
        compared_count=message.compared_count,
    )
