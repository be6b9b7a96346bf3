from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from crystalmesh_common.crystal.composition_limits import composition_limits
from crystalmesh_common.crystal.description.property_text import Range
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_generation.engines.transformers_engine import TransformersEngine
from crystalmesh_generation.language.aims import Aim
from crystalmesh_generation.model.files import load_model
from crystalmesh_generation.samples.asked import Options, Prompt, Request, known_material
from crystalmesh_generation.samples.materials import Material
from crystalmesh_generation.samples.references import References
from crystalmesh_generation.samples.sample import Sample
from crystalmesh_generation.samples.screening import PropertyScreen
from crystalmesh_generation.samples.writing import WritingModel
from crystalmesh_generation.serving.models import ModelFacts
from crystalmesh_generation.writers.writer import Effort, Made, Writer
from tests.conftest import sodium_chloride
from tests.generation.server.tiny_models import MAX_ATOMS, tiny_model
from tests.generation.substitution.tables import SmallTable

CAPACITY = 4
HULL, GAP = "energy_above_hull_ev_per_atom", "band_gap_ev"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> WritingModel:
    loaded = load_model(tiny_model(tmp_path_factory.mktemp("model")))
    facts = ModelFacts("tiny", max_atoms=MAX_ATOMS, max_tokens=loaded.max_tokens)
    return WritingModel(facts, TransformersEngine(loaded, capacity=CAPACITY), loaded.tokenizer)


@pytest.fixture
def writer(model: WritingModel) -> Iterator[Writer]:
    references = References([Material(sodium_chloride(), {})], SmallTable())
    writer = Writer({"tiny": model}, references, SmallTable(), effort=Effort())
    yield writer
    writer.keep(())


class Listening(PropertyScreen):
    """The shipped networks, and what they were asked."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.asked: list[tuple[int, set[str]]] = []

    def predicted(self, crystals: Sequence[Crystal], names: Collection[str]) -> Sequence[Mapping[str, float]]:
        self.asked.append((len(crystals), set(names)))
        return super().predicted(crystals, names)


@pytest.fixture(scope="module")
def networks() -> Listening:
    return Listening()


@pytest.fixture
def screen(networks: Listening) -> Listening:
    networks.asked.clear()
    return networks


def substitution(key: int, ranges: Mapping[str, Range]) -> Sample:
    """A sample of salts, made from rock salt."""
    prompt = Prompt(
        "p", Aim(ranges=ranges), composition_limits(max_atoms=2), known_material(sodium_chloride(), {})
    )
    asked = Options("", writes=False, substitutes=True)
    return Sample(key, Request(prompt, asked), key, only_transition=False)


def substituting(screen: Listening, *, substitutions: int = 8) -> Writer:
    effort = Effort(substitutions=substitutions)
    return Writer({}, References([], SmallTable()), SmallTable(), effort=effort, screen=screen)


def sample(
    key: int, *, max_atoms: int = MAX_ATOMS, transition: bool = False, substitutes: bool = False
) -> Sample:
    prompt = Prompt("p", Aim(), composition_limits(max_atoms=max_atoms))
    asked = Options("tiny", writes=True, substitutes=substitutes)
    return Sample(key, Request(prompt, asked), key, transition)


def finished(writer: Writer, keys: list[int]) -> dict[int, object]:
    """Slices until all are settled."""
    done: dict[int, object] = {}
    while keys:
        outcomes = dict(zip(keys, writer.work(keys), strict=True))
        done |= {key: outcome for key, outcome in outcomes.items() if not isinstance(outcome, str)}
        keys = [key for key in keys if key not in done]
    return done


def slots(model: WritingModel) -> int:
    engine = model.engine
    assert isinstance(engine, TransformersEngine)
    return len(engine._texts) + len(engine._waiting)


def test_samples_that_nobody_wants_leave_their_places(writer: Writer, model: WritingModel) -> None:
    """At once: another sample is written in the very next slice, though all places were taken."""
    for key in range(3 * CAPACITY):
        writer.take(sample(key))
    writer.work(list(range(3 * CAPACITY)))
    assert slots(model) >= 2 * CAPACITY
    writer.keep({1})
    assert slots(model) <= 1
    writer.take(sample(100, transition=True))
    *_, said = writer.work([100])
    assert said


def test_a_sample_does_not_depend_on_its_company(writer: Writer) -> None:
    """Alone or among others, begun again or not, it is the same crystal."""
    writer.take(sample(7))
    alone = finished(writer, [7])[7]
    for key in range(6, 12):
        writer.take(sample(key))
    writer.work(list(range(6, 12)))
    writer.take(sample(7))
    among = finished(writer, list(range(6, 12)))[7]
    assert isinstance(alone, Made)
    assert isinstance(among, Made)
    assert among.proposal.alx_text == alone.proposal.alx_text
    assert among.proposal.log_probability == pytest.approx(alone.proposal.log_probability, abs=1e-3)


def test_of_several_proposals_one_is_kept(model: WritingModel) -> None:
    """By language model and substitution; where the one cannot, the other's is taken."""
    references = References([Material(sodium_chloride(), {})], SmallTable())
    writer = Writer({"tiny": model}, references, SmallTable(), effort=Effort(3, 3))
    writer.take(sample(0, substitutes=True))
    kept = finished(writer, [0])[0]
    assert isinstance(kept, Made)
    assert kept.proposal.judgement.valid
    assert slots(model) == 0


