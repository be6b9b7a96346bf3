from __future__ import annotations

import pytest

from tests.conftest import StartService


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (f"mace:/nowhere/ours.model#sha256={'0' * 64}", "cannot read the MACE file /nowhere/ours.model"),
        ("mace:medium-mpa-0", "mace-mpa-0-medium.model: download it from https://"),
        ("mine=ase:no.such.module:factory", "cannot import no.such.module:factory"),
    ],
    ids=["file", "published", "factory"],
)
def test_a_service_without_its_potential_ends_and_says_why(
    start_service: StartService, spec: str, says: str
) -> None:
    """A potential that cannot be loaded ends the service with status 1; its log has the reason."""
    server = start_service("--models", spec, "--workers", "1")
    assert server.process.wait(timeout=120) == 1
    assert says in server.log
