"""What new crystals are made for: targets, known materials to start from, and how to make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict, get_args

from crystalmesh.generation.v1 import generation_pb2, transition_pb2
from crystalmesh_client.candidates import Candidate
from crystalmesh_client.conditions import Target, check_encodable
from crystalmesh_client.inputs import CrystalLike, distinct, to_crystal, to_inputs
from crystalmesh_client.materials import Material, MaterialInput
from crystalmesh_client.properties import value_to_proto
from crystalmesh_client.searches import SearchHit
from crystalmesh_common.runtime.errors import InvalidCrystalError, InvalidFieldError

GeneratorName = Literal["best", "language_model", "ionic_substitution"]
"""A way to make crystals; "best" is what the server found best, or both."""

MissingReferenceName = Literal["draw", "omit"]
"""Without a reference: draw one of the server's materials for each sample, or do without."""

TargetLike = Target | Mapping[str, Any]
"""A `Target`, or its parts by name: {"formula": "LiFePO4"}."""

ReferenceLike = CrystalLike | Material | SearchHit | MaterialInput | Candidate | str
"""A crystal, a material with what is known of it, or the text of a CIF file."""

_GENERATORS: Mapping[str, generation_pb2.Generator.ValueType] = {
    "best": generation_pb2.GENERATOR_UNSPECIFIED,
    "language_model": generation_pb2.GENERATOR_LANGUAGE_MODEL,
    "ionic_substitution": generation_pb2.GENERATOR_IONIC_SUBSTITUTION,
}
_MISSING: Mapping[str, generation_pb2.MissingReference.ValueType] = {
    "draw": generation_pb2.MISSING_REFERENCE_DRAW,
    "omit": generation_pb2.MISSING_REFERENCE_OMIT,
}
_MAX_SAMPLES = 10_000
_MAX_TRANSITION_CHARACTERS = 20_000
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, eq=False)
class Prompt:
    """What to make crystals for; an empty one asks for any crystal.

    A reference brings its properties along when it is a hit of a search or a `MaterialInput`.
    """

    target: TargetLike | None = None
    reference: ReferenceLike | None = None
    id: str = ""  # empty: its position in the list, "0" for the first
    transition_text: str = ""  # the way to go from the reference; empty: the model writes one

    def to_proto(self) -> generation_pb2.GenerationPrompt:
        """The message; raises what is wrong with target and reference."""
        if len(self.transition_text) > _MAX_TRANSITION_CHARACTERS:
            raise InvalidFieldError(
                f"{len(self.transition_text):,} characters of transition;"
                f" at most {_MAX_TRANSITION_CHARACTERS:,}",
                field="transition_text",
            )
        check_encodable(self.transition_text, "transition_text")
        return generation_pb2.GenerationPrompt(
            id=self.id,
            target=None if self.target is None else to_target(self.target).to_proto(),
            reference=None if self.reference is None else reference_to_proto(self.reference),
            transition_text=self.transition_text,
        )


PromptLike = Prompt | TargetLike


class SamplingSettings(TypedDict, total=False):
    """How a language model chooses its tokens."""

    model: str  # to ask; default: the server's
    temperature: float | None  # 0 to 2; 0: the likeliest token always; None: the model's own
    top_p: float | None  # choose among the likeliest tokens with this probability together; None: all
    seed: int  # same seed, request, model and machine: same text
    timeout: float | None  # of each call, in seconds


class GenerationSettings(SamplingSettings, total=False):
    """How crystals are made. What is left out is the server's default."""

    samples: int  # for each prompt; 1
    generator: GeneratorName
    missing_reference: MissingReferenceName  # what to do for prompts without one; "draw"
    skip_transition: bool  # write crystals straight from target and reference
    max_atoms: int | None  # 20, or the model's limit where it is smaller
    min_distance_angstrom: float | None  # between two atoms, while writing; None: only reported
    unconstrained: bool  # let the model write freely: perhaps faster, with parse failures
    symmetrize: bool  # move atoms and cell to the symmetry that the target asks for, where it is near
    symmetry_tolerance_angstrom: float | None  # how near; 0.1
    known_formulas: Sequence[str]  # that there are enough of: others are preferred


