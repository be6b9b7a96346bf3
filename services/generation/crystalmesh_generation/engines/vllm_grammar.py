"""Our grammar and our choice of words within vLLM, by its interface for processors of logits.

vLLM gives each text a row of logits. The processor chooses a word as the other engine does, with the text's
own random numbers, and leaves vLLM no other; so a text's words do not depend on the engine either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from crystalmesh_common.crystal.composition_limits import CompositionLimits
from crystalmesh_generation.engines.engine import Rules, Sampling, TextOrder, Until
from crystalmesh_generation.engines.sampling import choose
from crystalmesh_generation.engines.text import Text
from crystalmesh_generation.grammar.automaton import Grammar
from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.language.words import CRYSTAL

_ORDER = "crystalmesh_order"


def order_to_arguments(order: TextOrder) -> dict[str, Any]:
    """An order as vLLM passes it on, in plain numbers, lists and texts."""
    said = asdict(order)
    if order.rules.limits is not None:
        sets = {
            name: _sorted(getattr(order.rules.limits, name)) for name in ("required", "allowed", "forbidden")
        }
        said["rules"]["limits"] |= sets
    return {_ORDER: {**said, "until": order.until.value, "prompt": list(order.prompt)}}


def order_from_arguments(arguments: Mapping[str, Any]) -> TextOrder:
    """The order again."""
    said = arguments[_ORDER]
    rules = dict(said["rules"])
    if (limits := rules.pop("limits")) is not None:
        formula = limits["formula"] and tuple((number, count) for number, count in limits["formula"])
        sets = {name: _frozen(limits[name]) for name in ("required", "allowed", "forbidden")}
        limits = CompositionLimits(**{**limits, **sets, "formula": formula})
    return TextOrder(
        prompt=tuple(said["prompt"]),
        until=Until(said["until"]),
        sampling=Sampling(**said["sampling"]),
        rules=Rules(limits=limits, **rules),
        max_words=said["max_words"],
    )


@dataclass(eq=False)
class _Row:
    """A text in vLLM's batch."""

    text: Text
    output: list[int]  # vLLM's own: all words so far
    seen: int = 0

    def catch_up(self) -> Text:
        """The text with the words that vLLM has taken since."""
        for word in self.output[self.seen :]:
            self.text.write(word, 0.0)
        self.seen = len(self.output)
        return self.text


class GrammarProcessor(LogitsProcessor):
    """What vLLM calls before it samples."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:  # noqa: FBT001 -- vLLM's interface
        tokenizer = WordTokenizer.load(Path(vllm_config.model_config.model))
        self._grammar = Grammar(tokenizer)
        self._crystal = tokenizer.ids[CRYSTAL]
        self._positions = int(vllm_config.model_config.max_model_len)
        self._rows: dict[int, _Row] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow the texts to their rows."""
        if batch_update is None:
            return
        for index in batch_update.removed:
            self._rows.pop(index, None)
        for index, params, _, output in batch_update.added:
            self._rows.pop(index, None)
            if params.extra_args and _ORDER in params.extra_args:
                self._rows[index] = _Row(self._text(params), output)
        for source, target, direction in batch_update.moved:
            moved, replaced = self._rows.pop(source, None), self._rows.pop(target, None)
            if moved is not None:
                self._rows[target] = moved
            if replaced is not None and direction is MoveDirectionality.SWAP:
                self._rows[source] = replaced

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Leave each text the word that is chosen for it."""
        rows = {index: row.catch_up() for index, row in sorted(self._rows.items()) if index < len(logits)}
        if not rows:
            return logits
        masks = np.zeros((len(rows), logits.shape[1]), dtype=bool)
        for mask, text in zip(masks, rows.values(), strict=True):
            allowed = text.mask()
            mask[: len(allowed)] = allowed
        samplings = [(text.order.sampling, text.random) for text in rows.values()]
        numbers = torch.tensor([(each.temperature, each.top_p, random) for each, random in samplings])
        indices = torch.tensor(list(rows), device=logits.device)
        chosen = choose(
            logits[indices].float(),
            torch.from_numpy(masks).to(logits.device),
            *numbers.to(logits.device).unbind(1),
        )
        logits[indices] = -torch.inf
        logits[indices, torch.tensor(chosen.words, device=logits.device)] = 0.0
        return logits

    def _text(self, params: SamplingParams) -> Text:
        return Text(
            order_from_arguments(params.extra_args or {}), self._grammar, self._crystal, self._positions
        )


def _sorted(numbers: frozenset[int] | None) -> list[int] | None:
    return None if numbers is None else sorted(numbers)


def _frozen(numbers: list[int] | None) -> frozenset[int] | None:
    return None if numbers is None else frozenset(numbers)
