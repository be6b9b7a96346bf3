"""A mesh on Ray Serve, over its one port: what a client sees is what a standalone service shows."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from crystalmesh.property.v1.prediction_pb2 import (
    PredictRequest,
    PredictStreamRequest,
)
from crystalmesh.property.v1.property_service_pb2 import ListModelsRequest
from crystalmesh.property.v1.property_service_pb2_grpc import PropertyServiceStub
from crystalmesh.relaxation.v1 import relaxation_service_pb2
from crystalmesh.relaxation.v1.evaluation_pb2 import EvaluateRequest
from crystalmesh.relaxation.v1.relaxation_service_pb2_grpc import RelaxationServiceStub
from crystalmesh.retrieval.v1.ingestion_pb2 import AddMaterialsRequest
from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    DeadlineExceededError,
    EmptyBatchError,
    InternalError,
    InvalidFieldError,
    MalformedMessageError,
    MessageTooLargeError,
    ModelLoadingError,
    QueueFullError,
    ResourceNotFoundError,
    TokenInvalidError,
    TokenMissingError,
    UnknownMethodError,
    UnreachableError,
)
from crystalmesh_common.runtime.statuses import from_rpc_failure

if TYPE_CHECKING:
    from crystalmesh.property.v1.property_service_pb2_grpc import PropertyServiceAsyncStub

pytestmark = [pytest.mark.ray, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

HERE = Path(__file__).parent
TOKEN = "the-token-of-the-tests"
ADMITTED = (("authorization", f"Bearer {TOKEN}"),)
MESSAGE_BYTES = 1024 * 1024
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
# Whatever a stack trace, a path or Ray's own words would show of us.
TELLTALES = ("Traceback", "ray::", "Actor", "actor", ".py", "deployment", "Ping /", "what only the operator")


class RayMesh:
    """`python -m crystalmesh_common.runtime.ray` with its log and endpoint file in a folder."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self._endpoint_file = folder / "endpoint.json"
        self._log = folder / "log"
        ours = {key: value for key, value in os.environ.items() if not key.startswith("CRYSTALMESH_")}
        command = [sys.executable, "-m", "crystalmesh_common.runtime.ray", *arguments]
        command += ["--endpoint-file", str(self._endpoint_file), "--object-store-bytes", str(100 * 1024**2)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**ours, "PYTHONPATH": str(HERE), **variables}
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def endpoint(self) -> dict[str, Any]:
        """What it wrote of itself, once calls are accepted."""
        until(self._endpoint_file.exists, "the endpoint file", self)
        return dict(json.loads(self._endpoint_file.read_text()))

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """SIGKILL by its own pid; Ray's processes follow their parent."""
        self.process.kill()
        self.process.wait(timeout=60)


def until(condition: Callable[[], bool], what: str, mesh: RayMesh) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert mesh.process.poll() is None, f"it ended with {mesh.process.returncode}:\n{mesh.log[-3000:]}"
        assert time.monotonic() < end, f"not within a minute: {what}\n{mesh.log[-3000:]}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayMesh]:
    """Relaxation with CHGNet, and the obedient service in the place of property; both ask for TOKEN."""
    mesh = RayMesh(
        tmp_path_factory.mktemp("ray"),
        *("--services", "relaxation,ray_fakes:SERVICE,retrieval"),
        CRYSTALMESH_TOKEN=TOKEN,
        CRYSTALMESH_LIMITS__MESSAGE_BYTES=str(MESSAGE_BYTES),
        CRYSTALMESH_PROPERTY_LIMITS__QUEUED_CALLS="1",
    )
    try:
        address = mesh.endpoint()["address"]
        with grpc.insecure_channel(address) as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            until(
                lambda: check(health_pb2.HealthCheckRequest(), timeout=30).status == SERVING, "SERVING", mesh
            )
        yield mesh
        assert mesh.stop() == 0
    finally:
        mesh.kill()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def channel(mesh: RayMesh) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(mesh.endpoint()["address"], options=options) as channel:
        yield channel


@pytest.fixture
def fake(channel: grpc.aio.Channel) -> PropertyServiceAsyncStub:
    return PropertyServiceStub(channel)


def orders(*given: str) -> PredictRequest:
    request = PredictRequest()
    for order in given:
        request.crystals.add(id=order)
    return request


