"""What models ask materials to be: composition, symmetry and ranges of properties."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from crystalmesh_client.conditions import CrystalSystemName, MaterialFilter, Target
from crystalmesh_client.properties import PROPERTY_NAMES

Symbol = Annotated[str, Field(pattern=r"^[A-Z][a-z]?$")]
Symbols = Annotated[list[Symbol], Field(max_length=118)]


class Bounds(BaseModel):
    """A range, in the unit that the property's name ends with. Give at least one of its two ends."""

    model_config = ConfigDict(extra="forbid")

    min: FiniteFloat | None = Field(None, description="The smallest acceptable value. Unset: any.")
    max: FiniteFloat | None = Field(None, description="The largest acceptable value. Unset: any.")


class Demands(BaseModel):
    """What a material must be. All that is set must hold; what is left out does not matter."""

    model_config = ConfigDict(extra="forbid")

    elements: Symbols = Field([], description='Symbols that must all be there: ["Li", "O"].')
    only_elements: Symbols = Field([], description="Symbols that may be there, beside `elements`. []: any.")
    without_elements: Symbols = Field([], description="Symbols that must not be there.")
    formula: str = Field(
        "", max_length=200, description="Exactly this composition, up to a common factor: LiFePO4."
    )
    chemical_system: str = Field(
        "", max_length=200, description="Exactly these elements, in any order: Li-Fe-O."
    )
    space_group_number: int | None = Field(
        None, ge=1, le=230, description="International number. Give this or `crystal_system`, not both."
    )
    crystal_system: CrystalSystemName | None = Field(None, description="Any space group of it.")
    band_gap_ev: Bounds | None = Field(None, description="Electronic band gap; 0 is a metal.")
    formation_energy_ev_per_atom: Bounds | None = Field(None, description="From the elements.")
    energy_above_hull_ev_per_atom: Bounds | None = Field(
        None, description="0: stable; up to about 0.1: perhaps metastable."
    )
    bulk_modulus_gpa: Bounds | None = Field(None, description="Voigt-Reuss-Hill average.")
    shear_modulus_gpa: Bounds | None = Field(None, description="Voigt-Reuss-Hill average.")
    magnetization_mu_b_per_cubic_angstrom: Bounds | None = Field(
        None, description="Bohr magnetons of the cell over its volume."
    )
    density_g_per_cubic_centimeter: Bounds | None = None
    atoms_in_cell: Bounds | None = Field(None, description="Atoms in the primitive cell.")

    def to_target(self) -> Target:
        """The same for the mesh; InvalidFieldError for what cannot be meant."""
        return Target(**self._parts())

    def to_filter(self) -> MaterialFilter:
        """The same as what every hit of a search must fulfil; InvalidFieldError likewise."""
        return self.to_target().as_filter()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked."""
        return not self.model_dump(exclude_defaults=True)

    def _parts(self) -> dict[str, Any]:
        ranges: dict[str, Bounds | None] = {name: getattr(self, name) for name in PROPERTY_NAMES}
        return {
            "elements": self.elements,
            "only_elements": self.only_elements,
            "without_elements": self.without_elements,
            "formula": self.formula,
            "chemical_system": self.chemical_system,
            "space_group": self.space_group_number,
            "crystal_system": self.crystal_system,
            **{name: (bounds.min, bounds.max) for name, bounds in ranges.items() if bounds is not None},
        }


class Wishes(Demands):
    """What a new material should be, with what else matters in words."""

    free_text: str = Field(
        "", max_length=4000, description="What else matters, in words. Models read it; it overrides nothing."
    )

    def _parts(self) -> dict[str, Any]:
        return {**super()._parts(), "free_text": self.free_text}
