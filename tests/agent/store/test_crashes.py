"""Kills, full disks, locks and damage: nothing acknowledged is lost, nothing is recorded twice."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from sqlalchemy import text

from crystalmesh.agent.v1.campaign_candidate_pb2 import CampaignCandidate, CandidateState
from crystalmesh_agent.store import database
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.database import Database, file_url
from crystalmesh_agent.store.event_log import kind_of
from crystalmesh_agent.store.keys import subject_of
from crystalmesh_agent.store.leases import Lease
from crystalmesh_common.runtime.errors import (
    DatabaseBusyError,
    DataCorruptError,
    InvalidFieldError,
    StorageFullError,
)
from tests.agent.store import appending, story


def killed_after(
    processes: ForkServerContext, url: str, acknowledged: int, *, extra_seconds: float
) -> list[int]:
    """What a worker had acknowledged when it was killed, `extra_seconds` after so many sequences."""
    ours, theirs = processes.Pipe(duplex=False)
    worker = processes.Process(target=appending.work, args=(url, theirs))
    worker.start()
    theirs.close()
    told = [ours.recv() for _ in range(acknowledged)]
    # At any moment within a step: what is told meanwhile counts as well.
    timer = threading.Timer(extra_seconds, worker.kill)
    timer.start()
    with suppress(EOFError):
        while True:
            told.append(ours.recv())
    timer.join()
    worker.join()
    ours.close()
    return told


def check_log(store: CampaignStore, campaign_id: str, acknowledged: list[int]) -> None:
    """All that was acknowledged is there, without gaps, each fact once, and the rest follows from it."""
    events = store.events(campaign_id, limit=100_000)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert set(acknowledged) <= {event.sequence for event in events}
    assert len(set(acknowledged)) == len(acknowledged)
    facts = Counter(
        (kind_of(event), subject_of(event, fence=event.sequence, step="", position=0)) for event in events
    )
    assert not [fact for fact, count in facts.items() if count > 1]
    campaign = store.get(campaign_id)
    candidates = list(every_candidate(store, campaign_id))
    assert campaign.last_sequence == len(events)
    assert store.rebuild(campaign_id) == campaign
    assert list(every_candidate(store, campaign_id)) == candidates
    assert len({candidate.id for candidate in candidates}) == campaign.progress.candidates


def every_candidate(store: CampaignStore, campaign_id: str) -> Iterator[CampaignCandidate]:
    token = ""
    while True:
        page = store.candidates(campaign_id, CandidateState.values(), page_size=500, page_token=token)
        yield from page.items
        token = page.next_page_token
        if not token:
            return


def test_kill_9_loses_and_doubles_nothing(processes: ForkServerContext, url: str) -> None:
    """Workers that are killed one after the other at any moment leave one story, as if there had been one."""
    acknowledged: list[int] = []
    for kill, count in enumerate([1, 2, 3, 5, 9, 14, 2]):
        acknowledged += killed_after(processes, url, count, extra_seconds=kill * 0.0013)
        with CampaignStore.open(url) as store:
            (campaign,) = store.campaigns().items
            check_log(store, campaign.id, acknowledged)
    assert acknowledged == sorted(acknowledged)


def test_disk_full(tmp_path: Path) -> None:
    """A full disk is told as such; what was acknowledged is there, and work goes on once there is space."""
    with CampaignStore.open(file_url(tmp_path / "agent.sqlite")) as store:
        lease = running(store)
        with limited_pages(store, 10) as written:
            for number in itertools.count():
                store.append(lease, story.to_rank(number, 0.5))
                written.append(number)
        assert written
        events = store.events(lease.campaign_id, limit=10_000)
        assert len(events) == 2 + 5 * len(written)
        store.append(lease, story.to_rank(len(written), 0.5))
        check_log(store, lease.campaign_id, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_disk_full_for_real(tmp_path: Path) -> None:
    """On a disk without space, opening and appending say so, and nothing is damaged."""
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.decode().strip()}")
    try:
        with CampaignStore.open(file_url(small / "agent.sqlite")) as store:
            lease = running(store)
            written = 0
            with suppress(StorageFullError):
                while written < 1000:
                    store.append(lease, story.to_rank(written, 0.5))
                    written += 1
            assert 5 < written < 1000
            check_log_readable(store, lease.campaign_id, 2 + 5 * written)
        with CampaignStore.open(file_url(small / "agent.sqlite")) as store:
            check_log_readable(store, lease.campaign_id, 2 + 5 * written)
    finally:
        subprocess.run(["umount", str(small)], check=True)


def check_log_readable(store: CampaignStore, campaign_id: str, count: int) -> None:
    assert len(store.events(campaign_id, limit=10_000)) == count
    assert store.get(campaign_id).last_sequence == count


@contextmanager
def limited_pages(store: CampaignStore, more: int) -> Iterator[list[int]]:
    """Within, the file may grow by so many pages, and has to get full."""
    written: list[int] = []
    database = store._database
    with database.reading() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages + more}"))
        driver = connection.connection.driver_connection
    with pytest.raises(StorageFullError, match="safe"):
        yield written
    with database.reading() as connection:
        assert connection.connection.driver_connection is driver  # the pool has one that is free
        connection.execute(text(f"PRAGMA max_page_count = {2**30}"))


def running(store: CampaignStore) -> Lease:
    store.create("request", story.spec())
    lease = store.leases.acquire("tests", 60)
    assert lease is not None
    store.append(lease, [story.started()])
    return lease


def test_locked_by_another_process(tmp_path: Path) -> None:
    """While another writes for too long, writes are UNAVAILABLE and may be tried again; reads go on."""
    path = tmp_path / "agent.sqlite"
    with CampaignStore.open(file_url(path)) as store:
        lease = running(store)
    hasty = CampaignStore(Database(file_url(path), busy_seconds=0.05))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseBusyError) as refused:
        hasty.append(lease, [story.generated(1)])
    assert refused.value.retry_after_seconds
    assert hasty.get(lease.campaign_id).last_sequence == 2
    other.execute("ROLLBACK")
    other.close()
    assert hasty.append(lease, [story.generated(1)])[0].event.sequence == 3
    hasty.close()


def test_a_server_out_of_reach() -> None:
    """A PostgreSQL server that does not answer is UNAVAILABLE, and the password stays out of the message."""
    pytest.importorskip("psycopg", reason="psycopg, the driver of PostgreSQL, is not installed")
    with pytest.raises(DatabaseBusyError) as refused:
        CampaignStore.open("postgresql://mesh:very-secret@127.0.0.1:1/none")
    assert "very-secret" not in str(refused.value)


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what to install."""
    monkeypatch.setattr(database, "find_spec", lambda _name: None)
    with pytest.raises(InvalidFieldError, match=r"crystalmesh-agent\[postgresql\]"):
        CampaignStore.open("postgresql://mesh@127.0.0.1:1/none")