async def failure(call: Any) -> tuple[CrystalMeshError, list[Any], grpc.aio.AioRpcError]:
    """The error that ends a call, what came before it, and the call's end as gRPC has it; nothing leaks."""
    received: list[Any] = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await (_read_on(call, received) if hasattr(call, "read") else call)
    shown = (
        f"{raised.value.details()} {raised.value.trailing_metadata()!r} {raised.value.initial_metadata()!r}"
    )
    assert not [word for word in TELLTALES if word in shown], shown
    return from_rpc_failure(raised.value), received, raised.value


async def _read_on(call: Any, received: list[Any]) -> None:
    while (message := await call.read()) != grpc.aio.EOF:
        received.append(message)


async def in_hand(fake: PropertyServiceAsyncStub) -> tuple[int, int]:
    """How many calls the obedient service has in hand, and how many uploads were complete."""
    models = (await fake.ListModels(ListModelsRequest(), metadata=ADMITTED, wait_for_ready=True)).models
    return len(models) - 1, int(models[0].model.name)


async def read_one(call: Any) -> Any:
    """The next message of a call; there is one."""
    message = await call.read()
    assert message is not grpc.aio.EOF
    return message


async def until_in_hand(count: int, fake: PropertyServiceAsyncStub) -> None:
    async with asyncio.timeout(20):
        while (await in_hand(fake))[0] != count:  # noqa: ASYNC110 -- another process counts
            await asyncio.sleep(0.02)


def rock_salt(request: EvaluateRequest, crystal_id: str, second: float) -> None:
    crystal = request.crystals.add(id=crystal_id).crystal
    crystal.cell_angstrom.extend([5.69, 0, 0, 0, 5.69, 0, 0, 0, 5.69])
    crystal.atomic_numbers.extend([11, 17])
    crystal.fractional_coordinates.extend([0, 0, 0, second, second, second])


async def test_real_service_answers_crystal_by_crystal(channel: grpc.aio.Channel) -> None:
    """CHGNet evaluates through Serve, and a bad crystal is an outcome that leaves the others alone."""
    request = EvaluateRequest()
    rock_salt(request, "good", 0.5)
    rock_salt(request, "overlapping", 0.001)
    call = RelaxationServiceStub(channel).Evaluate(request, metadata=ADMITTED)
    outcomes = {response.crystal_id: response async for response in call}
    assert outcomes["good"].evaluation.energy_ev_per_atom < -1
    assert len(outcomes["good"].evaluation.forces_ev_per_angstrom) == 6
    assert outcomes["overlapping"].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


async def test_unary_call_answers_with_its_request_id(fake: PropertyServiceAsyncStub) -> None:
    """A unary call answers, and its request id comes back; without one it is given one."""
    for offered in ("mine-1", None):
        metadata = ADMITTED if offered is None else (*ADMITTED, ("x-request-id", offered))
        call = fake.ListModels(ListModelsRequest(), metadata=metadata)
        assert len((await call).models) >= 1
        trailing = dict(await call.trailing_metadata())
        assert trailing.keys() == {"x-request-id"}
        assert offered is None or trailing["x-request-id"] == offered


async def test_server_streaming(fake: PropertyServiceAsyncStub) -> None:
    """Messages of a stream arrive in order."""
    call = fake.Predict(orders("echo:a", "echo:b", "echo:c"), metadata=ADMITTED)
    assert [response.crystal_id async for response in call] == ["a", "b", "c"]


async def test_client_streaming_and_routing_by_application(channel: grpc.aio.Channel) -> None:
    """`application` in the metadata chooses who serves a call; without it the API's own service does."""
    stub = RetrievalServiceStub(channel)

    async def materials() -> AsyncIterator[AddMaterialsRequest]:
        for count in (2, 1):
            message = AddMaterialsRequest()
            for _ in range(count):
                message.materials.add()
            yield message

    answer = await stub.AddMaterials(materials(), metadata=(*ADMITTED, ("application", "property")))
    assert answer.received_count == 3
    error, _, _ = await failure(stub.AddMaterials(materials(), metadata=ADMITTED))
    assert isinstance(error, InvalidFieldError)  # of the retrieval service: which catalog?


async def test_bidirectional_streaming(fake: PropertyServiceAsyncStub) -> None:
    """Each message is answered while the stream of requests is still open."""
    call = fake.PredictStream(metadata=ADMITTED)
    for order in ("echo:one", "echo:two"):
        request = PredictStreamRequest()
        request.crystals.add(id=order)
        await call.write(request)
        assert (await read_one(call)).crystal_id == order.removeprefix("echo:")
    await call.done_writing()
    assert await call.read() == grpc.aio.EOF


