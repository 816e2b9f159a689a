"""Alembic's entry point: runs the revisions on the connection it is handed, in that one's transaction."""

from alembic import context

from registry.records.tables import Model

context.configure(
    connection=context.config.attributes["connection"],
    version_table=context.config.attributes["version_table"],
    target_metadata=Model.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
