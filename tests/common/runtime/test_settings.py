from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from crystalmesh_common.runtime.settings import (
    CONFIG_FILE_VARIABLE,
    ServiceSettings,
    SettingsError,
    load_settings,
)

SECRET = "a-very-secret-token"
ANYWHERE = "0.0.0.0"  # noqa: S104 -- what must not be open by mistake


class FurnaceSettings(ServiceSettings):
    """The settings of a made-up service."""

    heat: float = Field(1.0, gt=0, description="how hot")
    fuels: tuple[str, ...] = Field((), description="what it burns")


def load(*flags: str, **variables: str) -> FurnaceSettings:
    return load_settings(FurnaceSettings, "furnace", flags, environment=variables)


def refusal(*flags: str, **variables: str) -> str:
    """The one line with which settings are refused."""
    with pytest.raises(SettingsError) as refused:
        load(*flags, **variables)
    text = str(refused.value)
    assert "\n" not in text
    return text


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A TOML file to write into."""
    return tmp_path / "mesh.toml"


# From the strongest source to the weakest; each test takes one more away.
SOURCES: list[tuple[str, dict[str, str], str]] = [
    ("--port", {}, ""),
    ("", {"CRYSTALMESH_FURNACE_PORT": "2"}, ""),
    ("", {"CRYSTALMESH_PORT": "3"}, ""),
    ("", {}, "[furnace]\nport = 4\n"),
    ("", {}, "[common]\nport = 5\n"),
]


@pytest.mark.parametrize("strongest", range(len(SOURCES) + 1))
def test_sources_have_one_order(config: Path, strongest: int) -> None:
    """Flags beat the service's variables, those the common ones, then come both tables and the default."""
    flags: list[str] = []
    variables: dict[str, str] = {CONFIG_FILE_VARIABLE: str(config)}
    tables = ""
    for flag, some_variables, table in SOURCES[strongest:]:
        flags += [flag, "1"] if flag else []
        variables |= some_variables
        tables += table
    config.write_text(tables)
    assert load(*flags, **variables).port == (strongest + 1 if strongest < len(SOURCES) else 0)


def test_nested_settings_merge_field_by_field(config: Path) -> None:
    """One limit may come from each source; none of them resets the others."""
    config.write_text("[common.limits]\nqueued_calls = 5\n[furnace.limits]\ncrystals_per_call = 6\n")
    limits = load(
        "--limits.message-bytes=4096",
        CRYSTALMESH_LIMITS__ATOMS_PER_CRYSTAL="7",
        **{CONFIG_FILE_VARIABLE: str(config)},
    ).limits
    assert (limits.queued_calls, limits.crystals_per_call) == (5, 6)
    assert (limits.message_bytes, limits.atoms_per_crystal, limits.concurrent_calls) == (4096, 7, 4096)


def test_flags_are_kebab_case_and_switches_need_no_value() -> None:
    """`--allow-no-auth` is a switch."""
    settings = load("--host", ANYWHERE, "--allow-no-auth", "--allow-no-tls", "--log-level", "debug")
    assert (settings.allow_no_auth, settings.allow_no_tls, settings.log_level) == (True, True, "debug")


@pytest.mark.parametrize(
    ("flags", "variables"),
    [
        (["--fuels", "coal,gas oil"], {}),
        (["--fuels", "coal", "--fuels", "gas oil"], {}),
        ([], {"CRYSTALMESH_FURNACE_FUELS": "coal, gas oil,"}),
        ([], {"CRYSTALMESH_FURNACE_FUELS": '["coal", "gas oil"]'}),
    ],
)
def test_lists_are_json_or_have_commas(flags: list[str], variables: dict[str, str]) -> None:
    """A list reads the same from flags and variables; an empty variable is an empty list."""
    assert load(*flags, **variables).fuels == ("coal", "gas oil")
    assert load(CRYSTALMESH_FURNACE_FUELS="").fuels == ()
    with pytest.raises(SettingsError, match="fuels"):
        load(CRYSTALMESH_FURNACE_FUELS='["coal"')


def test_settings_read_are_of_the_services_own_class_and_frozen() -> None:
    """What is read is a plain instance that nobody can change afterwards."""
    settings = load("--heat", "2")
    assert type(settings) is FurnaceSettings
    assert (settings.heat, settings.drain_seconds) == (2.0, 10.0)
    with pytest.raises(ValidationError):
        settings.port = 5


