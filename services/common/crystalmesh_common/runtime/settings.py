"""The settings that every service has, and the one place where settings are read."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from crystalmesh_common.runtime.addresses import is_loopback

ENV_PREFIX = "CRYSTALMESH_"
CONFIG_FILE_VARIABLE = "CRYSTALMESH_CONFIG"
COMMON_TABLE = "common"

MEBIBYTE = 1024 * 1024


class SettingsError(Exception):
    """The settings cannot be used; the message says which, where it came from and why."""


class Limits(BaseModel):
    """What one call may ask for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    message_bytes: int = Field(64 * MEBIBYTE, ge=1024, le=1024 * MEBIBYTE, description="largest message")
    crystals_per_call: int = Field(4096, ge=1, description="most crystals in one call")
    atoms_per_crystal: int = Field(10_000, ge=1, description="most atoms in one crystal")
    queued_calls: int = Field(256, ge=1, description="calls that may wait for the device; more are refused")
    concurrent_calls: int = Field(4096, ge=1, description="calls in flight of any kind; more are refused")


class ServiceSettings(BaseSettings):
    """The settings common to all services. A service adds its own fields in a subclass.

    Read by `load_settings` from, in falling precedence: flags, CRYSTALMESH_<SERVICE>_* variables,
    CRYSTALMESH_* variables, the [<service>] and [common] tables of the TOML file, and the defaults here.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(0, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    metrics_port: int = Field(0, ge=-1, le=65535, description="Prometheus port; 0: a free one, -1: none")
    endpoint_file: Path | None = Field(None, description="where to write the addresses once listening")
    parent_pid: int | None = Field(None, description="stop once this is no longer the parent process")

    token: SecretStr | None = Field(None, description="bearer token that callers must send")
    tokens_file: Path | None = Field(None, description="file with one accepted bearer token a line")
    tls_certificate: Path | None = Field(None, description="PEM certificate chain of this server")
    tls_key: Path | None = Field(None, description="PEM private key of this server")
    tls_client_ca: Path | None = Field(None, description="PEM CA of client certificates; makes TLS mutual")
    allow_no_auth: bool = Field(default=False, description="serve beyond loopback without authentication")
    allow_no_tls: bool = Field(default=False, description="serve beyond loopback in clear text")

    limits: Limits = Field(default_factory=Limits, description="what one call may ask for")
    drain_seconds: float = Field(10.0, ge=0, description="time for running calls to end when stopping")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level logged")
    log_format: Literal["json", "text"] = Field("json", description="format of log lines")
    traces_endpoint: str | None = Field(None, description="OTLP/gRPC collector for traces; unset: none")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: object,
        **__: object,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Made by hand, settings are what is given: pydantic would read variables like HOST and TOKEN."""
        return (init_settings,)

    @model_validator(mode="after")
    def _check_exposure(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        if is_loopback(self.host):
            return self
        if not (self.requires_token or self.tls_client_ca or self.allow_no_auth):
            raise ValueError(
                f"host {self.host} is not loopback: set tokens_file (or token, or tls_client_ca), "
                "or waive authentication with allow_no_auth"
            )
        if not (self.tls_certificate or self.allow_no_tls):
            raise ValueError(
                f"host {self.host} is not loopback: set tls_certificate and tls_key, "
                "or waive encryption with allow_no_tls"
            )
        return self

    @property
    def requires_token(self) -> bool:
        """Whether callers must send a bearer token."""
        return self.token is not None or self.tokens_file is not None


SettingsT = TypeVar("SettingsT", bound=ServiceSettings)


def load_settings(
    settings_class: type[SettingsT],
    service: str,
    arguments: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
) -> SettingsT:
    """Read the settings of `service` from flags, variables and file.

    Raises SettingsError with one line per problem; `--help` prints all settings and exits.
    """
    variables: Mapping[str, str] = os.environ if environment is None else environment
    tables = read_tables(variables.get(CONFIG_FILE_VARIABLE))

    class Layered(settings_class):  # type: ignore[misc, valid-type]
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: object, **__: object
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            flags: CliSettingsSource[Any] = CliSettingsSource(
                settings_cls,
                cli_prog_name=f"python -m crystalmesh_{service}",
                cli_parse_args=list(arguments),
                cli_kebab_case=True,
                cli_implicit_flags=True,
                cli_exit_on_error=False,
            )
            own = _variables(settings_cls, own_prefix, variables)
            shared = _variables(settings_cls, ENV_PREFIX, variables)
            from_file = (InitSettingsSource(settings_cls, tables.get(t, {})) for t in (service, COMMON_TABLE))
            return (flags, own, shared, *from_file)

    own_prefix = f"{ENV_PREFIX}{service.upper()}_"
    try:
        _refuse_unknown_variables(settings_class, own_prefix, variables)
        read = Layered()
    except ValidationError as error:
        problems = (_describe(problem) for problem in error.errors(include_url=False, include_input=False))
        raise SettingsError(f"settings of {service}: " + "; ".join(problems)) from None
    except SourceError as error:
        raise SettingsError(f"settings of {service}: {_without_values(str(error))}") from None
    return cast("SettingsT", settings_class.model_construct(_fields_set=read.model_fields_set, **dict(read)))


class _Variables(EnvSettingsSource):
    """Variables of the environment; a list is JSON, or its items with commas between, as in a flag."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        text = str(value).strip()
        if get_origin(field.annotation) is tuple and not text.startswith("["):
            return [item for part in text.split(",") if (item := part.strip())]
        return super().decode_complex_value(field_name, field, value)


def _variables(cls: type[BaseSettings], prefix: str, environment: Mapping[str, str]) -> EnvSettingsSource:
    source = _Variables(cls, env_prefix=prefix, env_nested_delimiter="__")
    source.env_vars = {key.lower(): value for key, value in environment.items()}
    return source


def _refuse_unknown_variables(cls: type[BaseSettings], prefix: str, environment: Mapping[str, str]) -> None:
    """A misspelt variable of one service is an error; of those for all services, others may be ours too."""
    for key in environment:
        name = key.upper().removeprefix(prefix)
        if name != key.upper() and name.lower().split("__")[0] not in cls.model_fields:
            raise SourceError(f"{key} names no setting")


def read_tables(path: str | None) -> Mapping[str, dict[str, Any]]:
    """The tables of a settings file by name; none without a path. Raises SettingsError."""
    if path is None:
        return {}
    try:
        with Path(path).open("rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{CONFIG_FILE_VARIABLE}: cannot read {path}: {error.strerror}") from None
    except ValueError as error:  # not UTF-8, or not TOML
        raise SettingsError(f"{CONFIG_FILE_VARIABLE}: {path} is not TOML: {error}") from None
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise SettingsError(f"{CONFIG_FILE_VARIABLE}: {path}: {name} stands outside of a [table]")
    return tables


def _describe(problem: Mapping[str, Any]) -> str:
    where = ".".join(map(str, problem["loc"]))
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _without_values(message: str) -> str:
    """What is wrong with the flags or variables; a value may be a secret behind a misspelt name."""
    start, unknown, words = message.removeprefix("error parsing CLI: ").partition("unrecognized arguments: ")
    if unknown:
        flags = [word for word in words.split() if word.startswith("--")]
        message = f"{start}unrecognized arguments: {' '.join(flags) or 'a value without a flag'}"
    return re.sub(r"(--[\w.-]+)=\S+", r"\1", message.removeprefix("error parsing CLI: "))
