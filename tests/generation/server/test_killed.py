from __future__ import annotations

import psutil

from crystalmesh.generation.v1.generation_pb2 import GenerateRequest
from tests.conftest import ServiceProcess, until
from tests.generation.server.asking import WRITTEN, prompt, stub_of

REQUEST = GenerateRequest(
    prompts=[prompt("p", transition_text="Na becomes K")], samples_per_prompt=40, generator=WRITTEN
)


def test_a_writer_killed_in_mid_call_costs_no_sample(server: ServiceProcess) -> None:
    """After SIGKILL of the process that writes, every sample has its crystal, as if nothing had been."""
    with stub_of(server) as stub:
        call = stub.Generate(REQUEST, timeout=120)
        outcomes = [next(call)]
        (writer,) = psutil.Process(server.pid).children()
        writer.kill()
        outcomes += list(call)
        again = list(stub.Generate(REQUEST, timeout=120))
    texts = {outcome.sample_index: outcome.candidate.alx_text for outcome in outcomes}
    assert len(texts) == len(outcomes) == 40
    assert all(texts.values())
    assert texts == {outcome.sample_index: outcome.candidate.alx_text for outcome in again}


def test_a_call_that_is_cancelled_makes_room(server: ServiceProcess) -> None:
    """Samples of a caller who went away are written no further, and others are done at once."""
    many = GenerateRequest(prompts=[prompt("p")], samples_per_prompt=10_000, generator=WRITTEN)
    with stub_of(server) as stub:
        call = stub.Generate(many, timeout=120)
        next(call)
        call.cancel()
        until(lambda: server.metric("crystalmesh_queued_calls") == 0, "the queue is empty")
        one = GenerateRequest(prompts=[prompt("q")], generator=WRITTEN)
        (outcome,) = stub.Generate(one, timeout=30)
    assert outcome.HasField("candidate")
