"""Run by Alembic for each command. The connection is the caller's, and so is the transaction."""

from alembic import context

from crystalmesh_agent.store.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