async def test_typed_errors_reach_the_client_whole(fake: PropertyServiceAsyncStub) -> None:
    """Reason, details, retry hint and pushback arrive, before the first message, in mid-stream and unary."""
    first = fake.Predict(orders("refuse"), metadata=ADMITTED)
    later = fake.Predict(orders("echo:a", "refuse"), metadata=ADMITTED)
    unary = fake.ListModels(ListModelsRequest(), metadata=(*ADMITTED, ("order", "refuse")))
    for call, messages in ((first, 0), (later, 1), (unary, 0)):
        error, received, raised = await failure(call)
        assert isinstance(error, QueueFullError)
        assert (error.message, error.retry_after_seconds, error.details["limit"]) == ("no room", 2.5, "3")
        assert len(received) == messages
        trailing = dict(raised.trailing_metadata())
        assert trailing.keys() == {"grpc-status-details-bin", "x-request-id", "grpc-retry-pushback-ms"}
        assert trailing["grpc-retry-pushback-ms"] == "2500"
        assert error.details["request_id"] == trailing["x-request-id"]


async def test_unexpected_exception_tells_nothing(fake: PropertyServiceAsyncStub, mesh: RayMesh) -> None:
    """An exception of ours is INTERNAL without its text, which the operator finds with the request id."""
    for call in (
        fake.Predict(orders("echo:a", "break"), metadata=(*ADMITTED, ("x-request-id", "look-for-me"))),
        fake.ListModels(ListModelsRequest(), metadata=(*ADMITTED, ("order", "break"))),
    ):
        error, _, _ = await failure(call)
        assert type(error) is InternalError
    until(lambda: "look-for-me" in mesh.log and "what only the operator" in mesh.log, "its log", mesh)


async def test_bad_requests(channel: grpc.aio.Channel) -> None:
    """Requests that no service can serve say why."""
    relaxation = "/crystalmesh.relaxation.v1.RelaxationService"
    for method, request, expected in (
        (f"{relaxation}/Evaluate", b"", EmptyBatchError),
        (f"{relaxation}/Evaluate", b"\xff\xff", MalformedMessageError),
        (f"{relaxation}/Levitate", b"", UnknownMethodError),
        ("/crystalmesh.generation.v1.GenerationService/Generate", b"", UnknownMethodError),
        ("/ray.serve.RayServeAPIService/ListApplications", b"", UnknownMethodError),
    ):
        error, _, _ = await failure(channel.unary_stream(method)(request, metadata=ADMITTED))
        assert type(error) is expected, method


async def test_application_that_cannot_serve_the_call(fake: PropertyServiceAsyncStub) -> None:
    """An unknown application is NOT_FOUND; a known one says that the method is not its own."""
    for name, expected in (("nobody", ResourceNotFoundError), ("relaxation", UnknownMethodError)):
        metadata = (*ADMITTED, ("application", name))
        error, _, _ = await failure(fake.ListModels(ListModelsRequest(), metadata=metadata))
        assert type(error) is expected


async def test_calls_need_the_token(channel: grpc.aio.Channel, fake: PropertyServiceAsyncStub) -> None:
    """Without the token nothing is served but health; reflection and Serve's own service neither."""
    error, _, raised = await failure(fake.ListModels(ListModelsRequest()))
    assert isinstance(error, TokenMissingError)
    assert raised.code() is grpc.StatusCode.UNAUTHENTICATED
    wrong = (("authorization", "Bearer not-the-token"),)
    error, _, _ = await failure(fake.Predict(orders("echo:a"), metadata=wrong))
    assert isinstance(error, TokenInvalidError)
    reflect = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    # Nothing is sent: a write that the refusal overtakes fails as the client's own INTERNAL.
    error, _, _ = await failure(reflect())
    assert isinstance(error, TokenMissingError)


