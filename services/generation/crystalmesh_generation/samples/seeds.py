"""Seeds of all that is drawn, each from the request's: nothing depends on what else the server does."""

from __future__ import annotations

from hashlib import sha256


def proposal_seed(request_seed: int, prompt_id: str, sample: int, proposal: int) -> int:
    """The seed of a proposal for a sample of a prompt, 0 to 2^64 - 1.

    The first eight bytes, big-endian, of the SHA-256 of "<request seed> <sample> <proposal> <prompt id>",
    numbers in decimal. Proposals of a sample are numbered from 0, those of the language model first.
    """
    return _seed(f"{request_seed} {sample} {proposal} {prompt_id}")


def reference_seed(request_seed: int, prompt_id: str, sample: int) -> int:
    """The seed of the reference that is drawn for a sample; else the same, with "reference" for proposal."""
    return _seed(f"{request_seed} {sample} reference {prompt_id}")


def _seed(text: str) -> int:
    return int.from_bytes(sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
