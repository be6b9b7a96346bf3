"""What a model writes while it is trained, so that one can see what it has learnt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from crystalmesh_generation.language.tokenizer import WordTokenizer
from crystalmesh_generation.model.dual_head import DualHeadModel
from crystalmesh_generation.training.conversations import Conversations

_SHOWN = 2
_WORDS = 160


def shown_prompts(teacher: Conversations) -> Iterator[str]:
    """A few prompts, the same every time: transitions and crystals from the first pairs of some targets."""
    for row in teacher.rows[:: max(1, len(teacher.rows) // _SHOWN)][:_SHOWN]:
        random = np.random.default_rng([0, row])
        yield teacher.conversation(teacher.first_pair(row), random, transition=True)[0]


def write_samples(model: DualHeadModel, tokenizer: WordTokenizer, teacher: Conversations) -> Iterator[str]:
    """What the model writes for a few prompts of the teacher's, always the likeliest word."""
    most = int(model.language.config.max_position_embeddings)
    for prompt in shown_prompts(teacher):
        read = tokenizer.encode(prompt)
        with torch.inference_mode():
            written = model.language.generate(  # type: ignore[misc]  # its own self is not of its own type
                torch.tensor([read], device=model.device),
                attention_mask=torch.ones(1, len(read), dtype=torch.int64, device=model.device),
                max_length=min(most, len(read) + _WORDS),
                do_sample=False,
                pad_token_id=tokenizer.pad,
                eos_token_id=tokenizer.end,
            )
        said = written[0, len(read) :].tolist()
        yield tokenizer.decode([word for word in said if word not in (tokenizer.end, tokenizer.pad)])
