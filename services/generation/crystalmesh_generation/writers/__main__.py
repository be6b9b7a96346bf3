"""`python -m crystalmesh_generation.writers`: write what is asked for on standard input, until it ends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import lru_cache

from crystalmesh_common.runtime.children.child import Work, serve
from crystalmesh_common.runtime.logs import configure_logs
from crystalmesh_generation.writers import messages


def main() -> int:
    """0 once the service has closed the pipe, 1 when nothing could be loaded here."""
    return serve(_load, models="the models", memory="the server")


def _load(body: bytes) -> tuple[bytes, Work]:
    start = messages.start_from_bytes(body)
    configure_logs(start.service, level=start.log_level, form=start.log_format)
    from crystalmesh.generation.v1.generation_pb2 import GenerateRequest  # noqa: PLC0415 -- after the log
    from crystalmesh_generation.convert_prompt import request_of  # noqa: PLC0415 -- a second
    from crystalmesh_generation.samples.asked import Request  # noqa: PLC0415 -- likewise
    from crystalmesh_generation.samples.sample import Sample  # noqa: PLC0415 -- likewise
    from crystalmesh_generation.writers.answers import message_of  # noqa: PLC0415 -- likewise
    from crystalmesh_generation.writers.loading import load_writer  # noqa: PLC0415 -- likewise

    writer, models = load_writer(start)

    @lru_cache(maxsize=1024)
    def read(request: bytes) -> Request:
        """Once for all samples of a prompt; the service has checked it."""
        return request_of(GenerateRequest.FromString(request), atoms_per_crystal=start.atoms_per_crystal)

    def work(body: bytes) -> Iterator[bytes]:
        batch = messages.batch_from_bytes(body)
        writer.keep(set(batch.keys))
        for sample in batch.new:
            writer.take(Sample(sample.key, read(sample.request), sample.number, sample.only_transition))
        outcomes = writer.work(batch.keys)
        return (messages.outcome_to_bytes(message_of(outcome)) for outcome in outcomes)

    return messages.models_to_bytes(models), work


if __name__ == "__main__":
    sys.exit(main())