@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """`GenerationSettings` with every default; raises InvalidFieldError for what cannot be meant."""

    samples: int = 1
    generator: GeneratorName = "best"
    model: str = ""
    temperature: float | None = None
    top_p: float | None = None
    seed: int = 0
    missing_reference: MissingReferenceName = "draw"
    skip_transition: bool = False
    max_atoms: int | None = None
    min_distance_angstrom: float | None = None
    unconstrained: bool = False
    symmetrize: bool = False
    symmetry_tolerance_angstrom: float | None = None
    known_formulas: Sequence[str] = ()
    timeout: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= _MAX_SAMPLES:
            raise InvalidFieldError(
                f"samples are 1 to {_MAX_SAMPLES:,}, not {self.samples}", field="samples_per_prompt"
            )
        _check_name(self.generator, get_args(GeneratorName), "generator")
        _check_name(self.missing_reference, get_args(MissingReferenceName), "missing_reference")
        _check_seed(self.seed)
        if self.max_atoms is not None and not 1 <= self.max_atoms < 2**32:
            raise InvalidFieldError(f"at most {self.max_atoms} atoms are no crystal", field="max_atoms")

    def to_proto(self) -> generation_pb2.GenerateRequest:
        """A request that has everything but prompts."""
        return generation_pb2.GenerateRequest(
            samples_per_prompt=self.samples,
            generator=_GENERATORS[self.generator],
            model=self.model,
            sampling=sampling_to_proto(self.temperature, self.top_p, self.seed),
            constraints=generation_pb2.GenerationConstraints(
                unconstrained=self.unconstrained,
                max_atoms=self.max_atoms,
                min_distance_angstrom=self.min_distance_angstrom,
                symmetrize=self.symmetrize,
                symmetry_tolerance_angstrom=self.symmetry_tolerance_angstrom,
                known_formulas=self.known_formulas,
            ),
            missing_reference=_MISSING[self.missing_reference],
            skip_transition=self.skip_transition,
        )


def sampling_to_proto(
    temperature: float | None, top_p: float | None, seed: int
) -> transition_pb2.SamplingOptions:
    """The message of how tokens are chosen."""
    _check_seed(seed)
    return transition_pb2.SamplingOptions(temperature=temperature, top_p=top_p, seed=seed)


def to_prompts(given: Iterable[PromptLike]) -> list[Prompt]:
    """All prompts, each with an id: its own, or its position. DuplicateIdError when two share one."""
    if isinstance(given, Prompt | Target | Mapping | str):
        raise InvalidFieldError("prompts are given as a list; this is a single one", field="prompts")
    return distinct((_named(position, item) for position, item in enumerate(given)), "prompts")


def to_target(given: TargetLike) -> Target:
    """The target of a Target or of its parts by name; InvalidFieldError for what is neither."""
    wanted: object = given  # perhaps a text, by callers who check no types
    if isinstance(wanted, Target):
        return wanted
    if not isinstance(wanted, Mapping):
        raise InvalidFieldError(
            f"a target is a Target or a dict, not {str(wanted)[:_SHOWN_CHARACTERS]!r}:"
            ' Target(formula="LiFePO4"), Target(free_text="an oxide")',
            field="target",
        )
    unknown = [str(name)[:_SHOWN_CHARACTERS] for name in wanted if name not in Target.__dataclass_fields__]
    if unknown:
        raise InvalidFieldError(f"a target has no {', '.join(unknown)}", field="target")
    return Target(**wanted)


def reference_to_proto(given: ReferenceLike) -> transition_pb2.ReferenceMaterial:
    """The message of a known material; raises what is wrong with its crystal."""
    material = _to_material(given)
    crystal = to_crystal(material.crystal)
    known_as = replace(crystal, id=material.id or crystal.id)
    return transition_pb2.ReferenceMaterial(
        crystal=to_inputs([known_as])[0],
        structure_description=material.structure_description,
        properties=[value_to_proto(name, value) for name, value in material.properties.items()],
    )


def _to_material(given: ReferenceLike) -> MaterialInput:
    if isinstance(given, MaterialInput):
        return given
    if isinstance(given, SearchHit):
        return _to_material(given.material)
    if isinstance(given, Material):
        if given.crystal is None:
            raise InvalidCrystalError(f'{given.id} came without its crystal; search with view="full"')
        return given.to_input()
    if isinstance(given, Candidate):
        return MaterialInput(given.crystal, properties=given.predicted)
    if isinstance(given, str):
        return MaterialInput(_from_text(given))
    return MaterialInput(given)


def _from_text(text: str) -> CrystalLike:
    from crystalmesh_common.crystal.text import crystal_from_cif  # noqa: PLC0415 -- few bring text

    if "\n" not in text:
        raise InvalidCrystalError(
            f"{text[:_SHOWN_CHARACTERS]!r} is no CIF text; for a file give a Path, for a material of a"
            " catalog what `mesh.retrieval.material` answers"
        )
    return crystal_from_cif(text)


def _named(position: int, item: PromptLike) -> Prompt:
    prompt = item if isinstance(item, Prompt) else Prompt(to_target(item))
    return replace(prompt, id=prompt.id or str(position))


def _check_name(name: str, names: tuple[str, ...], field: str) -> None:
    if name not in names:
        raise InvalidFieldError(
            f"{field} is {' or '.join(names)}, not {str(name)[:_SHOWN_CHARACTERS]!r}", field=field
        )


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**64:
        raise InvalidFieldError(f"a seed is 0 to 2^64 - 1, not {seed}", field="seed")
