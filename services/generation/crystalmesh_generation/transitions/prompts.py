"""What a language model is asked, to write the way from one material to another.

MatExpert gives GPT-4 formula, description and properties of both materials and asks why properties differ
between them. We ask the same, and besides for the steps that its generation stage is to follow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crystalmesh_common.crystal.composition import reduced_formula
from crystalmesh_common.crystal.description import describe_properties, describe_structure

if TYPE_CHECKING:
    from crystalmesh_generation.training.corpus import Entry

_ROLE = (
    "You are a solid-state chemist who plans new inorganic crystals from known ones. You answer in plain "
    "prose, in one paragraph, without headings, lists, formulas in markup or remarks about the question."
)
_QUESTION = """\
Two inorganic crystals are given below, a source that is known and a target that somebody wants to reach \
from it. Say in at most 150 words which changes lead from the source to the target and why they change \
its properties in the way that the figures show. Go through what applies of: elements that replace others \
and the sites that they take, the stoichiometry, the symmetry, the strain of the lattice and its volume, \
the coordination of each element, and, for each property that moves, the likeliest chemical or physical \
reason. Do not list coordinates.

Source: {source}

Target: {target}"""


@dataclass(frozen=True)
class Prompt:
    """A question about one pair, and the key that its answer goes by."""

    text: str
    model: str  # that is asked
    key: str  # of question and model

    @property
    def messages(self) -> list[dict[str, str]]:
        """As chat endpoints take it."""
        return [{"role": "system", "content": _ROLE}, {"role": "user", "content": self.text}]


def material_text(entry: Entry) -> str:
    """A material as the question tells it: formula, properties and structure; takes some 15 ms."""
    portrait = entry.portrait
    properties = describe_properties(
        _asked(portrait.properties),
        formula=reduced_formula(entry.crystal),
        space_group_number=portrait.space_group_number,
    )
    return f"{properties}.\nStructure: {describe_structure(entry.crystal)}"


def prompt_of(source: str, target: str, model: str) -> Prompt:
    """The question about two materials, told by `material_text`."""
    text = _QUESTION.format(source=source, target=target)
    said = json.dumps([model, _ROLE, text], ensure_ascii=False)
    return Prompt(text, model, hashlib.sha256(said.encode()).hexdigest())


def _asked(properties: Mapping[str, float]) -> Mapping[str, float]:
    """Without the number of atoms, which is of the cell and not of the material."""
    return {name: value for name, value in properties.items() if name != "atoms_in_cell"}
