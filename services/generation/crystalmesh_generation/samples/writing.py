"""What a language model is given to write for a sample, and what its text turns out to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crystalmesh_common.crystal.composition import Composition
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import TooManyAtomsError
from crystalmesh_generation.engines.engine import Engine, Rules, Sampling, TextOrder, Until, Written
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.language.alx import ATOM_WORDS, CELL_WORDS, AlxError, AlxFault, in_lines, read_alx
from crystalmesh_generation.language.prose import MAX_TRANSITION_WORDS, known_words, prose
from crystalmesh_generation.language.templates import (
    crystal_prompt,
    known_part,
    opening,
    transition_prompt,
)
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.samples.asked import KnownMaterial, Options, Prompt, Request
from crystalmesh_generation.samples.proposals import Author, NoCrystal, Origin, Told, WrittenBy
from crystalmesh_generation.serving.models import ModelFacts

_LEAST_TRANSITION_WORDS = 8
_HALF = 2**63
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class WritingModel:
    """A model that is ready to write."""

    facts: ModelFacts
    engine: Engine
    tokenizer: WordTokenizer


@dataclass(frozen=True, eq=False)
class Text:
    """A transition or a crystal under way: what it is for, from what it starts, how it was ordered."""

    request: Request
    reference: KnownMaterial | None
    model: WritingModel
    order: TextOrder
    seed: int  # of the proposal
    transition: Told | None = None  # that comes before a crystal
    words_before: int = 0  # of that transition, where the model wrote it

    @property
    def is_transition(self) -> bool:
        """Whether a transition is written, and not a crystal."""
        return self.order.until is Until.TRANSITION


@dataclass(frozen=True, eq=False)
class ReadCrystal:
    """A crystal as a model wrote it."""

    crystal: Crystal
    alx_text: str
    origin: Origin
    transition: Told | None
    log_probability: float


def first_text(
    request: Request,
    reference: KnownMaterial | None,
    model: WritingModel,
    seed: int,
    *,
    only_transition: bool = False,
) -> Text:
    """The text to order first for a proposal: a transition where the model is to write one, else a crystal.

    Raises TooManyAtomsError where the model cannot read the prompt and write a crystal as well, and
    InvalidCrystalError for a reference that cannot be told.
    """
    prompt, options = request.prompt, request.options
    begun = _begun(prompt, reference)
    brought = prompt.transition_text if options.with_transition else ""
    writes = options.with_transition and reference is not None and not brought
    if not (only_transition or writes):
        words = known_words(brought)
        told = None
        if brought and reference is not None:
            told = Told(brought, Author.CALLER, reference.crystal.id)
        return _crystal_text(request, reference, model, seed, begun, words, told, 0)
    read = model.tokenizer.encode(transition_prompt(begun))
    after = 0 if only_transition else _crystal_words(reference, prompt.limits.max_atoms)
    least = 0 if only_transition else _crystal_words(reference, prompt.limits.least_atoms)
    room = _room(model, read, least + _LEAST_TRANSITION_WORDS)
    most = max(_LEAST_TRANSITION_WORDS, min(MAX_TRANSITION_WORDS, room - after))
    order = TextOrder(
        prompt=tuple(read),
        until=Until.TRANSITION,
        sampling=_sampling(options, model, seed),
        rules=replace(_rules(prompt, options), max_transition_words=most),
        max_words=most,
    )
    return Text(request, reference, model, order, seed)


def crystal_text(text: Text, written: Written) -> Text:
    """The crystal to order once its transition is written; raises as `first_text`."""
    begun = _begun(text.request.prompt, text.reference)
    words = _words(text, written)
    told = transition_told(text, written)
    return _crystal_text(
        text.request, text.reference, text.model, text.seed, begun, words, told, len(written.words)
    )


def transition_told(text: Text, written: Written) -> Told:
    """A transition that a model wrote."""
    return Told(
        text=prose(_words(text, written)),
        author=Author.MODEL,
        reference_id=text.reference.crystal.id if text.reference else "",
        model=text.model.facts.name,
        log_probability=written.transition_log_probability,
        truncated=written.truncated,
    )


def read_written(text: Text, written: Written) -> NoCrystal | ReadCrystal:
    """The crystal that a finished text is, or why it is none."""
    alx = in_lines(" ".join(_words(text, written)))
    origin = _origin(text, written)
    if written.truncated:
        message = f"the text reached its {len(written.words)} words"
        return NoCrystal(AlxFault.TRUNCATED, message, alx, origin, text.transition)
    try:
        crystal = read_alx(alx, max_atoms=text.order.rules.max_atoms)
    except AlxError as error:
        return NoCrystal(error.fault, error.message, alx, origin, text.transition)
    return ReadCrystal(crystal, alx, origin, text.transition, written.crystal_log_probability)


def _crystal_text(
    request: Request,
    reference: KnownMaterial | None,
    model: WritingModel,
    seed: int,
    begun: str,
    words: Sequence[str],
    told: Told | None,
    words_before: int,
) -> Text:
    limits = request.prompt.limits
    known = "" if reference is None else reference.alx
    read = model.tokenizer.encode(crystal_prompt(begun, known, " ".join(words)))
    room = _room(model, read, CELL_WORDS + ATOM_WORDS * limits.least_atoms + 1)
    atoms = min(limits.max_atoms, (room - CELL_WORDS - 1) // ATOM_WORDS)  # a cell that is begun is completed
    order = TextOrder(
        prompt=tuple(read),
        until=Until.CRYSTAL,
        # Not the random numbers that the transition was written with.
        sampling=_sampling(request.options, model, (seed + _HALF) % (2 * _HALF)),
        rules=replace(_rules(request.prompt, request.options), max_atoms=atoms),
        max_words=CELL_WORDS + ATOM_WORDS * atoms + 1,
    )
    return Text(request, reference, model, order, seed, told, words_before)


def _crystal_words(reference: KnownMaterial | None, atoms: int) -> int:
    """What a crystal of so many atoms takes, with its marks and the reference's before it."""
    known = 0 if reference is None else len(known_part(reference.alx).split())
    return known + 1 + CELL_WORDS + ATOM_WORDS * atoms + 1


