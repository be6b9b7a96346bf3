from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from crystalmesh_client.connection import Connection, Credentials
from crystalmesh_common.runtime.auth import server_credentials
from crystalmesh_common.runtime.errors import TokenMissingError, UnreachableError
from crystalmesh_common.runtime.settings import ServiceSettings, SettingsError
from crystalmesh_common.runtime.statuses import from_rpc_failure
from tests.common.runtime.certificates import Authority, Certificate
from tests.common.runtime.hosting import UNARY, Levers, hosted
from tests.conftest import TOKEN


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom both sides trust."""
    return Authority(tmp_path, "authority")


def server_tls(issued: Certificate, **more: Any) -> dict[str, Any]:
    return {"tls_certificate": issued.certificate, "tls_key": issued.key, **more}


async def list_models(port: int, credentials: Credentials) -> bytes:
    """One call with the client's credentials and metadata, and without its retries."""
    address, options = f"127.0.0.1:{port}", [("grpc.enable_retries", 0)]
    metadata = Connection(address, credentials).metadata("relaxation")
    channel = (
        grpc.aio.secure_channel(address, credentials.channel_credentials(), options=options)
        if credentials.wants_tls
        else grpc.aio.insecure_channel(address, options=options)
    )
    async with channel:
        return bytes(await channel.unary_unary(UNARY)(b"", metadata=metadata, timeout=60))


async def refusal(port: int, credentials: Credentials) -> Exception:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await list_models(port, credentials)
    return from_rpc_failure(failed.value)


async def test_tls_protects_the_call_and_the_token(authority: Authority) -> None:
    """With the authority's certificate and a token a client is served; without the token it is not."""
    settings = server_tls(authority.issue("server"), token=TOKEN)
    async with hosted(Levers(), **settings) as process:
        ca = authority.certificate
        assert await list_models(process.port, Credentials(token=TOKEN, tls_ca=ca))
        assert isinstance(await refusal(process.port, Credentials(token=None, tls_ca=ca)), TokenMissingError)


async def test_a_server_of_another_authority_is_not_believed(authority: Authority, tmp_path: Path) -> None:
    """A client that trusts another authority, or speaks clear text, gets no connection."""
    other = Authority(tmp_path, "other")
    async with hosted(Levers(), **server_tls(authority.issue("server"))) as process:
        for credentials in (Credentials(tls_ca=other.certificate), Credentials()):
            assert isinstance(await refusal(process.port, credentials), UnreachableError)


async def test_mutual_tls_admits_only_certified_clients(authority: Authority, tmp_path: Path) -> None:
    """With a client CA, a client needs a certificate of that authority and nothing else."""
    mutual = server_tls(authority.issue("server"), tls_client_ca=authority.certificate)
    ours = authority.issue("client")
    theirs = Authority(tmp_path, "other").issue("stranger")
    ca = authority.certificate
    async with hosted(Levers(), **mutual) as process:
        ours_shown = Credentials(tls_ca=ca, tls_certificate=ours.certificate, tls_key=ours.key)
        assert await list_models(process.port, ours_shown)
        theirs_shown = Credentials(tls_ca=ca, tls_certificate=theirs.certificate, tls_key=theirs.key)
        for credentials in (Credentials(tls_ca=ca), theirs_shown):
            assert isinstance(await refusal(process.port, credentials), UnreachableError)


@pytest.mark.parametrize(
    ("broken", "named"),
    [("certificate", "tls_certificate"), ("key", "tls_key"), ("swapped", "tls_key"), ("ca", "tls_client_ca")],
)
def test_certificate_files_that_are_none_are_named(
    authority: Authority, tmp_path: Path, broken: str, named: str
) -> None:
    """Files without certificate or key, and the key of another certificate, are named with their setting."""
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    good, other = authority.issue("server"), authority.issue("other")
    settings = {
        "certificate": server_tls(Certificate(junk, good.key)),
        "key": server_tls(Certificate(good.certificate, junk)),
        "swapped": server_tls(Certificate(good.certificate, other.key)),
        "ca": server_tls(good, tls_client_ca=junk),
    }[broken]
    with pytest.raises(SettingsError, match=named):
        server_credentials(ServiceSettings(**settings))
