from __future__ import annotations

import pytest
import torch

from crystalmesh_common.runtime.errors import ModelFailedError
from crystalmesh_common.runtime.settings import SettingsError, load_settings
from crystalmesh_relaxation import engines
from crystalmesh_relaxation.engines.specs import CHGNET, parse_spec
from crystalmesh_relaxation.settings import RelaxationSettings


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:13", "mps"])
def test_a_device_that_a_machine_could_have(device: str) -> None:
    """Settings take every device that potentials can run on, wherever they are read."""
    settings = load_settings(RelaxationSettings, "relaxation", ["--device", device], environment={})
    assert settings.device == device


@pytest.mark.parametrize("device", ["", "gpu", "CPU", "cpu:0", "cuda:", "cuda:-1", "cuda:0,1", "mps:0"])
def test_no_device(device: str) -> None:
    """A device that no machine has is refused in one line when settings are read."""
    with pytest.raises(SettingsError, match="device: no device is called") as raised:
        load_settings(RelaxationSettings, "relaxation", [f"--device={device}"], environment={})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("device", ["cuda:99", "mps"])
def test_a_device_that_is_not_here(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading onto a device that this machine lacks fails with what is missing, before anything is loaded."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ModelFailedError, match=f"the device {device} is not there"):
        engines.load([parse_spec(CHGNET)], device)