def _room(model: WritingModel, read: Sequence[int], least: int) -> int:
    """Words that may follow what is read. Raises TooManyAtomsError where they are fewer than the least."""
    room = model.facts.max_tokens - len(read)
    if room < least:
        raise TooManyAtomsError(
            f"target and reference are {len(read)} words; with the crystal that is more than the "
            f"{model.facts.max_tokens} of the model",
            max_tokens=model.facts.max_tokens,
        )
    return room


def _rules(prompt: Prompt, options: Options) -> Rules:
    return Rules(
        limits=prompt.limits if options.constrained else None,
        min_distance_angstrom=options.min_distance_angstrom if options.constrained else 0.0,
        max_atoms=prompt.limits.max_atoms,
        max_transition_words=MAX_TRANSITION_WORDS,
    )


def _sampling(options: Options, model: WritingModel, seed: int) -> Sampling:
    temperature = model.facts.temperature if options.temperature is None else options.temperature
    return Sampling(temperature, options.top_p, seed)


def _words(text: Text, written: Written) -> list[str]:
    return text.model.tokenizer.decode(written.words).split()


def _begun(prompt: Prompt, reference: KnownMaterial | None) -> str:
    """The opening: the target, and the reference in words."""
    return opening(_aim_beside(prompt, reference), None if reference is None else reference.portrait)


def _aim_beside(prompt: Prompt, reference: KnownMaterial | None) -> Aim:
    """The aim as lessons tell it: what a formula says is not said twice, and it is that of a whole cell."""
    aim, formula = prompt.aim, prompt.limits.formula
    if formula is None:
        return aim if not aim.elements else replace(aim, required=_NONE, allowed=_NONE, forbidden=_NONE)
    told = _in_cell_of(formula, prompt.limits.formula_units, reference)
    return replace(aim, formula=told, elements=_NONE, required=_NONE, allowed=_NONE, forbidden=_NONE)


def _in_cell_of(formula: Composition, admitted: range, reference: KnownMaterial | None) -> Composition:
    """As many formula units as fill the cell of the reference, where they do; else as few as are admitted."""
    unit = sum(count for _, count in formula)
    units, rest = divmod(len(reference.crystal), unit) if reference else (0, 0)
    if rest or units not in admitted:
        units = admitted.start
    return tuple((number, count * units) for number, count in formula)


def _origin(text: Text, written: Written) -> Origin:
    sampling = text.order.sampling
    return Origin(
        WrittenBy(
            model=text.model.facts.name,
            version=text.model.facts.version,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            constrained=text.request.options.constrained,
            prompt_words=len(text.order.prompt) - text.words_before,
            words=text.words_before + len(written.words),
        ),
        reference_id=text.reference.crystal.id if text.reference else "",
        seed=text.seed,
    )
