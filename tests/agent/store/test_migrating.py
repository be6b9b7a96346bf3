"""Tables come to be, change, and are refused when they are from the future."""

from __future__ import annotations

import shutil
import sqlite3
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text, update

from crystalmesh_agent.store import migrating
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.database import Database, default_url, file_url
from crystalmesh_agent.store.schema import Base, CampaignRow
from tests.agent.store import racing, story
from tests.agent.store.conftest import OpenStore

LATER = """
import sqlalchemy as sa
from alembic import op

revision = "r9999"
down_revision = "{head}"


def upgrade() -> None:
    with op.batch_alter_table("campaigns") as table:
        table.add_column(sa.Column("colour", sa.String, server_default="red", nullable=False))
    op.execute("UPDATE campaigns SET projection = 0"){failure}
"""


def later_version(folder: Path, failure: str = "") -> Path:
    """The migrations as they are, and one more."""
    copy = folder / "100% later"
    shutil.copytree(migrating.FOLDER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    head = ScriptDirectory(str(migrating.FOLDER)).get_current_head()
    (copy / "versions" / "r9999_later.py").write_text(LATER.format(head=head, failure=failure))
    return copy


def test_tables_are_those_of_the_schema(url: str) -> None:
    """All changes together make the tables that the code expects."""
    with Database(url) as database:
        migrating.migrate(database)
        with database.reading() as connection:
            assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
            indexes = {
                index["name"]
                for table in Base.metadata.tables
                for index in inspect(connection).get_indexes(table)
            }
    assert {index.name for table in Base.metadata.tables.values() for index in table.indexes} <= indexes


def test_opening_again_changes_nothing(open_store: OpenStore) -> None:
    """A database that is up to date is taken as it is."""
    campaign = open_store().create("request", story.spec())
    assert open_store().get(campaign.id) == campaign


def test_an_older_database_is_brought_up_to_date(url: str, open_store: OpenStore, tmp_path: Path) -> None:
    """A change keeps what is there, and what follows from the events is made anew where it asks for that."""
    campaign = open_store().create("request", story.spec())
    with Database(url) as database:
        migrating.migrate(database, later_version(tmp_path))
        with database.writing() as connection:
            assert connection.execute(text("SELECT colour FROM campaigns")).scalar_one() == "red"
            connection.execute(update(CampaignRow).values(content=b""))
        store = CampaignStore(database)
        assert store.rebuild_outdated() == 1
        assert store.get(campaign.id) == campaign
        assert store.rebuild_outdated() == 0


def test_a_newer_database_is_refused(url: str, open_store: OpenStore, tmp_path: Path) -> None:
    """Tables of a later version are not touched, and the message says what to do."""
    open_store()
    with Database(url) as database:
        migrating.migrate(database, later_version(tmp_path))
    with pytest.raises(migrating.NewerDatabaseError, match=r"newer version.*another database"):
        open_store()


def test_a_change_that_fails_leaves_the_old_tables(url: str, open_store: OpenStore, tmp_path: Path) -> None:
    """A migration happens whole or not at all."""
    campaign = open_store().create("request", story.spec())
    with Database(url) as database, pytest.raises(RuntimeError, match="halfway"):
        migrating.migrate(database, later_version(tmp_path, '\n    raise RuntimeError("halfway")'))
    store = open_store()
    assert store.get(campaign.id) == campaign
    with store._database.reading() as connection:
        columns = {column["name"] for column in inspect(connection).get_columns("campaigns")}
    assert columns == {column.name for column in CampaignRow.__table__.columns}


def test_processes_that_start_together(processes: ForkServerContext, url: str) -> None:
    """Of processes that find no tables one makes them, and all go on."""
    ours, theirs = processes.Pipe(duplex=False)
    workers = [
        processes.Process(target=racing.take_all, args=(url, name, theirs))
        for name in ("one", "two", "three")
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    ours.close()
    theirs.close()


def test_a_file_of_the_first_version(tmp_path: Path) -> None:
    """A file that the first version wrote is read as it was meant, by this version and all later ones."""
    path = tmp_path / "agent.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript((Path(__file__).parent / "files" / "r0001.sql").read_text())
    connection.close()
    with CampaignStore.open(file_url(path)) as store:
        (campaign,) = store.campaigns().items
        before = campaign.last_sequence
        assert campaign.spec == story.spec()
        assert campaign.progress.hits == 1
        best = store.candidate(campaign.id, campaign.progress.best_candidate_id)
        assert (best.rank, best.id) == (1, story.id_of(2))
        assert store.rebuild(campaign.id) == campaign
        store.leases.release_all("tests")
        lease = store.leases.acquire("tests", 60)
        assert lease is not None
        assert store.append(lease, [story.started()])[0].event.sequence == before + 1


def test_the_default_is_a_file_of_the_mesh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a URL the database is in the mesh's home, whatever that is called, for this user alone."""
    monkeypatch.setenv("CRYSTALMESH_HOME", str(tmp_path / "100% mine?"))
    CampaignStore.open().close()
    path = Path(str(default_url().database))
    assert path == tmp_path / "100% mine?" / "agent" / "agent.sqlite"
    assert path.stat().st_mode & 0o777 == 0o600
