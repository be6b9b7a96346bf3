import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from crystalmesh_common.mesh.errors import MeshUsageError
from crystalmesh_common.mesh.registry import (
    SERVICES,
    MeshService,
    check_tables,
    find_service,
    select_services,
)
from crystalmesh_common.runtime.methods import collect_methods
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.settings import load_settings


@pytest.mark.parametrize("entry", SERVICES, ids=lambda entry: entry.name)
def test_registry_agrees_with_the_service_itself(entry: MeshService) -> None:
    """Name, module and hosted proto services are those of the service's own definition."""
    service = import_module(f"{entry.module}.service").SERVICE
    settings = load_settings(service.settings, service.name, environment={})
    hosted = service.build(settings, Metrics(service.name))
    names = {method.service for method in collect_methods(hosted.registrations).values()}
    assert (service.name, names) == (entry.name, set(entry.hosted))


def test_no_names_select_all_installed() -> None:
    """Without names everything that is installed makes the mesh, in the order of the registry."""
    assert [s.name for s in select_services()] == [s.name for s in SERVICES if s.installed]


def test_names_select_in_the_order_of_the_registry_and_once() -> None:
    """The order and repetition of names on a command line change nothing."""
    assert select_services(["property", "retrieval", "property"]) == (
        find_service("retrieval"),
        find_service("property"),
    )


def test_unknown_name_is_refused_with_the_known_ones() -> None:
    """A misspelt service is a usage error that lists what there is."""
    with pytest.raises(MeshUsageError, match=r"no service is called proprety; there are agent, .*retrieval"):
        select_services(["proprety"])


def test_service_that_is_not_installed_is_refused_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asking for a service whose package is absent names the package."""
    monkeypatch.setattr("crystalmesh_common.mesh.registry.find_spec", lambda _: None)
    with pytest.raises(MeshUsageError, match="pip install crystalmesh-property"):
        select_services(["property"])
    with pytest.raises(MeshUsageError, match="no service is installed"):
        select_services()


def test_discovery_imports_nothing_heavy() -> None:
    """Finding out what is installed imports neither the services nor what they stand on."""
    script = (
        "import sys\n"
        "from crystalmesh_common.mesh.registry import select_services\n"
        "select_services()\n"
        "print([m for m in ('torch', 'grpc', 'pymatgen', 'crystalmesh_relaxation') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_misspelt_table_of_the_settings_file_is_refused(tmp_path: Path) -> None:
    """A table that no service reads is named, with those that are read."""
    config = tmp_path / "mesh.toml"
    config.write_text("[relaxaton]\ndevice = 'cpu'\n")
    with pytest.raises(MeshUsageError, match=r"nothing reads \[relaxaton\]; there are agent, common"):
        check_tables(config)
    config.write_text("[relaxation]\ndevice = 'cpu'\n[common]\nlog_level = 'debug'\n")
    check_tables(config)
