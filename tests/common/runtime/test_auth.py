from __future__ import annotations

from pathlib import Path

import pytest

from crystalmesh_common.runtime.auth import TokenGuard, server_credentials, token_guard
from crystalmesh_common.runtime.errors import AuthenticationError, TokenInvalidError, TokenMissingError
from crystalmesh_common.runtime.settings import ServiceSettings, SettingsError

TOKENS = ("open-sesame", "sésame-ouvre-toi")


@pytest.mark.parametrize("header", [f"Bearer {TOKENS[0]}", f"bearer {TOKENS[0]}", f"BEARER  {TOKENS[1]} "])
def test_any_accepted_token_opens(header: str) -> None:
    """Each token works, whatever the case of the scheme and the blanks around it."""
    TokenGuard(TOKENS).check(header)


@pytest.mark.parametrize("header", [None, ""])
def test_no_token_is_told_apart_from_a_wrong_one(header: str | None) -> None:
    """Without a header the reason is TOKEN_MISSING."""
    with pytest.raises(TokenMissingError):
        TokenGuard(TOKENS).check(header)


@pytest.mark.parametrize(
    "header",
    ["Bearer ", "Bearer wrong-token", "Basic open-sesame", "open-sesame", f"Bearer {TOKENS[0]}x",
     f"Bearer {TOKENS[0][:-1]}", f"Bearer {TOKENS[0]},{TOKENS[1]}"],
)  # fmt: skip
def test_anything_else_is_refused(header: str) -> None:
    """Wrong, cut, lengthened, joined tokens and other schemes are TOKEN_INVALID."""
    with pytest.raises(TokenInvalidError):
        TokenGuard(TOKENS).check(header)


def test_a_guard_never_tells_its_tokens() -> None:
    """Neither its repr nor its refusals hold an accepted or a presented token."""
    guard = TokenGuard(TOKENS)
    texts = [repr(guard), str(guard)]
    for header in (None, "Bearer presented-token", "Basic presented-token"):
        with pytest.raises(AuthenticationError) as refused:
            guard.check(header)
        texts.append(str(refused.value) + repr(refused.value) + str(refused.value.details))
    assert not any(secret in text for text in texts for secret in (*TOKENS, "presented-token"))


@pytest.mark.parametrize("tokens", [[], [""], ["short"], ["long-enough-token", "short"]])
def test_tokens_that_could_be_guessed_are_refused(tokens: list[str]) -> None:
    """A guard without tokens, or with one below 8 characters, cannot be made."""
    with pytest.raises(SettingsError) as refused:
        TokenGuard(tokens)
    assert "short" not in str(refused.value)


def test_tokens_come_from_settings_and_file_together(tmp_path: Path) -> None:
    """The single token and each line of the file are accepted; comments and blank lines are none."""
    file = tmp_path / "tokens"
    file.write_text("# ours\n\nfirst-of-the-file\r\n  # indented-comment\n  second-of-the-file  \n")
    guard = token_guard(ServiceSettings(token="the-single-one", tokens_file=file))
    assert guard is not None
    for token in ("the-single-one", "first-of-the-file", "second-of-the-file"):
        guard.check(f"Bearer {token}")
    for token in ("# ours", "# indented-comment"):
        with pytest.raises(TokenInvalidError):
            guard.check(f"Bearer {token}")


def test_without_tokens_there_is_no_guard() -> None:
    """On loopback nothing is asked for by default."""
    assert token_guard(ServiceSettings()) is None


def test_a_token_file_without_tokens_does_not_open_the_server(tmp_path: Path) -> None:
    """An empty, missing or unreadable tokens file is an error and not a server without authentication."""
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("# nothing\n")
    binary.write_bytes(b"\xff\xfe\x00secret-bytes")
    for file in (empty, binary, tmp_path / "missing", tmp_path):
        with pytest.raises(SettingsError):
            token_guard(ServiceSettings(tokens_file=file))


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    """A TLS file that cannot be read is a settings error with its setting and path."""
    settings = ServiceSettings(tls_certificate=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem")
    with pytest.raises(SettingsError, match=r"tls_certificate: cannot read .*cert\.pem"):
        server_credentials(settings)


def test_without_a_certificate_the_server_speaks_clear_text() -> None:
    """No TLS setting, no credentials."""
    assert server_credentials(ServiceSettings()) is None
