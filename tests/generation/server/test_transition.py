from __future__ import annotations

from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1 import transition_pb2
from crystalmesh.generation.v1.transition_pb2 import ProposeTransitionRequest, SamplingOptions
from tests.conftest import ServiceProcess
from tests.generation.server.asking import reference, stub_of


def request(seed: int = 0) -> ProposeTransitionRequest:
    return ProposeTransitionRequest(
        target=Target(formula="KCl"), reference=reference(), sampling=SamplingOptions(seed=seed)
    )


def test_a_transition_comes_piece_by_piece_and_then_whole(server: ServiceProcess) -> None:
    """The pieces together are the text; the whole says who wrote it, how likely it is, and of what."""
    with stub_of(server) as stub:
        *pieces, last = stub.ProposeTransition(request(), timeout=60)
    assert [piece.WhichOneof("outcome") for piece in pieces] == ["text_delta"] * len(pieces)
    whole = last.transition
    assert "".join(piece.text_delta for piece in pieces) == whole.text
    assert len(pieces) > 1
    assert whole.origin == transition_pb2.TRANSITION_ORIGIN_MODEL
    assert (whole.model, whole.reference_id) == ("able", "NaCl")
    assert whole.log_probability < 0


def test_the_same_seed_gives_the_same_transition(server: ServiceProcess) -> None:
    """And another one another."""
    with stub_of(server) as stub:
        first, again, other = [
            list(stub.ProposeTransition(request(seed), timeout=60))[-1].transition for seed in (1, 1, 2)
        ]
    assert first == again
    assert other.text != first.text


def test_who_goes_away_is_forgotten(server: ServiceProcess) -> None:
    """A cancelled stream leaves nothing in flight or in the queue."""
    with stub_of(server) as stub:
        call = stub.ProposeTransition(request(3), timeout=60)
        next(call)
        call.cancel()
        list(stub.ProposeTransition(request(4), timeout=60))
    assert server.metric("crystalmesh_queued_items") == 0
