"""Calls on the bare wire: bytes out, and everything that comes back."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest, EvaluateResponse
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.statuses import STATUS_DETAILS_KEY
from tests.conftest import AUTHORIZATION, ServiceProcess, sodium_chloride

EVALUATE = "/crystalmesh.relaxation.v1.RelaxationService/Evaluate"
# Of a stack trace, in whichever language.
TRACE_MARKS = (b"Traceback", b'File "', b"site-packages", b"/services/", b".py")


@dataclass
class Answer:
    """How a call ended, and the outcomes that came before."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    status: status_pb2.Status | None = None
    outcomes: list[EvaluateResponse] = field(default_factory=list)
    wire: list[bytes] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """The reason of the call's one ErrorInfo; empty where the status came from gRPC itself."""
        return "" if self.status is None else reason_of(self.status)

    @property
    def retry_seconds(self) -> float | None:
        """The delay of the RetryInfo, if there is one."""
        retry = error_details_pb2.RetryInfo()
        for detail in [] if self.status is None else self.status.details:
            if detail.Unpack(retry):
                return float(retry.retry_delay.ToMilliseconds() / 1000)
        return None


def reason_of(status: status_pb2.Status) -> str:
    """The reason of a status, which carries exactly one ErrorInfo of our domain."""
    infos = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info)
    assert len(infos) == 1
    assert infos[0].domain == "crystalmesh"
    return str(infos[0].reason)


def bare_channel(server: ServiceProcess) -> grpc.Channel:
    """No retries, no limits of its own, no shared connection."""
    options = [
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_send_message_length", -1),
    ]
    return grpc.insecure_channel(server.address, options=options)


def ask(
    server: ServiceProcess,
    request: Message | bytes,
    *,
    method: str = EVALUATE,
    metadata: tuple[tuple[str, str | bytes], ...] = AUTHORIZATION,
    timeout: float = 60,
) -> Answer:
    """Make one call and take down all that comes; nothing of it looks like a stack trace."""
    payload = request if isinstance(request, bytes) else request.SerializeToString()
    answer = Answer()
    with bare_channel(server) as channel:
        call = channel.unary_stream(method)(payload, metadata=metadata, timeout=timeout)
        try:
            for response in call:
                answer.wire.append(response)
                answer.outcomes.append(EvaluateResponse.FromString(response))
        except grpc.RpcError:
            answer.code, answer.message = call.code(), call.details()
        answer.wire.append(answer.message.encode())
        for key, value in call.trailing_metadata() or ():
            answer.wire.append(value if isinstance(value, bytes) else value.encode())
            if key == STATUS_DETAILS_KEY:
                answer.status = status_pb2.Status.FromString(value)
    for part in answer.wire:
        assert not any(mark in part for mark in TRACE_MARKS), part
    return answer


def request_of(*crystals: Crystal | CrystalInput, **fields: object) -> EvaluateRequest:
    """A request of crystals and inputs."""
    inputs = [
        CrystalInput(id=given.id, crystal=crystal_to_proto(given)) if isinstance(given, Crystal) else given
        for given in crystals
    ]
    return EvaluateRequest(crystals=inputs, **fields)  # type: ignore[arg-type]


def still_serves(server: ServiceProcess) -> None:
    """The server answers a good request well."""
    answer = ask(server, request_of(sodium_chloride()))
    assert answer.code is grpc.StatusCode.OK, answer.message
    assert [outcome.WhichOneof("outcome") for outcome in answer.outcomes] == ["evaluation"]
