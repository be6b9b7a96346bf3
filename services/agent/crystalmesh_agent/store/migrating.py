"""Bringing a database to this version's tables, before anything else looks at it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from crystalmesh_agent.store.database import Database
from crystalmesh_common.runtime.errors import WrongStateError

FOLDER = Path(__file__).parent / "migrations"


class NewerDatabaseError(WrongStateError):
    """The database was written by a newer version, which alone can read it."""


def migrate(database: Database, folder: Path = FOLDER) -> None:
    """Make or change tables as needed, all at once or not at all, while others who want to wait.

    Raises NewerDatabaseError, and whatever `Database` raises.
    """
    scripts = ScriptDirectory(str(folder))
    head = scripts.get_current_head()
    with database.reading() as connection:
        if _revision(connection) == head:
            return
    with database.writing() as connection:
        database.lock_whole(connection)
        revision = _revision(connection)
        if revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}:
            raise NewerDatabaseError(
                f"a newer version of CrystalMesh wrote {database.url.render_as_string()}: its tables are "
                f"{revision}, and this version knows up to {head}. Use that version, or another database",
                revision=revision,
            )
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
