"""What every engine must do, as functions of one; `test_contract` runs each on each engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import torch

from crystalmesh_common.crystal.composition_limits import CompositionLimits, composition_limits
from crystalmesh_common.runtime.errors import ContradictoryTargetError
from crystalmesh_generation.engines.engine import Engine, Rules, Sampling, TextOrder, Until, Written
from crystalmesh_generation.language.alx import read_alx
from crystalmesh_generation.language.templates import facts_prompt
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.model.files import LoadedModel

TITANIA = composition_limits(formula="TiO2", max_atoms=6)
TOKENIZER = WordTokenizer.of_words()
PROMPTS = (
    "<s> <target> formula Ti 1 O 2 <reference> Sn 1 O 2 <transition>",
    "<s> <target> formula Ti 1 O 2 <reference> Ge 1 O 2 <transition>",
    "<s> <target> formula Ti 1 O 2 <reference> Sn 1 O 2 <transition> Sn becomes Ti <crystal>",
    "<s> <target> cubic <crystal>",
)


def order(prompt: str = PROMPTS[0], seed: int = 0, **changes: Any) -> TextOrder:
    """An order of titania; what is not said is as simple as can be."""
    fields: dict[str, Any] = {
        "prompt": tuple(TOKENIZER.encode(prompt)),
        "until": Until.CRYSTAL,
        "sampling": Sampling(seed=seed),
        "rules": Rules(limits=TITANIA, max_transition_words=8),
        "max_words": 60,
        **changes,
    }
    return TextOrder(**fields)


def orders() -> dict[int, TextOrder]:
    """Texts of all kinds, by key."""
    free = Rules()
    found = [order(prompt, seed) for prompt in PROMPTS for seed in range(2)]
    found += [
        order(sampling=Sampling(temperature=0.0)),
        order(sampling=Sampling(temperature=0.7, top_p=0.5, seed=3)),
        order(sampling=Sampling(seed=4), rules=free, max_words=15),
        order(until=Until.TRANSITION, seed=6),
        order(PROMPTS[2], 7, rules=Rules(TITANIA, min_distance_angstrom=0.5)),
    ]
    return dict(enumerate(found))


def written(engine: Engine, wanted: Mapping[int, TextOrder]) -> dict[int, Written]:
    """All texts, finished."""
    for key, each in wanted.items():
        engine.add(key, each)
    return finish(engine, wanted)


def finish(engine: Engine, keys: Iterable[int]) -> dict[int, Written]:
    left, found = set(keys), {}
    while left:
        for key, each in engine.step().items():
            if each.finished:
                found[key] = each
                left.remove(key)
    assert engine.step() == {}
    return found


def text_of(each: Written) -> list[str]:
    return [TOKENIZER.words[word] for word in each.words]


def crystals_are_within_limits(engine: Engine, model: LoadedModel) -> None:
    """Texts of crystals hold a transition, `<crystal>` and ALX within the limits."""
    wanted = {
        key: each for key, each in orders().items() if each.rules.limits and each.until is Until.CRYSTAL
    }
    for key, each in written(engine, wanted).items():
        words = text_of(each)
        assert not each.truncated
        if TOKENIZER.words[wanted[key].prompt[-1]] == "<transition>":
            assert words.index("<crystal>") <= 8
            words = words[words.index("<crystal>") + 1 :]
            assert each.transition_log_probability < 0
        else:
            assert each.transition_log_probability == 0
        assert TITANIA.admits(read_alx(" ".join(words), max_atoms=6).numbers.tolist())
        assert each.crystal_log_probability < 0


def texts_do_not_depend_on_company(engine: Engine, model: LoadedModel) -> None:
    """Each text has the same words whether it is written alone or beside others that come and go."""
    wanted = orders()
    together = written(engine, wanted)
    for key, each in wanted.items():
        (alone,) = written(engine, {key: each}).values()
        assert alone.words == together[key].words
        assert alone.crystal_log_probability == pytest.approx(together[key].crystal_log_probability, abs=1e-3)


def seeds_decide(engine: Engine, model: LoadedModel) -> None:
    """Other seeds give other texts, and at a temperature of 0 they do not matter."""
    sampled = written(engine, {seed: order(seed=seed) for seed in range(3)})
    assert len({each.words for each in sampled.values()}) == 3
    greedy = {seed: order(sampling=Sampling(temperature=0.0, seed=seed)) for seed in range(3)}
    assert len({each.words for each in written(engine, greedy).values()}) == 1


def texts_may_be_dropped(engine: Engine, model: LoadedModel) -> None:
    """A dropped text is not heard of again, its key is free, and the others do not notice."""
    expected = written(engine, {1: order(seed=1)})[1]
    for key in range(3 * engine.capacity):
        engine.add(key, order(seed=key))
    for _ in range(3):
        engine.step()
    for key in range(3 * engine.capacity):
        if key != 1:
            engine.drop(key)
    engine.drop(99_999)
    assert finish(engine, [1])[1].words == expected.words
    assert set(written(engine, {0: order()})) == {0}


def texts_wait_for_a_place(engine: Engine, model: LoadedModel) -> None:
    """More texts than the capacity may be added; no more are under way at once, and all are written."""
    keys = range(2 * engine.capacity + 1)
    for key in keys:
        engine.add(key, order(PROMPTS[key % 4], key))
    assert len(engine.step()) <= engine.capacity
    assert set(finish(engine, keys)) == set(keys)


def texts_grow_a_word_at_a_time(engine: Engine, model: LoadedModel) -> None:
    """What is written of a text is told at every step, each a word longer than before."""
    engine.add(1, order(until=Until.TRANSITION))
    before: tuple[int, ...] = ()
    finished = False
    while not finished:
        each = engine.step()[1]
        finished = each.finished
        assert each.words[: len(before)] == before
        assert len(each.words) == len(before) + (0 if finished else 1)
        before = each.words


def long_texts_are_truncated(engine: Engine, model: LoadedModel) -> None:
    """A text that reaches its longest is truncated; one that just fits is not."""
    limits = CompositionLimits(min_atoms=2, max_atoms=2)
    for words, truncated in ((13, True), (14, False)):
        short = order(PROMPTS[3], rules=Rules(limits), max_words=words)
        each = written(engine, {1: short})[1]
        assert (len(each.words), each.truncated) == (words, truncated)


def the_model_s_positions_truncate(engine: Engine, model: LoadedModel) -> None:
    """A text ends where the model's positions do, and prompts that fill them are refused."""
    rules = Rules(CompositionLimits(min_atoms=20))
    each = written(engine, {1: order(f"<s> {'cubic ' * 110} <crystal>", rules=rules, max_words=100)})[1]
    assert each.truncated
    assert len(each.words) == 128 - 112
    with pytest.raises(ValueError, match="prompt"):
        engine.add(2, order(f"<s> {'cubic ' * 126} <crystal>"))


