"""New crystals as a server made them, and what became of samples that are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from crystalmesh.generation.v1 import candidate_pb2
from crystalmesh_client.notebook import html_grid, html_table
from crystalmesh_client.predictions import PredictedValue, predicted_value_from
from crystalmesh_client.properties import SHORT_NAMES
from crystalmesh_client.results import Failed
from crystalmesh_client.transitions import Transition, transition_from
from crystalmesh_client.validity import Validity, validity_from
from crystalmesh_common.crystal.elements import symbol_of
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_common.crystal.structure import Crystal

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core.structure import Structure

ParseFailureKindName = Literal["unspecified", "malformed", "truncated", "impossible_cell"]
"""A way in which text is no crystal."""

_KINDS: Mapping[int, ParseFailureKindName] = {
    candidate_pb2.PARSE_FAILURE_KIND_MALFORMED: "malformed",
    candidate_pb2.PARSE_FAILURE_KIND_TRUNCATED: "truncated",
    candidate_pb2.PARSE_FAILURE_KIND_IMPOSSIBLE_CELL: "impossible_cell",
}


@dataclass(frozen=True)
class LanguageModelOrigin:
    """How a language model wrote a sample."""

    model: str
    model_version: str
    temperature: float
    top_p: float
    constrained: bool  # only well-formed crystals were admitted
    prompt_tokens: int
    completion_tokens: int  # transition included

    def __str__(self) -> str:
        return f"{self.model} {self.model_version}".strip()


@dataclass(frozen=True)
class SubstitutionOrigin:
    """How a crystal was substituted."""

    substitutions: Mapping[str, str]  # element of the reference: the one that takes its place
    table_version: str  # of the table of probabilities
    probability: float  # of the substitutions by that table

    def __str__(self) -> str:
        if not self.substitutions:
            return "no substitution"
        return ", ".join(f"{old} → {new}" for old, new in self.substitutions.items())


@dataclass(frozen=True)
class SampleOrigin:
    """How a sample was made, well enough to make it again."""

    reference_id: str  # also when it was drawn; empty: there was none
    seed: int  # of this sample
    language_model: LanguageModelOrigin | None = None  # if that made it
    ionic_substitution: SubstitutionOrigin | None = None  # if that made it

    @property
    def generator(self) -> str:
        """What made it, by its name in the API."""
        if self.language_model is not None:
            return "language_model"
        return "unspecified" if self.ionic_substitution is None else "ionic_substitution"

    def __str__(self) -> str:
        made_by = self.language_model or self.ionic_substitution
        return str(made_by or "not stated")

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {"generator": self.generator, **asdict(self)}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A new crystal with how it came to be. Look at `validity` before anything else."""

    id: str  # of the crystal: that of the prompt, a hyphen and the sample's position
    prompt_id: str
    sample_index: int  # among those of its prompt, from 0
    crystal: Crystal = field(repr=False)
    cif: str = field(repr=False)  # with the symmetry that was found
    alx: str = field(repr=False)  # the text that a model wrote, or the same format for other generators
    transition: Transition | None = field(repr=False)  # from the reference; None: skipped, or none there
    origin: SampleOrigin = field(repr=False)
    log_probability: float | None  # of the ALX text, natural; None unless a model wrote it
    predicted: Mapping[str, PredictedValue] = field(repr=False)  # by property; what the model says of it
    validity: Validity = field(repr=False)
    symmetrized: bool  # it was moved to the symmetry of the target
    duplicate_of: str  # id of an earlier candidate that is the same structure; empty: first of its kind

    @property
    def formula(self) -> str:
        """The reduced formula."""
        return self.validity.formula

    @property
    def space_group_number(self) -> int:
        """The space group that was found within 0.1 Å."""
        return self.validity.space_group_number

    @property
    def is_valid(self) -> bool:
        """Whether structure and composition are possible."""
        return self.validity.is_valid

    def to_pymatgen(self) -> Structure:
        """The crystal as a pymatgen Structure."""
        from crystalmesh_common.crystal.pymatgen_codec import to_structure  # noqa: PLC0415 -- heavy

        return to_structure(self.crystal)

    def to_ase(self) -> Atoms:
        """The crystal as ASE Atoms."""
        from crystalmesh_common.crystal.ase_codec import to_atoms  # noqa: PLC0415 -- heavy

        return to_atoms(self.crystal)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "id": self.id,
            "prompt_id": self.prompt_id,
            "sample_index": self.sample_index,
            "formula": self.formula,
            "validity": self.validity.to_dict(),
            "duplicate_of": self.duplicate_of,
            "symmetrized": self.symmetrized,
            "predicted": {name: value.to_dict() for name, value in self.predicted.items()},
            "log_probability": self.log_probability,
            "transition": None if self.transition is None else asdict(self.transition),
            "origin": self.origin.to_dict(),
            "crystal": {
                "cell_angstrom": self.crystal.cell.tolist(),
                "atomic_numbers": self.crystal.numbers.tolist(),
                "fractional_coordinates": self.crystal.frac_coords.tolist(),
            },
            "cif": self.cif,
            "alx": self.alx,
        }

    def _repr_html_(self) -> str:
        from crystalmesh_client.plots import crystal_picture as pictures  # noqa: PLC0415 -- seldom

        shown = pictures.conventional_cell_of(self.crystal)
        picture = pictures.crystal_picture(shown.cell, shown.numbers, shown.frac_coords)
        rows = [("crystal", self.id), ("formula", self.formula)]
        rows.append(("space group", str(self.space_group_number)))
        rows += [(SHORT_NAMES.get(name, name), value.rounded) for name, value in self.predicted.items()]
        rows += [("but", objection) for objection in self.validity.objections]
        if self.duplicate_of:
            rows.append(("same as", self.duplicate_of))
        if self.transition is not None:
            rows.append(("transition", self.transition.text))
        rows += [("from", self.origin.reference_id), ("by", f"{self.origin}, seed {self.origin.seed}")]
        return (
            "<div style='display:flex;flex-wrap:wrap;gap:1em'>"
            f"<div style='flex:none'>{picture}</div><div>{html_table(*rows)}</div></div>"
        )


