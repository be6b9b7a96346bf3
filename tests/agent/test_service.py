"""The agent service as a process: with a database and without a mesh."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from crystalmesh.agent.v1 import campaign_service_pb2 as service
from crystalmesh.agent.v1.campaign_pb2 import CampaignSpec
from crystalmesh.agent.v1.campaign_service_pb2_grpc import CampaignServiceStub
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh.agent.v1.study_service_pb2 import ListStudiesRequest
from crystalmesh.agent.v1.study_service_pb2_grpc import StudyServiceStub
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.database import file_url
from crystalmesh_client.connection import translated_errors
from crystalmesh_common.runtime.errors import NotImplementedYetError, UnavailableError
from tests.agent.campaigns import working
from tests.conftest import ServiceProcess, StartService, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sqlite"


def in_state(store: CampaignStore, campaign_id: str, state: RunState.ValueType) -> Callable[[], bool]:
    return lambda: store.get(campaign_id).state == state


def running(start_service: StartService, path: Path) -> ServiceProcess:
    process = start_service("--database", f"sqlite:///{path}", "--lease-seconds", "1", service="agent")
    process.wait_serving()
    return process


def test_without_a_mesh(start_service: StartService, path: Path) -> None:
    """A campaign waits while no mesh runs, through a kill and a stop; creating another is UNAVAILABLE."""
    with CampaignStore.open(file_url(path)) as store:
        campaign = store.create("request", working.spec())
        first = running(start_service, path)
        paused = in_state(store, campaign.id, RunState.RUN_STATE_PAUSED)
        until(paused, "the pause")
        assert store.get(campaign.id).pause.service == "retrieval"
        with grpc.insecure_channel(first.address) as channel, translated_errors():
            listed = CampaignServiceStub(channel).ListCampaigns(service.ListCampaignsRequest())
            assert [each.id for each in listed.campaigns] == [campaign.id]
            wanted = CampaignSpec(target=Target(required_elements=[8]))
            request = service.CreateCampaignRequest(request_id="another", spec=wanted)
            with pytest.raises(UnavailableError), translated_errors():
                CampaignServiceStub(channel).CreateCampaign(request)
            with pytest.raises(NotImplementedYetError), translated_errors():
                StudyServiceStub(channel).ListStudies(ListStudiesRequest())
        first.kill()

        second = running(start_service, path)
        until(lambda: len(workers(store, campaign.id)) == 2, "another worker")
        until(paused, "the pause")
        assert second.terminate() == 0
        lease = store.leases.acquire("tests", 60)
        assert lease is not None, "it kept the campaign although it stopped"
        assert working.kinds(store, campaign.id) == ["created", "started", "paused", "started", "paused"]


def workers(store: CampaignStore, campaign_id: str) -> list[str]:
    return [event.started.worker for event in working.log(store, campaign_id) if event.HasField("started")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--database", "mysql://there/x"), "sqlite:///path/to/file"),
        (("--database", "sqlite:///{folder}"), "database"),
        (("--lease-seconds", "0"), "lease_seconds"),
        (("--campaigns", "-1"), "campaigns"),
    ],
)
def test_settings_of_no_use(
    start_service: StartService, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    """A service that cannot use its settings says which, and ends with 2."""
    process = start_service(*(each.format(folder=tmp_path) for each in arguments), service="agent")
    assert process.process.wait(timeout=60) == 2
    assert words in process.log