def keys_in_use_are_refused(engine: Engine, model: LoadedModel) -> None:
    """A key is one text's until that is finished or dropped."""
    engine.add(1, order())
    with pytest.raises(ValueError, match="1"):
        engine.add(1, order())
    engine.step()
    with pytest.raises(ValueError, match="1"):
        engine.add(1, order())
    engine.drop(1)
    engine.add(1, order())
    finish(engine, [1])


def contradictions_are_refused(engine: Engine, model: LoadedModel) -> None:
    """Rules that no crystal obeys are refused when a text is added, and its key stays free."""
    with pytest.raises(ContradictoryTargetError):
        engine.add(1, order(rules=Rules(TITANIA, max_atoms=2)))
    written(engine, {1: order()})


def log_probabilities_are_the_model_s(engine: Engine, model: LoadedModel) -> None:
    """Log-probabilities are those of transformers' Llama at temperature 1, whatever was forbidden."""
    wanted = order(sampling=Sampling(temperature=0.6, top_p=0.8, seed=2))
    each = written(engine, {1: wanted})[1]
    words = [*wanted.prompt, *each.words, TOKENIZER.end]
    with torch.inference_mode():
        logits = model.model.language(input_ids=torch.tensor([words])).logits[0].float()
    found = logits[:-1].log_softmax(-1).gather(1, torch.tensor(words[1:])[:, None])[:, 0].tolist()
    begin = len(wanted.prompt) - 1
    crystal = begin + each.words.index(TOKENIZER.ids["<crystal>"]) + 1
    assert each.transition_log_probability == pytest.approx(sum(found[begin:crystal]), abs=1e-2)
    assert each.crystal_log_probability == pytest.approx(sum(found[crystal:]), abs=1e-2)


def free_texts_are_the_model_s(engine: Engine, model: LoadedModel) -> None:
    """Without rules and at a temperature of 0, words are those that transformers' Llama finds likeliest."""
    wanted = order(PROMPTS[3], sampling=Sampling(temperature=0.0), rules=Rules(), max_words=20)
    each = written(engine, {1: wanted})[1]
    words = list(wanted.prompt)
    for word in each.words:
        with torch.inference_mode():
            assert int(model.model.language(input_ids=torch.tensor([words])).logits[0, -1].argmax()) == word
        words.append(word)


def values_are_the_regression_head_s(engine: Engine, model: LoadedModel) -> None:
    """Crystals have the values that body and head give each alone, in their order and units."""
    alx = ["4 4 4 90 90 90 Ti 0.00 0.00 0.00", "5.6 5.6 5.6 90 90 90 Na 0.00 0.00 0.00 Cl 0.50 0.50 0.50"]
    crystals = [TOKENIZER.encode(facts_prompt(each)) for each in alx]
    values = engine.values(crystals)
    for words, found in zip(crystals, values, strict=True):
        with torch.inference_mode():
            hidden = model.model.language.model(input_ids=torch.tensor([words])).last_hidden_state[0]
            head = model.model.regression
            expected = head.in_units(head(hidden, torch.tensor([[2, len(words) - 1]])))[0].tolist()
        assert list(found) == ["band_gap_ev", "formation_energy_ev_per_atom"]
        assert list(found.values()) == pytest.approx(expected, abs=1e-4)
    assert engine.values([]) == []


def a_closed_engine_holds_no_text(engine: Engine, model: LoadedModel) -> None:
    """What was under way is gone once an engine is closed, and closing twice does no harm."""
    engine.add(1, order())
    engine.step()
    engine.close()
    engine.close()


CLAIMS = (
    crystals_are_within_limits,
    texts_do_not_depend_on_company,
    seeds_decide,
    texts_may_be_dropped,
    texts_wait_for_a_place,
    texts_grow_a_word_at_a_time,
    long_texts_are_truncated,
    the_model_s_positions_truncate,
    keys_in_use_are_refused,
    contradictions_are_refused,
    log_probabilities_are_the_model_s,
    free_texts_are_the_model_s,
    values_are_the_regression_head_s,
    a_closed_engine_holds_no_text,
)