def test_no_database_at_all(tmp_path: Path) -> None:
    """A file of something else is not overwritten, and said to be damaged."""
    path = tmp_path / "agent.sqlite"
    path.write_bytes(b"not a database at all " * 100)
    with pytest.raises(DataCorruptError):
        CampaignStore.open(file_url(path))
    assert path.read_bytes().startswith(b"not a database")


@pytest.mark.parametrize("url", ["", "mysql://there/x", "sqlite://", "/a/path", "sqlite:///:memory:"])
def test_urls_of_no_use(url: str) -> None:
    """Only what survives is taken for a database."""
    with pytest.raises(InvalidFieldError):
        CampaignStore.open(url)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE campaign_events SET payload = substr(payload, 1, 20) WHERE sequence = 3",
        "UPDATE campaign_events SET payload = CAST(x'00' || substr(payload, 2) AS BLOB) WHERE sequence = 3",
        "DELETE FROM campaign_events WHERE sequence = 3",
    ],
)
def test_damaged_events_are_not_served(tmp_path: Path, damage: str) -> None:
    """An event that is cut, changed or gone is found out where it is read."""
    path = tmp_path / "agent.sqlite"
    with CampaignStore.open(file_url(path)) as store:
        lease = running(store)
        store.append(lease, [*story.to_rank(1, 0.5), *story.to_rank(2, 0.5)])
        with sqlite3.connect(path) as other:
            other.execute(damage)
        other.close()
        with pytest.raises(DataCorruptError):
            store.events(lease.campaign_id)


def test_torn_pages_are_found_out(tmp_path: Path) -> None:
    """A file whose pages were overwritten is DATA_LOSS and not a fault of ours."""
    path = tmp_path / "agent.sqlite"
    with CampaignStore.open(file_url(path)) as store:
        lease = running(store)
        for number in range(30):
            store.append(lease, story.to_rank(number, 0.5))
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = b"\xff" * (len(content) - 4096 * 3)
    path.write_bytes(content)
    with pytest.raises(DataCorruptError), CampaignStore.open(file_url(path)) as store:
        store.append(lease, story.to_rank(31, 0.5))
