"""Writing with vLLM, for GPUs and for larger models. It is optional: `make setup VLLM=1`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import count
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from crystalmesh_common.runtime.errors import ModelFailedError
from crystalmesh_generation.engines.engine import TextOrder, Until, Written
from crystalmesh_generation.engines.regression import crystal_values
from crystalmesh_generation.engines.text import Text
from crystalmesh_generation.grammar.automaton import Grammar
from crystalmesh_generation.language.words import CRYSTAL
from crystalmesh_generation.model.files import LoadedModel, has_head_beside

if TYPE_CHECKING:
    from vllm.outputs import CompletionOutput
    from vllm.v1.engine.llm_engine import LLMEngine

DEFAULT_CAPACITY = 64
_PROCESSOR = "crystalmesh_generation.engines.vllm_grammar:GrammarProcessor"
_PAGE = 256  # words; no device of vLLM's has larger ones
_MOST_CACHE = 4 * 2**30  # bytes
_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # a writer is a process of its own already
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # and has as many threads as the operator says
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CONFIGURE_LOGGING": "0",
}


class VllmEngine:
    """An `Engine`. vLLM batches texts, and reads once what prompts have in common at their beginning."""

    def __init__(self, loaded: LoadedModel, folder: Path, *, capacity: int = DEFAULT_CAPACITY) -> None:
        """Give vLLM the model that was loaded from a folder, on the same device; takes ten seconds and more.

        Raises ModelFailedError where vLLM is not installed, or cannot run the model there.
        """
        self._model = loaded.model  # for its values: vLLM has no such head
        self._grammar = Grammar(loaded.tokenizer)
        self._crystal, self._end = loaded.tokenizer.ids[CRYSTAL], loaded.tokenizer.end
        self._positions = loaded.max_tokens
        self._capacity = capacity
        self._vllm = _vllm(loaded, folder, capacity)
        self._texts: dict[int, Text] = {}
        self._requests: dict[int, str] = {}  # by key
        self._keys: dict[str, int] = {}  # by request
        self._numbers = count()

    @property
    def capacity(self) -> int:
        return self._capacity

    def add(self, key: int, order: TextOrder) -> None:
        """Take on a text.

        Raises ValueError for a key in use or a prompt that fills the model's positions, and
        ContradictoryTargetError for rules that no crystal obeys.
        """
        from vllm import SamplingParams  # noqa: PLC0415 -- optional
        from vllm.inputs import tokens_input  # noqa: PLC0415 -- likewise
        from vllm.sampling_params import RequestOutputKind  # noqa: PLC0415 -- likewise

        from crystalmesh_generation.engines.vllm_grammar import (  # noqa: PLC0415 -- likewise
            order_to_arguments,
        )

        if key in self._texts:
            raise ValueError(f"a text {key} is being written already")
        text = Text(order, self._grammar, self._crystal, self._positions)
        params = SamplingParams(
            temperature=0.0,  # the processor has chosen
            max_tokens=order.max_words + 1,
            stop_token_ids=[self._end, self._crystal] if order.until is Until.TRANSITION else [self._end],
            ignore_eos=True,
            detokenize=False,
            logprobs=0,  # of the word itself
            output_kind=RequestOutputKind.DELTA,
            extra_args=order_to_arguments(order),
        )
        request = f"text-{next(self._numbers)}"
        self._vllm.add_request(request, tokens_input(list(order.prompt)), params)
        self._texts[key], self._requests[key], self._keys[request] = text, request, key

    def drop(self, key: int) -> None:
        if key in self._texts:
            self._vllm.abort_request([self._requests[key]])
            self._forget(key)

    def step(self) -> Mapping[int, Written]:
        if not self._texts:
            return {}
        found: dict[int, Written] = {}
        for output in self._vllm.step():
            key = self._keys.get(output.request_id)
            if key is not None and (written := self._take(key, output.outputs[0])) is not None:
                found[key] = written
        return found

    def values(self, crystals: Sequence[Sequence[int]]) -> Sequence[Mapping[str, float]]:
        return crystal_values(self._model, crystals)

    def close(self) -> None:
        for key in list(self._texts):
            self.drop(key)

    def _take(self, key: int, output: CompletionOutput) -> Written | None:
        """What vLLM wrote of a text in this step, if anything."""
        text, written = self._texts[key], None
        for word, likely in zip(output.token_ids, output.logprobs or (), strict=True):
            written = text.write(word, likely[word].logprob)
        if output.finish_reason is not None and (written is None or not written.finished):
            written = text.cut()
        if written is not None and written.finished:
            if output.finish_reason is None:
                self.drop(key)
            else:
                self._forget(key)
        return written

    def _forget(self, key: int) -> None:
        del self._texts[key], self._keys[self._requests.pop(key)]


def _vllm(loaded: LoadedModel, folder: Path, capacity: int) -> LLMEngine:
    _require_vllm(loaded.model.device.type)
    if has_head_beside(folder):
        raise ModelFailedError(
            f"vLLM takes all weights in {folder} for a Llama's: move regression.safetensors there to "
            "regression/model.safetensors"
        )
    from vllm.engine.arg_utils import EngineArgs  # noqa: PLC0415 -- takes seconds
    from vllm.v1.engine.llm_engine import LLMEngine  # noqa: PLC0415 -- likewise

    try:
        return LLMEngine.from_engine_args(EngineArgs(**_arguments(loaded, folder, capacity)))
    except Exception as error:
        raise ModelFailedError(f"vLLM cannot run the model in {folder}: {error}") from error


def _require_vllm(device: str) -> None:
    """Raise ModelFailedError unless vLLM is here, and of the build for such a device."""
    os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})
    try:
        from vllm.platforms import current_platform  # noqa: PLC0415 -- reads the environment, takes seconds
    except ImportError as error:
        raise ModelFailedError(
            f"vLLM is not installed here ({error}): install it with make setup VLLM=1"
        ) from error
    if current_platform.device_type != device:
        raise ModelFailedError(
            f"this build of vLLM runs on {current_platform.device_type or 'no device here'}, not on {device}"
        )


def _arguments(loaded: LoadedModel, folder: Path, capacity: int) -> dict[str, Any]:
    kind, _, number = str(loaded.model.device).partition(":")
    dtype = torch.float32 if kind == "cpu" else torch.bfloat16
    return {
        "model": str(folder),
        "skip_tokenizer_init": True,
        "dtype": str(dtype).removeprefix("torch."),
        "device_ids": [int(number)] if number else None,
        "max_model_len": loaded.max_tokens,
        "max_num_seqs": capacity,
        "kv_cache_memory_bytes": _cache_bytes(loaded, capacity, dtype.itemsize),
        "enforce_eager": True,  # compiling takes longer than most orders
        "enable_prefix_caching": True,
        # Whole pages are shared. On CPUs vLLM takes 128 words for one, which is most of a prompt.
        "block_size": 32 if kind == "cpu" else None,
        "async_scheduling": False,  # the grammar needs each word before the next
        "logits_processors": [_PROCESSOR],
        "disable_log_stats": True,
    }


def _cache_bytes(loaded: LoadedModel, capacity: int, number: int) -> int:
    """Room for as many of the longest texts, if that is reasonable; with less, vLLM lets texts wait."""
    config = loaded.model.language.config
    heads = config.num_key_value_heads or config.num_attention_heads
    width = config.head_dim or config.hidden_size // config.num_attention_heads
    word = 2 * number * config.num_hidden_layers * heads * width  # keys and values
    text = word * _PAGE * (ceil(loaded.max_tokens / _PAGE) + 1)  # vLLM keeps some pages to itself
    return int(max(2 * text, min(capacity * text, _MOST_CACHE)))
