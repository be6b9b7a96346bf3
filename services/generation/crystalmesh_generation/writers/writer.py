"""Models that write the samples of many calls side by side, a slice at a time. No grpc, one thread."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice

import structlog

from crystalmesh_common.crystal.composition import Composition
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.devices import memory_errors_typed
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    InvalidCrystalError,
    ModelFailedError,
    TooManyAtomsError,
)
from crystalmesh_generation.engines.engine import Written
from crystalmesh_generation.language.alx import write_alx
from crystalmesh_generation.language.prose import prose
from crystalmesh_generation.language.templates import facts_prompt
from crystalmesh_generation.samples.asked import KnownMaterial
from crystalmesh_generation.samples.choosing import best_of, contenders, screened_for
from crystalmesh_generation.samples.judging import judge
from crystalmesh_generation.samples.proposals import NoCrystal, Proposal, Told
from crystalmesh_generation.samples.references import References
from crystalmesh_generation.samples.sample import Sample
from crystalmesh_generation.samples.screening import Screen
from crystalmesh_generation.samples.seeds import proposal_seed, reference_seed
from crystalmesh_generation.samples.substituting import SubstitutedCrystal, substituted, substituted_each
from crystalmesh_generation.samples.symmetrizing import symmetrized
from crystalmesh_generation.samples.writing import (
    ReadCrystal,
    Text,
    WritingModel,
    crystal_text,
    first_text,
    read_written,
    transition_told,
)
from crystalmesh_generation.serving.models import ModelFacts
from crystalmesh_generation.substitution.elements import ElementTable

_log = structlog.get_logger(__name__)

_WORDS, _WORDS_TOLD = 16, 4
_WORDS_AFTER = 4
"""A slice that finished a sample goes on to here, so that regression heads read several crystals at once."""
_SECONDS = 0.25
"""After so long a slice ends, that who has gone is noticed."""
_DRAWS_IN_VAIN = 16
"""References that may be too long for a model before a sample is given up."""


@dataclass(frozen=True, eq=False)
class Made:
    """The best crystal of a sample; `model` is whose regression head spoke of it."""

    proposal: Proposal
    crystal_id: str
    model: ModelFacts | None


Outcome = Made | NoCrystal | Told | CrystalMeshError | str
"""What has come of a sample in a slice; text is how far its transition is, and more follows."""


@dataclass(frozen=True)
class Effort:
    """How many crystals are made for one sample, of which the best is kept."""

    texts: int = 1  # by a language model
    substitutions: int = 1


class Writer:
    """Works on the samples that it is told of, until they are settled or nobody wants them any more."""

    def __init__(
        self,
        models: Mapping[str, WritingModel],
        references: References,
        table: ElementTable,
        *,
        effort: Effort,
        screen: Screen | None = None,
    ) -> None:
        self._models = models
        self._references = references
        self._table = table
        self._effort = effort
        self._screen = screen
        self._samples: dict[int, Sample] = {}
        self._texts: dict[int, tuple[Sample, Text]] = {}
        self._keys = count()

    @property
    def known(self) -> Collection[Composition]:
        """Formulas that count as known already."""
        return self._references.formulas

    def keep(self, keys: Collection[int]) -> None:
        """Forget all samples but these; the places of their texts are free at once."""
        for key in [key for key in self._samples if key not in keys]:
            self._forget(self._samples[key])

    def take(self, sample: Sample) -> None:
        """Take on a sample; one that has its key is forgotten."""
        if sample.key in self._samples:
            self._forget(self._samples[sample.key])
        self._samples[sample.key] = sample
        options = sample.request.options
        sample.substitution_waits = options.substitutes and not sample.only_transition
        if sample.only_transition or options.writes:
            try:
                self._begin_texts(sample)
            except CrystalMeshError as error:
                self._drop_texts(sample)
                sample.errors.append(error)
            except Exception as error:  # noqa: BLE001 -- one sample must not end the others
                self._drop_texts(sample)
                sample.errors.append(_failed(error))

    def work(self, keys: Sequence[int]) -> list[Outcome]:
        """Work for a slice, and what has come of these samples; those that are settled are forgotten.

        Raises OutOfMemoryError, or whatever an engine raises.
        """
        until = time.monotonic() + _SECONDS
        words = _WORDS_TOLD if any(self._samples[key].only_transition for key in keys) else _WORDS
        self._substitute(until)
        for done in range(words):
            any_settled = any(self._samples[key].settled for key in keys)
            if (any_settled and (done >= _WORDS_AFTER or not self._texts)) or time.monotonic() > until:
                break
            self._step()
        settled = [self._samples[key] for key in keys if self._samples[key].settled]
        self._weed(settled)
        self._screen_out(settled)
        self._choose([sample for sample in settled if any(each.screened for each in sample.proposals)])
        self._value(settled)
        self._choose(settled)
        return [self._outcome(self._samples[key]) for key in keys]

    def close(self) -> None:
        for model in self._models.values():
            model.engine.close()

    def _begin_texts(self, sample: Sample) -> None:
        request = sample.request
        count = 1 if sample.only_transition else self._effort.texts
        if request.prompt.reference is not None or not request.options.draws_references:
            for _ in range(count):
                self._write(sample, self._first_text(sample, request.prompt.reference))
            return
        for reference in islice(self._drawn(sample), count + _DRAWS_IN_VAIN):
            try:
                self._write(sample, self._first_text(sample, reference))
            except (InvalidCrystalError, TooManyAtomsError) as error:  # that nobody asked for; another may do
                sample.errors.append(error)
            if len(sample.texts) == count:
                return

    def _first_text(self, sample: Sample, reference: KnownMaterial | None) -> Text:
        request = sample.request
        seed = proposal_seed(request.options.seed, request.prompt.id, sample.number, len(sample.texts))
        model = self._models[request.options.model]
        return first_text(request, reference, model, seed, only_transition=sample.only_transition)

    def _drawn(self, sample: Sample) -> Iterator[KnownMaterial]:
        """References for a sample, a new one for each proposal: the best of several is to be kept."""
        prompt, options = sample.request.prompt, sample.request.options
        seed = reference_seed(options.seed, prompt.id, sample.number)
        return self._references.draws(prompt.limits, prompt.aim, seed)

    def _write(self, sample: Sample, text: Text) -> None:
        key = next(self._keys)
        text.model.engine.add(key, text.order)
        self._texts[key] = sample, text
        sample.texts.add(key)

    def _step(self) -> None:
        """One more word of every text."""
        working = {text.model.facts.name for _, text in self._texts.values()}
        for name in sorted(working):
            with memory_errors_typed():
                written = self._models[name].engine.step()
            for key, each in written.items():
                self._absorb(key, each)

    def _absorb(self, key: int, written: Written) -> None:
        sample, text = self._texts[key]
        if not written.finished:
            if sample.only_transition:
                sample.so_far = prose(text.model.tokenizer.decode(written.words).split())
            return
        del self._texts[key]
        sample.texts.discard(key)
        try:
            if sample.only_transition:
                sample.told = transition_told(text, written)
                return
            if text.is_transition:
                self._write(sample, crystal_text(text, written))
                return
            read = read_written(text, written)
            if isinstance(read, NoCrystal):
                sample.failures.append(read)
            else:
                sample.proposals.append(self._proposal(sample, read, read.log_probability))
        except CrystalMeshError as error:
            sample.errors.append(error)
        except Exception as error:  # noqa: BLE001 -- one crystal of a model must not end the others
            sample.errors.append(_failed(error))

    def _substitute(self, until: float) -> None:
        """Make the substitutions that wait, as many as there is time for, at least one."""
        for sample in [sample for sample in self._samples.values() if sample.substitution_waits]:
            try:
                self._substitute_for(sample)
            except CrystalMeshError as error:
                sample.errors.append(error)
            except Exception as error:  # noqa: BLE001 -- as above
                sample.errors.append(_failed(error))
            sample.substitution_waits = False
            if time.monotonic() > until:
                return

    def _substitute_for(self, sample: Sample) -> None:
        prompt, options = sample.request.prompt, sample.request.options
        first = self._effort.texts if options.writes else 0
        count = self._effort.substitutions
        seed = proposal_seed(options.seed, prompt.id, sample.number, first)
        if prompt.reference is not None:
            made = substituted(prompt.reference, prompt.limits, self._table, seed=seed, count=count)
        else:
            drawn = self._drawn(sample) if options.draws_references else iter(())
            made = substituted_each(drawn, prompt.limits, self._table, seed=seed, count=count)
        sample.proposals += [self._proposal(sample, each, None) for each in made]

    def _proposal(
        self, sample: Sample, made: ReadCrystal | SubstitutedCrystal, log_probability: float | None
    ) -> Proposal:
        prompt, options = sample.request.prompt, sample.request.options
        moved = None
        if options.symmetrize_within_angstrom:
            moved = symmetrized(made.crystal, prompt.aim, options.symmetrize_within_angstrom)
        crystal = moved or made.crystal
        return Proposal(
            crystal=crystal,
            alx_text=made.alx_text,
            origin=made.origin,
            judgement=judge(crystal, prompt.aim),
            values={},  # `_value` gives them
            transition=made.transition if options.with_transition else None,
            log_probability=log_probability,
            symmetrized=moved is not None,
        )

    def _weed(self, samples: Sequence[Sample]) -> None:
        """Leave each the proposals that only values can tell apart: the others are not worth theirs."""
        for sample in samples:
            if sample.proposals:
                sample.proposals[:] = contenders(sample.proposals, self.known, sample.request.options.known)

    def _choose(self, samples: Sequence[Sample]) -> None:
        """Leave each its best proposal alone."""
        for sample in samples:
            if sample.proposals:
                ranges, known = sample.request.prompt.aim.ranges, sample.request.options.known
                sample.proposals[:] = [best_of(sample.proposals, ranges, self.known, known)]

    def _value(self, samples: Sequence[Sample]) -> None:
        """Give proposals the values of the regression head, all crystals of a model at once.

        A forward pass for each: those among which a screen has chosen already are not worth it.
        """
        crystals: dict[str, list[tuple[Sample, int, list[int]]]] = {}
        for sample in samples:
            name = sample.request.options.model
            for position, proposal in enumerate(sample.proposals):
                if words := self._crystal_words(proposal.crystal, name):
                    crystals.setdefault(name, []).append((sample, position, words))
        for name, each in crystals.items():
            with memory_errors_typed():
                values = self._models[name].engine.values([words for _, _, words in each])
            for (sample, position, _), told in zip(each, values, strict=True):
                sample.proposals[position] = replace(sample.proposals[position], values=told)

    def _screen_out(self, samples: Sequence[Sample]) -> None:
        """Give proposals between which there is a choice what a screen predicts, all crystals at once."""
        if self._screen is None:
            return
        open_ones: list[tuple[Sample, int]] = []
        names: set[str] = set()
        for sample in samples:
            if len(sample.proposals) > 1 and sample.proposals[0].judgement.valid:
                open_ones += [(sample, position) for position in range(len(sample.proposals))]
                names |= screened_for(sample.request.prompt.aim.ranges)
        if not open_ones:
            return
        with memory_errors_typed():
            predicted = self._screen.predicted(
                [sample.proposals[position].crystal for sample, position in open_ones], names
            )
        for (sample, position), values in zip(open_ones, predicted, strict=True):
            sample.proposals[position] = replace(sample.proposals[position], screened=values)

    def _crystal_words(self, crystal: Crystal, name: str) -> list[int]:
        """What the model's regression head reads; nothing where there is no head, or it cannot read it."""
        model = self._models.get(name)
        if model is None or not model.facts.properties or len(crystal) > model.facts.max_atoms:
            return []
        try:
            return model.tokenizer.encode(facts_prompt(write_alx(crystal)))
        except ValueError:
            return []

    def _outcome(self, sample: Sample) -> Outcome:
        if not sample.settled:
            return sample.so_far
        del self._samples[sample.key]
        if sample.told is not None:
            return sample.told
        if not sample.proposals:
            return sample.failure
        model = self._models.get(sample.request.options.model)
        return Made(sample.proposals[0], sample.crystal_id, model.facts if model else None)

    def _forget(self, sample: Sample) -> None:
        self._drop_texts(sample)
        del self._samples[sample.key]

    def _drop_texts(self, sample: Sample) -> None:
        for key in sample.texts:
            _, text = self._texts.pop(key)
            text.model.engine.drop(key)
        sample.texts.clear()


def _failed(error: Exception) -> ModelFailedError:
    _log.error("sample_failed", exc_info=error)
    return ModelFailedError("the model failed on this sample; the operator finds the cause in the log")
