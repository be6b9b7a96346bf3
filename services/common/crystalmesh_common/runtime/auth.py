"""Who may call, and with which certificates."""

from __future__ import annotations

import hmac
import ssl
from collections.abc import Sequence
from pathlib import Path

import grpc

from crystalmesh_common.runtime.errors import TokenInvalidError, TokenMissingError
from crystalmesh_common.runtime.settings import ServiceSettings, SettingsError

_SCHEME = "bearer "


class TokenGuard:
    """Admits callers that present one of a few bearer tokens. Never reveals a token in `repr` or errors."""

    def __init__(self, tokens: Sequence[str]) -> None:
        if not tokens or any(len(token) < 8 for token in tokens):
            raise SettingsError("bearer tokens need at least 8 characters, and at least one token")
        self._tokens = tuple(token.encode() for token in tokens)

    def check(self, authorization: str | None) -> None:
        """Raise TokenMissingError or TokenInvalidError unless the header carries an accepted token."""
        if not authorization:
            raise TokenMissingError("this server needs a bearer token in the metadata key `authorization`")
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise TokenInvalidError("the metadata key `authorization` must be `Bearer <token>`")
        presented = authorization[len(_SCHEME) :].strip().encode()
        # Every token is compared, in constant time, so that timing tells nothing of them.
        if not sum(hmac.compare_digest(presented, token) for token in self._tokens):
            raise TokenInvalidError("the bearer token is not one of this server's")


def token_guard(settings: ServiceSettings) -> TokenGuard | None:
    """The guard that `settings` ask for; None where no token is needed."""
    tokens = [] if settings.token is None else [settings.token.get_secret_value()]
    if settings.tokens_file is not None:
        lines = (line.strip() for line in _read_text(settings.tokens_file, "tokens_file").splitlines())
        tokens += [line for line in lines if line and not line.startswith("#")]
    return TokenGuard(tokens) if settings.requires_token else None


def server_credentials(settings: ServiceSettings) -> grpc.ServerCredentials | None:
    """TLS or mutual TLS as `settings` ask for; None for clear text."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    certificate = _read(settings.tls_certificate, "tls_certificate")
    key = _read(settings.tls_key, "tls_key")
    client_ca = None if settings.tls_client_ca is None else _read(settings.tls_client_ca, "tls_client_ca")
    _check_certificates(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=client_ca, require_client_auth=client_ca is not None
    )


def _check_certificates(certificate: Path, key: Path, client_ca: Path | None) -> None:
    """Raise SettingsError where gRPC would merely not listen, and say nothing of why."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError):
        raise SettingsError(
            f"tls_certificate and tls_key: {certificate} and {key} are not a PEM certificate and its key"
        ) from None
    try:
        if client_ca is not None:
            context.load_verify_locations(client_ca)
    except (ssl.SSLError, ValueError):
        raise SettingsError(f"tls_client_ca: {client_ca} holds no PEM certificate") from None


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{setting}: cannot read {path}: {error.strerror}") from None


def _read_text(path: Path, setting: str) -> str:
    try:
        return _read(path, setting).decode()
    except UnicodeDecodeError:
        raise SettingsError(f"{setting}: {path} is not UTF-8 text") from None