async def test_oversized_messages(channel: grpc.aio.Channel) -> None:
    """A message beyond the limit is refused with the limit, also as one of a stream."""
    retrieval = RetrievalServiceStub(channel)
    message = AddMaterialsRequest(catalog="x" * (MESSAGE_BYTES + 1))
    property_ = (*ADMITTED, ("application", "property"))
    evaluate = channel.unary_stream("/crystalmesh.relaxation.v1.RelaxationService/Evaluate")

    async def upload() -> tuple[CrystalMeshError, grpc.aio.AioRpcError]:
        # A write that the refusal overtakes fails as the client's own INTERNAL, and the refusal is lost.
        for _ in range(10):
            call = retrieval.AddMaterials(iter([AddMaterialsRequest(), message]), metadata=property_)
            error, _, raised = await failure(call)
            if raised.code() is not grpc.StatusCode.INTERNAL:
                break
        return error, raised

    evaluation, _, evaluating = await failure(evaluate(message.SerializeToString(), metadata=ADMITTED))
    for error, raised in ((evaluation, evaluating), await upload()):
        assert isinstance(error, MessageTooLargeError)
        assert error.details["limit"] == str(MESSAGE_BYTES)
        assert dict(raised.trailing_metadata())["grpc-retry-pushback-ms"] == "-1"
    far_beyond = evaluate(b"x" * (2 * MESSAGE_BYTES), metadata=ADMITTED)
    error, _, _ = await failure(far_beyond)
    assert isinstance(error, MessageTooLargeError)


async def test_deadline_ends_the_work(fake: PropertyServiceAsyncStub) -> None:
    """A call beyond its deadline ends with DEADLINE_EXCEEDED, on the replica too."""
    error, _, _ = await failure(fake.Predict(orders("hang"), metadata=ADMITTED, timeout=0.5))
    assert isinstance(error, DeadlineExceededError)
    await until_in_hand(0, fake)


@pytest.mark.parametrize("order", ["flood", "hang"])
async def test_cancellation_reaches_the_replica(fake: PropertyServiceAsyncStub, order: str) -> None:
    """A caller that goes away, between two messages or while it waits for one, leaves no work behind."""
    for _ in range(3):
        call = fake.Predict(orders("echo:started", order), metadata=ADMITTED)
        assert (await read_one(call)).crystal_id == "started"
        assert (await in_hand(fake))[0] == 1
        call.cancel()
        await until_in_hand(0, fake)


async def test_cancellation_frees_the_queue(fake: PropertyServiceAsyncStub) -> None:
    """A cancelled call's place in the queue goes to the next; until then callers are refused with a hint."""
    waiting = fake.Predict(orders(*["work:0.2"] * 100), metadata=ADMITTED)
    assert (await read_one(waiting)).index == 0
    error, _, _ = await failure(fake.Predict(orders("work:0"), metadata=ADMITTED))
    assert isinstance(error, QueueFullError)
    assert error.retry_after_seconds is not None
    waiting.cancel()
    await until_in_hand(0, fake)
    next_ = fake.Predict(orders("work:0"), metadata=ADMITTED)
    assert [response.index async for response in next_] == [0]


async def test_upload_that_breaks_off_is_no_upload(
    channel: grpc.aio.Channel, fake: PropertyServiceAsyncStub
) -> None:
    """A stream of requests that is cancelled does not look like one that has ended."""
    _, uploads = await in_hand(fake)
    call = RetrievalServiceStub(channel).AddMaterials(metadata=(*ADMITTED, ("application", "property")))
    await call.write(AddMaterialsRequest())
    await until_in_hand(1, fake)
    call.cancel()
    await until_in_hand(0, fake)
    assert (await in_hand(fake))[1] == uploads


async def test_health_needs_no_metadata(channel: grpc.aio.Channel) -> None:
    """A probe names a service, or none for the whole, and nothing else."""
    health = health_pb2_grpc.HealthStub(channel)
    for service in (
        "",
        "crystalmesh.relaxation.v1.RelaxationService",
        "crystalmesh.stability.v1.StabilityService",
    ):
        assert (await health.Check(health_pb2.HealthCheckRequest(service=service))).status == SERVING
    _, _, raised = await failure(health.Check(health_pb2.HealthCheckRequest(service="nobody")))
    assert raised.code() is grpc.StatusCode.NOT_FOUND
    watch = health.Watch(health_pb2.HealthCheckRequest(service="nobody"))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


async def test_reflection_shows_the_hosted_services(mesh: RayMesh) -> None:
    """Reflection lists what is hosted and gives its descriptors, to those with the token."""

    def reflect() -> tuple[set[str], str]:
        with grpc.insecure_channel(mesh.endpoint()["address"]) as plain:
            channel = grpc.intercept_channel(plain, WithToken())
            database = ProtoReflectionDescriptorDatabase(channel)
            service = DescriptorPool(database).FindServiceByName(
                "crystalmesh.relaxation.v1.RelaxationService"
            )
            return set(database.get_services()), service.methods_by_name["Evaluate"].input_type.full_name

    services, input_type = await asyncio.to_thread(reflect)
    assert input_type == "crystalmesh.relaxation.v1.EvaluateRequest"
    assert services >= {*mesh.endpoint()["hosted"], "grpc.health.v1.Health"}
    assert not {service for service in services if "generation" in service or "ray" in service}


