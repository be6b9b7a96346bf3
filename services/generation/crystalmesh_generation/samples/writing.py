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
from crystalmesh_generation.language.templates import crystal_prompt, transition_prompt
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.language.words import CRYSTAL
from crystalmesh_generation.samples.asked import KnownMaterial, Options, Prompt, Request
from crystalmesh_generation.samples.proposals import Author, NoCrystal, Origin, Told, WrittenBy
from crystalmesh_generation.serving.models import ModelFacts

_LEAST_TRANSITION_WORDS = 8
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class WritingModel:
    """A model that is ready to write."""

    facts: ModelFacts
    engine: Engine
    tokenizer: WordTokenizer


@dataclass(frozen=True, eq=False)
class Text:
    """A text under way: what it is for, from what it starts, and how it was ordered."""

    request: Request
    reference: KnownMaterial | None
    model: WritingModel
    order: TextOrder

    @property
    def has_transition(self) -> bool:
        """Whether the model writes a transition before the crystal."""
        return self.order.prompt[-1] != self.model.tokenizer.ids[CRYSTAL]


@dataclass(frozen=True, eq=False)
class ReadCrystal:
    """A crystal as a model wrote it."""

    crystal: Crystal
    alx_text: str
    origin: Origin
    transition: Told | None
    log_probability: float


def text_for(
    request: Request, reference: KnownMaterial | None, model: WritingModel, seed: int, *, until: Until
) -> Text:
    """The text to order for a sample.

    Raises TooManyAtomsError where the model cannot read the prompt and write a crystal as well, and
    InvalidCrystalError for a reference that cannot be told.
    """
    prompt, options = request.prompt, request.options
    writes_transition = until is Until.TRANSITION or (
        options.with_transition and reference is not None and not prompt.transition_text
    )
    words = tuple(
        model.tokenizer.encode(_prompt_text(prompt, options, reference, transition=writes_transition))
    )
    room = model.facts.max_tokens - len(words)
    crystal = 0 if until is Until.TRANSITION else CELL_WORDS + ATOM_WORDS * prompt.limits.max_atoms + 1
    least = 0 if until is Until.TRANSITION else CELL_WORDS + ATOM_WORDS * prompt.limits.min_atoms + 1
    least += _LEAST_TRANSITION_WORDS if writes_transition else 0
    if room < least:
        raise TooManyAtomsError(
            f"target and reference are {len(words)} words; with the crystal that is more than the "
            f"{model.facts.max_tokens} of the model",
            max_tokens=model.facts.max_tokens,
        )
    transition = 0
    if writes_transition:
        transition = max(_LEAST_TRANSITION_WORDS, min(MAX_TRANSITION_WORDS, room - crystal - 1))
    rules = Rules(
        limits=prompt.limits if options.constrained else None,
        min_distance_angstrom=options.min_distance_angstrom if options.constrained else 0.0,
        max_atoms=prompt.limits.max_atoms,
        max_transition_words=transition or MAX_TRANSITION_WORDS,
    )
    temperature = model.facts.temperature if options.temperature is None else options.temperature
    order = TextOrder(
        prompt=words,
        until=until,
        sampling=Sampling(temperature, options.top_p, seed),
        rules=rules,
        max_words=min(room, crystal + transition + 1),
    )
    return Text(request, reference, model, order)


def transition_told(text: Text, written: Written) -> Told:
    """A transition that was ordered alone."""
    return _told(text, _words(text, written), written, truncated=written.truncated)


def read_written(text: Text, written: Written) -> NoCrystal | ReadCrystal:
    """The crystal that a finished text is, or why it is none."""
    words = _words(text, written)
    before: Sequence[str] = ()
    if text.has_transition:
        end = words.index(CRYSTAL) if CRYSTAL in words else len(words)
        before, words = words[:end], words[end + 1 :]
    transition = _transition(text, before, written)
    alx = in_lines(" ".join(words))
    origin = _origin(text, written)
    if written.truncated:
        message = f"the text reached its {len(written.words)} words"
        return NoCrystal(AlxFault.TRUNCATED, message, alx, origin, transition)
    try:
        crystal = read_alx(alx, max_atoms=text.order.rules.max_atoms)
    except AlxError as error:
        return NoCrystal(error.fault, error.message, alx, origin, transition)
    return ReadCrystal(crystal, alx, origin, transition, written.crystal_log_probability)


def _words(text: Text, written: Written) -> list[str]:
    return text.model.tokenizer.decode(written.words).split()


def _prompt_text(
    prompt: Prompt, options: Options, reference: KnownMaterial | None, *, transition: bool
) -> str:
    aim = _aim_beside(prompt.aim, reference)
    part = reference.words if reference else ""
    if transition:
        return transition_prompt(aim, part)
    brought = prompt.transition_text if options.with_transition else ""
    return crystal_prompt(aim, part, " ".join(known_words(brought)))


def _aim_beside(aim: Aim, reference: KnownMaterial | None) -> Aim:
    """The aim as lessons tell it: what a formula says is not said twice, and it is that of a whole cell."""
    if not aim.formula:
        return aim if not aim.elements else replace(aim, required=_NONE, allowed=_NONE, forbidden=_NONE)
    formula = _in_cell_of(aim.formula, reference)
    return replace(aim, formula=formula, elements=_NONE, required=_NONE, allowed=_NONE, forbidden=_NONE)


def _in_cell_of(formula: Composition, reference: KnownMaterial | None) -> Composition:
    """As many formula units as the cell of the reference holds, where it can hold them."""
    unit = sum(count for _, count in formula)
    factor, rest = divmod(len(reference.crystal), unit) if reference else (1, 0)
    return formula if rest else tuple((number, count * factor) for number, count in formula)


def _transition(text: Text, words: Sequence[str], written: Written) -> Told | None:
    if text.has_transition:
        return _told(
            text, words, written, truncated=written.truncated and CRYSTAL not in _words(text, written)
        )
    brought = text.request.prompt.transition_text
    if not brought or text.reference is None or not text.request.options.with_transition:
        return None
    return Told(brought, Author.CALLER, text.reference.crystal.id)


def _told(text: Text, words: Sequence[str], written: Written, *, truncated: bool) -> Told:
    return Told(
        text=prose(words),
        author=Author.MODEL,
        reference_id=text.reference.crystal.id if text.reference else "",
        model=text.model.facts.name,
        log_probability=written.transition_log_probability,
        truncated=truncated,
    )


def _origin(text: Text, written: Written) -> Origin:
    sampling = text.order.sampling
    return Origin(
        WrittenBy(
            model=text.model.facts.name,
            version=text.model.facts.version,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            constrained=text.request.options.constrained,
            prompt_words=len(text.order.prompt),
            words=len(written.words),
        ),
        reference_id=text.reference.crystal.id if text.reference else "",
        seed=sampling.seed,
    )