@pytest.mark.parametrize(
    ("flags", "variables", "named"),
    [
        (["--prot", "1"], {}, "--prot"),
        (["--limits.queud-calls", "1"], {}, "--limits.queud-calls"),
        (["stray"], {}, "a value without a flag"),
        (["--port"], {}, "--port"),
        ([], {"CRYSTALMESH_FURNACE_PROT": "1"}, "CRYSTALMESH_FURNACE_PROT"),
        ([], {"CRYSTALMESH_FURNACE_LIMITS__QUEUD": "1"}, "limits.queud"),
        ([], {"CRYSTALMESH_LIMITS__QUEUD": "1"}, "limits.queud"),
    ],
)
def test_misspelt_flags_and_variables_are_refused_in_one_line(
    flags: list[str], variables: Mapping[str, str], named: str
) -> None:
    """A name that is no setting is an error that names it."""
    assert named in refusal(*flags, **variables)


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("[furnace]\nprot = 1\n", "prot"),
        ("[common]\nprot = 1\n", "prot"),
        ("[furnace.limits]\nqueud = 1\n", "limits.queud"),
        ("furnace = 3\n", "furnace stands outside of a [table]"),
        ("[furnace\n", "is not TOML"),
        ("x = '\xff'", "is not TOML"),
    ],
)
def test_misspelt_and_broken_files_are_refused_in_one_line(config: Path, table: str, named: str) -> None:
    """A key that is no setting, a file that is no TOML or no UTF-8: one line says so."""
    config.write_bytes(table.encode("latin-1"))
    assert named in refusal(**{CONFIG_FILE_VARIABLE: str(config)})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The configuration file that was asked for must be there."""
    assert "cannot read" in refusal(**{CONFIG_FILE_VARIABLE: str(tmp_path / "none.toml")})


def test_variables_of_others_are_left_alone() -> None:
    """Other services' variables, the client's and foreign ones are no settings of ours and no error."""
    others = {"CRYSTALMESH_KILN_PORT": "9", "CRYSTALMESH_HOME": "/tmp", "FURNACE_PORT": "8", "PORT": "7"}  # noqa: S108
    assert load(**others).port == 0


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        (["--port", "abc"], "port"),
        (["--port", "65536"], "port"),
        (["--heat", "0"], "heat"),
        (["--heat", "nan"], "heat"),
        (["--log-level", "loud"], "log_level"),
        (["--limits", "{bad"], "limits"),
        (["--limits.queued-calls", "0"], "limits.queued_calls"),
        (["--limits.message-bytes", str(2**40)], "limits.message_bytes"),
    ],
)
def test_values_out_of_range_are_refused_by_name(flags: list[str], field: str) -> None:
    """Each value is checked, and the line names its setting."""
    assert field in refusal(*flags)


def test_several_problems_are_told_at_once() -> None:
    """Two wrong values make one line with both."""
    text = refusal("--port", "abc", "--heat", "-1")
    assert "port" in text
    assert "heat" in text


WITH_TLS = ("--tls-certificate", "c.pem", "--tls-key", "k.pem")


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        ((), "tokens_file"),
        (("--allow-no-tls",), "tokens_file"),
        (WITH_TLS, "tokens_file"),
        (("--token", SECRET), "tls_certificate"),
        (("--allow-no-auth",), "tls_certificate"),
    ],
)
@pytest.mark.parametrize("host", [ANYWHERE, "::", "192.168.1.5", "mesh.example.org", ""])
def test_beyond_loopback_both_authentication_and_tls_are_required(
    host: str, flags: tuple[str, ...], missing: str
) -> None:
    """Any host that is not loopback is refused without a token or client CA, and without TLS."""
    assert missing in refusal("--host", host, *flags)


@pytest.mark.parametrize(
    "flags",
    [
        ("--token", SECRET, *WITH_TLS),
        ("--tokens-file", "tokens", *WITH_TLS),
        ("--tls-client-ca", "ca.pem", *WITH_TLS),
        ("--token", SECRET, "--allow-no-tls"),
        ("--allow-no-auth", *WITH_TLS),
        ("--allow-no-auth", "--allow-no-tls"),
    ],
)
def test_exposure_is_granted_by_protection_or_explicit_waiver(flags: tuple[str, ...]) -> None:
    """A token or client CA with TLS opens the host, and so does each waiver for its part."""
    assert load("--host", ANYWHERE, *flags).host == ANYWHERE


@pytest.mark.parametrize(
    "flags",
    [
        ("--tls-certificate", "c.pem"),
        ("--tls-key", "k.pem"),
        ("--tls-client-ca", "ca.pem"),
    ],
)
def test_half_of_a_tls_setup_is_refused(flags: tuple[str, ...]) -> None:
    """A certificate without key, a key without certificate and a client CA without both are errors."""
    assert "tls_certificate" in refusal(*flags)


def test_loopback_needs_neither() -> None:
    """On loopback there is no token and no TLS by default."""
    assert not load().requires_token
    assert load("--host", "::1").tls_certificate is None


@pytest.mark.parametrize(
    ("flags", "variables"),
    [
        (["--token", SECRET, "--port", "abc"], {}),
        (["--port", "abc"], {"CRYSTALMESH_TOKEN": SECRET}),
        (["--tokn", SECRET], {}),
        ([f"--tokn={SECRET}"], {}),
        ([f"--tok={SECRET}"], {}),
        ([SECRET], {}),
        ([], {"CRYSTALMESH_FURNACE_TOKN": SECRET}),
        ([], {"CRYSTALMESH_LIMITS": SECRET}),
        (["--host", ANYWHERE], {"CRYSTALMESH_TOKEN": SECRET}),
    ],
)
def test_a_refusal_never_tells_a_secret(flags: list[str], variables: Mapping[str, str]) -> None:
    """Whatever else is wrong, and even behind a misspelt name, the token is not in the message."""
    assert SECRET not in refusal(*flags, **variables)


def test_a_secret_of_the_wrong_type_is_not_told(config: Path) -> None:
    """A token in the file that is a list is refused without showing it."""
    config.write_text(f'[furnace]\ntoken = ["{SECRET}"]\n')
    assert SECRET not in refusal(**{CONFIG_FILE_VARIABLE: str(config)})


def test_settings_show_no_secret() -> None:
    """Repr, str, a dump and JSON of settings hide the token; only asking for it tells."""
    settings = load("--token", SECRET)
    for text in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert SECRET not in text
    assert settings.token is not None
    assert settings.token.get_secret_value() == SECRET


def test_every_setting_is_described() -> None:
    """No field of the common settings and limits lacks the sentence that `--help` prints."""
    fields = {**ServiceSettings.model_fields, **type(ServiceSettings().limits).model_fields}
    assert not [name for name, field in fields.items() if not field.description]


def test_help_prints_every_flag_and_exits(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` ends with status 0 and lists the flags."""
    with pytest.raises(SystemExit) as ended:
        load("--help")
    assert ended.value.code == 0
    assert "--limits.queued-calls" in capsys.readouterr().out