class WithToken(grpc.StreamStreamClientInterceptor):
    """Sends the token with calls of generated reflection code, which takes no metadata."""

    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(details._replace(metadata=ADMITTED), requests)


async def test_replica_killed_in_mid_call(channel: grpc.aio.Channel, fake: PropertyServiceAsyncStub) -> None:
    """Calls on a replica that dies end with UNAVAILABLE and no word of Ray's; its successor serves the next.

    Health follows it, and the other applications go on meanwhile.
    """
    check = health_pb2_grpc.HealthStub(channel).Check
    of_fake = health_pb2.HealthCheckRequest(service="crystalmesh.property.v1.PropertyService")
    witness = fake.Predict(orders("echo:a", "hang"), metadata=ADMITTED)
    assert (await read_one(witness)).crystal_id == "a"
    killing = fake.Predict(orders("echo:a", "die"), metadata=ADMITTED)
    for call in (killing, witness):
        error, _, raised = await failure(call)
        assert isinstance(error, UnreachableError)
        assert raised.code() is grpc.StatusCode.UNAVAILABLE
        assert error.retry_after_seconds is not None
    others = RelaxationServiceStub(channel).ListModels(
        relaxation_service_pb2.ListModelsRequest(), metadata=ADMITTED
    )
    assert (await others).models[0].ready
    async with asyncio.timeout(60):
        while (await check(of_fake)).status != SERVING:  # noqa: ASYNC110 -- another process starts
            await asyncio.sleep(0.1)
    assert await in_hand(fake) == (0, 0)
    unary = fake.ListModels(ListModelsRequest(), metadata=(*ADMITTED, ("order", "die")))
    error, _, _ = await failure(unary)
    assert isinstance(error, UnreachableError)


async def test_only_loopback_is_listened_on(mesh: RayMesh) -> None:
    """Neither the mesh nor Ray nor Serve opens a port that another machine could reach."""
    group = {mesh.process.pid}
    listing = await asyncio.create_subprocess_exec("ps", "-eo", "pid=,ppid=", stdout=subprocess.PIPE)
    output, _ = await listing.communicate()
    parents = {int(pid): int(parent) for pid, parent in map(str.split, output.decode().splitlines())}
    while more := {pid for pid, parent in parents.items() if parent in group} - group:
        group |= more
    addresses = {address for pid in group for address in listened_on(pid)}
    assert addresses
    assert {
        address for address in addresses if not address.startswith(("127.", "::1", "::ffff:127."))
    } == set()


def listened_on(pid: int) -> list[str]:
    import psutil

    try:
        return [
            c.laddr.ip for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN
        ]
    except psutil.NoSuchProcess:
        return []


async def test_from_start_to_stop_over_tls(tmp_path: Path) -> None:
    """While the model loads calls are told so; SIGTERM lets a running call end, and closes the port."""
    certificate, key = self_signed(tmp_path)
    tls = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    mesh = RayMesh(tmp_path, "--services", "ray_fakes:SERVICE", *tls, RAY_FAKES_LOADING_SECONDS="4")
    try:
        endpoint = await asyncio.to_thread(mesh.endpoint)
        assert (endpoint["services"], endpoint["tls"]) == (["property"], True)
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
        options = [("grpc.enable_retries", 0)]
        async with grpc.aio.secure_channel(endpoint["address"], credentials, options) as channel:
            fake = PropertyServiceStub(channel)
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == NOT_SERVING
            error, _, _ = await failure(fake.Predict(orders("work:0")))
            assert isinstance(error, ModelLoadingError)
            assert (await watch.read()).status == SERVING
            running = fake.Predict(orders(*["work:0.5"] * 5))
            assert (await read_one(running)).index == 0
            mesh.process.terminate()
            rest: list[Any] = []
            await _read_on(running, rest)
            assert [response.index for response in rest] == [1, 2, 3, 4]
            assert (await watch.read()).status == NOT_SERVING
        assert await asyncio.to_thread(mesh.process.wait, 60) == 0
    finally:
        mesh.kill()
    host, _, port = endpoint["address"].rpartition(":")
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mesh")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return paths
