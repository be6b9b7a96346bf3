from __future__ import annotations

import pytest

from crystalmesh_common.runtime.settings import SettingsError, load_settings
from crystalmesh_relaxation.engines.mace_foundations import FOUNDATION_MODELS
from crystalmesh_relaxation.engines.specs import Backend, ModelSpec, check_specs, parse_spec
from crystalmesh_relaxation.settings import RelaxationSettings

DIGITS = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("chgnet-0.3.0", ModelSpec("chgnet-0.3.0", Backend.CHGNET, "chgnet-0.3.0")),
        ("chgnet-r2scan", ModelSpec("chgnet-r2scan", Backend.CHGNET, "chgnet-r2scan")),
        ("mace:medium-mpa-0", ModelSpec("mace-medium-mpa-0", Backend.MACE, "medium-mpa-0")),
        (
            "mace:mace-matpes-r2scan-0",
            ModelSpec("mace-matpes-r2scan-0", Backend.MACE, "mace-matpes-r2scan-0"),
        ),
        ("best=mace:medium-mpa-0", ModelSpec("best", Backend.MACE, "medium-mpa-0")),
        (
            f"mace:/models/ours-2.model#sha256={DIGITS}",
            ModelSpec("ours-2", Backend.MACE, "/models/ours-2.model", DIGITS),
        ),
        (f"ours=mace:a b.pt#sha256={DIGITS.upper()}", ModelSpec("ours", Backend.MACE, "a b.pt", DIGITS)),
        (
            "emt=ase:ase.calculators.emt:EMT",
            ModelSpec("emt", Backend.ASE, "ase.calculators.emt:EMT"),
        ),
    ],
)
def test_each_kind_of_spec(text: str, spec: ModelSpec) -> None:
    """A spec gives the name to serve under, the backend, and which one of the backend's."""
    assert parse_spec(text) == spec


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no potential is called ''; there are chgnet-0.3.0, chgnet-r2scan, mace:NAME"),
        ("chgnet", "no potential is called 'chgnet'"),
        ("x=chgnet-0.3.0", "no potential is called"),
        ("nequip:file", "no potential is called"),
        ("mace:", "no published MACE is called ''; there are small, medium"),
        ("mace:huge", "no published MACE is called 'huge'; there are small, medium"),
        ("mace:/models/ours.model", r"say which file you trust: mace:/models/ours\.model#sha256="),
        ("mace:ours.model", "say which file you trust"),
        ("mace:ours.model#sha256=abc", "64 hexadecimal digits"),
        (f"mace:ours.model#{DIGITS}", "64 hexadecimal digits"),
        (f"mace:medium#sha256={DIGITS}", "the checksum of medium is known"),
        (f"mace:my model.pt#sha256={DIGITS}", "'my model' is no name"),
        ("=mace:medium", "'' is no name"),
        ("a b=mace:medium", "'a b' is no name"),
        ("chgnet-0.3.0=mace:medium", "is the name of another potential"),
        ("ase:ase.calculators.emt:EMT", "needs a name, NAME=ase:"),
        ("emt=ase:ase.calculators.emt.EMT", "package.module:factory"),
        ("emt=ase:", "package.module:factory"),
        ("emt=ase:os:system('true')", "package.module:factory"),
    ],
)
def test_what_is_no_spec(text: str, says: str) -> None:
    """A setting that names no potential is refused with one line that says what is wrong with it."""
    with pytest.raises(ValueError, match=says) as raised:
        parse_spec(text)
    assert "\n" not in str(raised.value)


def test_names_are_distinct_and_there_is_one() -> None:
    """No two potentials have one name, however they were specified, and there is at least one."""
    with pytest.raises(ValueError, match="two potentials have one name: a, a"):
        check_specs(["a=mace:medium", "a=ase:ase.calculators.emt:EMT"])
    with pytest.raises(ValueError, match="at least one"):
        check_specs([])


def test_specs_as_flags_and_variables() -> None:
    """Specs come unharmed through flags and variables, and a bad one is one line about the setting."""
    specs = ("chgnet-r2scan", f"mace:/m/x.model#sha256={DIGITS}", "emt=ase:ase.calculators.emt:EMT")
    flags = [part for spec in specs for part in ("--models", spec)]
    assert load_settings(RelaxationSettings, "relaxation", flags, environment={}).models == specs
    variable = {"CRYSTALMESH_RELAXATION_MODELS": '["' + '", "'.join(specs) + '"]'}
    assert load_settings(RelaxationSettings, "relaxation", environment=variable).models == specs
    with pytest.raises(SettingsError, match="models: no potential is called 'nothing'") as raised:
        load_settings(RelaxationSettings, "relaxation", ["--models", "nothing"], environment={})
    assert "\n" not in str(raised.value)


def test_published_models_are_told_apart_by_their_checksums() -> None:
    """Every published model has a checksum of its own, a license and a file name."""
    models = list(FOUNDATION_MODELS.values())
    assert len({model.sha256 for model in models}) == len(models)
    for model in models:
        assert len(bytes.fromhex(model.sha256)) == 32
        assert model.license
        assert model.file_name.endswith(".model")