def test_a_prompt_beyond_the_models_words_is_an_error(model: WritingModel) -> None:
    """What is told and the crystal have to fit; the sample says so and holds no place."""
    short = WritingModel(replace(model.facts, max_tokens=30), model.engine, model.tokenizer)
    writer = Writer({"tiny": short}, References([], SmallTable()), SmallTable(), effort=Effort())
    asked = sample(0)
    known = known_material(sodium_chloride(), {})
    asked.request = Request(replace(asked.request.prompt, reference=known), asked.request.options)
    writer.take(asked)
    (outcome,) = writer.work([0])
    assert "more than the 30 of the model" in str(outcome)
    assert slots(model) == 0


def test_drawn_references_that_cannot_be_told_are_passed_over(model: WritingModel) -> None:
    """A cell that ALX has no numbers for is no reason to fail, as nobody asked for it."""
    salt = sodium_chloride()
    long = replace(salt, cell=salt.cell * [[30.0], [1.0], [1.0]], id="long")
    held = [Material(long, {}), Material(salt, {})]
    writer = Writer({"tiny": model}, References(held, SmallTable()), SmallTable(), effort=Effort())
    for key in range(6):
        writer.take(sample(key))
    for made in finished(writer, list(range(6))).values():
        assert isinstance(made, Made)
        assert made.proposal.origin.reference_id == salt.id


def test_the_kept_proposal_lies_in_the_targets_ranges(screen: Listening) -> None:
    """By what the shipped networks predict: an iodide for a small gap, a fluoride for a large one."""
    writer = substituting(screen)
    writer.take(substitution(0, {GAP: Range(3.0, 3.9)}))
    writer.take(substitution(1, {GAP: Range(6.2, 7.5)}))
    small, large = finished(writer, [0, 1]).values()
    assert isinstance(small, Made)
    assert isinstance(large, Made)
    assert 3.0 <= small.proposal.screened[GAP] <= 3.9
    assert 6.2 <= large.proposal.screened[GAP] <= 7.5


def test_a_screen_is_asked_once_and_for_what_targets_bound(screen: Listening) -> None:
    """All crystals of a slice together; for gaps where a target has a range of them, else for energies."""
    writer = substituting(screen)
    for ranges, names in (({}, {HULL}), ({GAP: Range(min=5.0)}, {HULL, GAP})):
        screen.asked.clear()
        writer.take(substitution(0, {}))
        writer.take(substitution(1, ranges))
        finished(writer, [0, 1])
        assert screen.asked == [(16, names)]


def test_a_sample_without_a_choice_asks_for_nothing(screen: Listening) -> None:
    """Neither alone nor among others; what its target bounds is of no interest then."""
    writer = substituting(screen, substitutions=1)
    writer.take(substitution(0, {GAP: Range(min=2.0)}))
    assert isinstance(finished(writer, [0])[0], Made)
    assert not screen.asked
