"""`crystalmesh generate`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystalmesh_client.cli import exits
from crystalmesh_client.cli.candidate_folder import CandidateFolder
from crystalmesh_client.cli.filters import (
    CatalogOption,
    ChemicalSystemOption,
    ElementsOption,
    FormulaOption,
    OnlyElementsOption,
    PropertyOption,
    ranges_of,
)
from crystalmesh_client.cli.reports import (
    AddressOption,
    JsonOption,
    Report,
    TimeoutOption,
    read_files,
    usage_error,
)

if TYPE_CHECKING:
    from rich.table import Table

    from crystalmesh_client.candidates import Candidate, ParseFailure
    from crystalmesh_client.conditions import Target
    from crystalmesh_client.prompts import GenerationSettings, GeneratorName, Prompt
    from crystalmesh_client.properties import Range
    from crystalmesh_client.results import Failed
    from crystalmesh_common.crystal.structure import Crystal

_STANDARD_INPUT = Path("-")
_ELEMENTS = {"elements": "with", "only_elements": "only", "without_elements": "without"}


class Maker(StrEnum):
    """What makes crystals."""

    BEST = "best"
    LANGUAGE_MODEL = "language-model"
    IONIC_SUBSTITUTION = "ionic-substitution"


GENERATORS: Mapping[Maker, GeneratorName] = {
    Maker.BEST: "best",
    Maker.LANGUAGE_MODEL: "language_model",
    Maker.IONIC_SUBSTITUTION: "ionic_substitution",
}


class System(StrEnum):
    """A crystal system."""

    TRICLINIC = "triclinic"
    MONOCLINIC = "monoclinic"
    ORTHORHOMBIC = "orthorhombic"
    TETRAGONAL = "tetragonal"
    TRIGONAL = "trigonal"
    HEXAGONAL = "hexagonal"
    CUBIC = "cubic"


SpaceGroupOption = Annotated[int | None, typer.Option(help="Number, 1 to 230.")]
WithoutOption = Annotated[
    str, typer.Option("--without-elements", "--without", help="That must not be there: Pb,Hg.")
]
TextOption = Annotated[str, typer.Option("--text", help="What else matters, in words.")]
ReferenceOption = Annotated[
    list[Path] | None,
    typer.Option("--reference", help="Known crystals in any file, or - for standard input; may be repeated."),
]
MaterialOption = Annotated[
    list[str] | None, typer.Option("--material", help="Known material of a catalog, by id; may be repeated.")
]
NoReferenceOption = Annotated[
    bool, typer.Option("--no-reference", help="Start from nothing, instead of a material that is drawn.")
]
SamplesOption = Annotated[
    int, typer.Option("--samples", "-n", min=1, max=10_000, help="Crystals to make from each reference.")
]
ModelOption = Annotated[str, typer.Option(help="Language model to use. Default: the server's.")]
TemperatureOption = Annotated[
    float | None, typer.Option(min=0, max=2, help="How freely tokens are chosen. Default: the model's own.")
]
TopPOption = Annotated[
    float | None, typer.Option("--top-p", min=0, max=1, help="Likeliest tokens of this probability alone.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Another seed, other crystals.")]
MaxAtomsOption = Annotated[int | None, typer.Option(min=1, help="Atoms at most. Default: 20.")]
MinDistanceOption = Annotated[float | None, typer.Option(min=0, help="Between two atoms at least, Å.")]
UnconstrainedOption = Annotated[
    bool, typer.Option("--unconstrained", help="Let the model write freely; some texts are no crystals.")
]
SymmetrizeOption = Annotated[
    bool, typer.Option("--symmetrize", help="Move atoms to the symmetry asked for, where it is near.")
]
SkipTransitionOption = Annotated[
    bool, typer.Option("--skip-transition", help="Write crystals without saying first what changes.")
]
IntoOption = Annotated[
    Path | None,
    typer.Option(
        "--into", "--out", "-o", help="New folder for a CIF of each, candidates.jsonl and index.html."
    ),
]


def generate(  # noqa: PLR0917 -- typer makes options of them
    formula: FormulaOption = "",
    elements: ElementsOption = "",
    only_elements: OnlyElementsOption = "",
    without_elements: WithoutOption = "",
    chemical_system: ChemicalSystemOption = "",
    space_group: SpaceGroupOption = None,
    crystal_system: Annotated[System | None, typer.Option(help="Any space group of it.")] = None,
    bounds: PropertyOption = None,
    text: TextOption = "",
    reference: ReferenceOption = None,
    material: MaterialOption = None,
    catalog: CatalogOption = "",
    no_reference: NoReferenceOption = False,  # noqa: FBT002
    samples: SamplesOption = 1,
    generator: Annotated[Maker, typer.Option(help="What makes them.")] = Maker.BEST,
    model: ModelOption = "",
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    seed: SeedOption = 0,
    max_atoms: MaxAtomsOption = None,
    min_distance: MinDistanceOption = None,
    unconstrained: UnconstrainedOption = False,  # noqa: FBT002
    symmetrize: SymmetrizeOption = False,  # noqa: FBT002
    skip_transition: SkipTransitionOption = False,  # noqa: FBT002
    into: IntoOption = None,
    timeout: TimeoutOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,  # noqa: FBT002
) -> None:
    """Invent crystals: what they shall be, from known ones or from any.

    The folder is filled as crystals come, so what came stays whatever happens; index.html shows them all.
    Exit code 0: every sample is a crystal, valid or not, or text that is none; 3: some have errors, or
    there is no crystal at all.
    """
    from crystalmesh_client.mesh import Mesh  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.prompts import Prompt  # noqa: PLC0415

    target = target_of(
        formula=formula,
        elements=elements,
        only_elements=only_elements,
        without_elements=without_elements,
        chemical_system=chemical_system,
        space_group=space_group,
        crystal_system=None if crystal_system is None else crystal_system.value,
        free_text=text,
        bounds=bounds or (),
    )
    if no_reference and (reference or material):
        usage_error("--no-reference goes with neither --reference nor --material")
    settings: GenerationSettings = {
        "samples": samples,
        "generator": GENERATORS[generator],
        "model": model,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "missing_reference": "omit" if no_reference else "draw",
        "skip_transition": skip_transition,
        "max_atoms": max_atoms,
        "min_distance_angstrom": min_distance,
        "unconstrained": unconstrained,
        "symmetrize": symmetrize,
        "timeout": timeout,
    }
    with Mesh(address) as mesh:
        prompts, unreadable = read_prompts(target, reference or ())
        materials = (mesh.retrieval.material(name, catalog=catalog) for name in material or ())
        prompts += [Prompt(target, known, id=known.id) for known in materials]
        if not (prompts or reference or material):
            prompts = [Prompt(target, id="".join(formula.split()) or "new")]
        folder = None if into is None or not prompts else CandidateFolder(into)
        report = CandidateReport(CandidateColumns(folder), as_json, "generating")
        outcomes = mesh.generation.generate_many(prompts, **settings)
        try:
            report.run(unreadable, samples * len(prompts), outcomes, None if folder is None else folder.take)
        finally:
            try:
                if not as_json:
                    report.tell_sums()
            finally:  # also when nobody reads the table to its end
                if folder is not None:
                    asked = {"target": in_words(target), "samples": str(samples), "seed": str(seed)}
                    folder.write_page(report.failures, asked)
    if not report.has_crystals:
        raise typer.Exit(exits.BAD_INPUT)


def target_of(*, bounds: Sequence[str], **parts: Any) -> Target | None:
    """The target that options ask for, None when they ask for none; exit code 2 for what cannot be meant."""
    from crystalmesh_client.conditions import Target  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_common.runtime.errors import InvalidFieldError  # noqa: PLC0415

    ranges: dict[str, Any] = ranges_of(bounds)
    if not (ranges or any(parts.values())):
        return None
    try:
        return Target(**parts, **ranges)
    except InvalidFieldError as error:
        usage_error(str(error))


def read_prompts(target: Target | None, references: Sequence[Path]) -> tuple[list[Prompt], list[Failed]]:
    """A prompt for each known crystal, named after it; and the files that hold none."""
    from crystalmesh_client.prompts import Prompt  # noqa: PLC0415

    crystals, unreadable = read_files([path for path in references if path != _STANDARD_INPUT])
    if _STANDARD_INPUT in references:
        crystals.append(read_standard_input())
    return [Prompt(target, crystal, id=crystal.id) for crystal in crystals], unreadable


def read_standard_input() -> Crystal:
    """The crystal that somebody pipes, as CIF or POSCAR; raises what is wrong with the text."""
    from crystalmesh_common.crystal.text import crystal_from_cif, crystal_from_poscar  # noqa: PLC0415

    text = sys.stdin.read()
    if any(line.lstrip().startswith(("data_", "_cell_")) for line in text.splitlines()):
        crystal = crystal_from_cif(text)
    else:
        crystal = crystal_from_poscar(text)
    return replace(crystal, id=crystal.id or "stdin")


def in_words(target: Target | None) -> str:
    """A target for people."""
    if target is None:
        return "anything"
    from crystalmesh_client.properties import PROPERTY_NAMES  # noqa: PLC0415 -- so that --help is quick

    words = [target.formula, target.chemical_system]
    words += [_elements(words_before, getattr(target, name)) for name, words_before in _ELEMENTS.items()]
    words.append("" if target.space_group is None else f"space group {target.space_group}")
    words.append(target.crystal_system or "")
    for name in PROPERTY_NAMES:
        bounds: Range | None = getattr(target, name)
        if bounds is not None:
            low, high = ("" if bound is None else f"{bound:g}" for bound in bounds)
            words.append(f"{name} {low}..{high}")
    return "; ".join(filter(None, [*words, target.free_text])) or "anything"


def _elements(before: str, elements: Any) -> str:
    return f"{before} {', '.join(map(str, elements))}" if elements else ""


class CandidateReport(Report["Candidate | ParseFailure"]):
    """The crystals in one table, and how many samples are none."""

    @property
    def has_crystals(self) -> bool:
        """Whether any sample is a crystal."""
        return bool(self._candidates())

    def table(self) -> Table:
        """A row a crystal."""
        from crystalmesh_client.candidates import predicted_names, short_name  # noqa: PLC0415
        from crystalmesh_client.cli.tables import plain_table  # noqa: PLC0415

        candidates = self._candidates()
        names = predicted_names(candidates)
        repeated = any(each.duplicate_of for each in candidates)
        objections = any(each.validity.objections for each in candidates)
        columns = ["crystal", "formula", "space group", "valid", *map(short_name, names)]
        columns += [*(["same as"] if repeated else []), "seed", "by", *(["but"] if objections else [])]
        table = plain_table(*columns)
        for each in candidates:
            cells = [each.id, each.formula, str(each.space_group_number), "yes" if each.is_valid else "no"]
            cells += [each.predicted[name].rounded if name in each.predicted else "" for name in names]
            cells += [*([each.duplicate_of] if repeated else []), str(each.origin.seed), str(each.origin)]
            table.add_row(*cells, *(["; ".join(each.validity.objections)] if objections else []))
        return table

    def tell_sums(self) -> None:
        """Say how many crystals are worth a look, and which texts are none."""
        candidates = self._candidates()
        if not self.results:
            return
        good = sum(each.is_valid and not each.duplicate_of for each in candidates)
        typer.echo(f"\n{len(candidates)} crystals, {good} of them valid and first of their kind")
        kinds = Counter(each.kind.replace("_", " ") for each in self._parse_failures())
        if kinds:
            told = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
            typer.echo(f"{kinds.total()} texts are no crystals: {told}")

    def _candidates(self) -> list[Candidate]:
        from crystalmesh_client.candidates import Candidate  # noqa: PLC0415 -- so that --help is quick

        found = [each for each in self.results if isinstance(each, Candidate)]
        return sorted(found, key=lambda each: (each.prompt_id, each.sample_index))

    def _parse_failures(self) -> list[ParseFailure]:
        from crystalmesh_client.candidates import ParseFailure  # noqa: PLC0415

        return [each for each in self.results if isinstance(each, ParseFailure)]


class CandidateColumns:
    """What is told to programs of a sample; people get a table of crystals."""

    names = ("crystal",)

    def __init__(self, folder: CandidateFolder | None) -> None:
        self._folder = folder

    def cells(self, result: Candidate | ParseFailure) -> Iterator[str]:
        yield result.id

    def fields(self, result: Candidate | ParseFailure) -> dict[str, Any]:
        return result.to_dict() if self._folder is None else self._folder.fields(result)