@dataclass(frozen=True)
class ParseFailure:
    """Text that a model wrote and that is no crystal."""

    id: str  # the prompt's, a hyphen and the sample's position
    prompt_id: str
    sample_index: int
    kind: ParseFailureKindName
    message: str
    alx: str = field(repr=False)
    transition: Transition | None = field(repr=False)
    origin: SampleOrigin = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        fields = {**vars(self), "origin": self.origin.to_dict()}
        fields["transition"] = None if self.transition is None else asdict(self.transition)
        return {"id": fields.pop("id"), "parse_failure": fields}

    def _repr_html_(self) -> str:
        return html_table(
            ("sample", self.id),
            ("no crystal", f"{self.kind.replace('_', ' ')}: {self.message}"),
            ("text", self.alx),
            ("by", f"{self.origin}, seed {self.origin.seed}"),
        )


@dataclass(frozen=True, kw_only=True)
class FailedSample(Failed):
    """A sample for which nothing was made, with the reason; or all samples of a prompt at once."""

    prompt_id: str
    sample_index: int | None  # None: it stands for all samples of the prompt


GenerationOutcome = Candidate | ParseFailure | FailedSample
"""What became of a sample."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """What became of all samples of one prompt. Iterates over its candidates, in the order of samples."""

    prompt_id: str
    candidates: tuple[Candidate, ...]  # valid or not, duplicates included
    parse_failures: tuple[ParseFailure, ...]
    failures: tuple[FailedSample, ...]

    @property
    def unique(self) -> list[Candidate]:
        """Those that are valid and the first of their kind."""
        return [each for each in self.candidates if each.is_valid and not each.duplicate_of]

    def __len__(self) -> int:
        return len(self.candidates)

    def __getitem__(self, position: int) -> Candidate:
        return self.candidates[position]

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def _repr_html_(self) -> str:
        samples = len(self.candidates) + len(self.parse_failures) + len(self.failures)
        head = html_table(
            ("prompt", self.prompt_id),
            ("samples", str(samples)),
            ("crystals", f"{len(self)}, of which {len(self.unique)} are valid and first of their kind"),
            ("no crystals", f"{len(self.parse_failures)} texts, {len(self.failures)} errors"),
        )
        predicted = predicted_names(self.candidates)
        columns = ("crystal", "formula", "space group", "valid", *map(short_name, predicted))
        return head + html_grid((*columns, "same as", "by"), [_row(each, predicted) for each in self])


def predicted_names(candidates: Sequence[Candidate]) -> list[str]:
    """The properties of which a model says a value for any of the candidates."""
    return list(dict.fromkeys(name for each in candidates for name in each.predicted))


def short_name(name: str) -> str:
    """What stands above the column of a property."""
    return SHORT_NAMES.get(name, name)


def _row(candidate: Candidate, predicted: Sequence[str]) -> tuple[str, ...]:
    values = (candidate.predicted[name].rounded if name in candidate.predicted else "" for name in predicted)
    return (
        candidate.id,
        candidate.formula,
        str(candidate.space_group_number),
        "yes" if candidate.is_valid else "no",
        *values,
        candidate.duplicate_of,
        str(candidate.origin),
    )


def candidate_from(message: candidate_pb2.Candidate, prompt_id: str, sample_index: int) -> Candidate:
    """The typed form of a message; InvalidCrystalError where its arrays do not fit together."""
    crystal = crystal_from_proto(message.crystal)
    predicted = [predicted_value_from(value) for value in message.predicted_properties]
    return Candidate(
        id=crystal.id or f"{prompt_id}-{sample_index}",
        prompt_id=prompt_id,
        sample_index=sample_index,
        crystal=crystal,
        cif=message.cif_text,
        alx=message.alx_text,
        transition=transition_from(message.transition) if message.HasField("transition") else None,
        origin=_origin_from(message.origin),
        log_probability=message.log_probability if message.HasField("log_probability") else None,
        predicted={value.name: value for value in predicted},
        validity=validity_from(message.validity),
        symmetrized=message.symmetrized,
        duplicate_of=message.duplicate_of,
    )


def parse_failure_from(
    message: candidate_pb2.ParseFailure, prompt_id: str, sample_index: int
) -> ParseFailure:
    """The typed form of a message."""
    return ParseFailure(
        id=f"{prompt_id}-{sample_index}",
        prompt_id=prompt_id,
        sample_index=sample_index,
        kind=_KINDS.get(message.kind, "unspecified"),
        message=message.message,
        alx=message.alx_text,
        transition=transition_from(message.transition) if message.HasField("transition") else None,
        origin=_origin_from(message.origin),
    )


def _origin_from(message: candidate_pb2.SampleOrigin) -> SampleOrigin:
    made_by = message.WhichOneof("generator")
    model, substituted = message.language_model, message.ionic_substitution
    return SampleOrigin(
        reference_id=message.reference_id,
        seed=message.seed,
        language_model=LanguageModelOrigin(
            model=model.model,
            model_version=model.model_version,
            temperature=model.temperature,
            top_p=model.top_p,
            constrained=model.constrained,
            prompt_tokens=model.prompt_tokens,
            completion_tokens=model.completion_tokens,
        )
        if made_by == "language_model"
        else None,
        ionic_substitution=SubstitutionOrigin(
            substitutions={
                symbol_of(each.from_atomic_number): symbol_of(each.to_atomic_number)
                for each in substituted.substitutions
            },
            table_version=substituted.table_version,
            probability=substituted.probability,
        )
        if made_by == "ionic_substitution"
        else None,
    )
